package deliver_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/local/stripe/deliver"
)

// hook is a webhook endpoint.
type hook struct {
	server *httptest.Server

	mu         sync.Mutex
	got        []string // the bodies, as they came
	signatures []string
	refuse     int // so many more are answered 500
	came       chan struct{}
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{came: make(chan struct{}, 1000)}
	h.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.signatures = append(h.signatures, r.Header.Get("Stripe-Signature"))
		if h.refuse > 0 {
			h.refuse--
			http.Error(w, "not now", http.StatusInternalServerError)
			return
		}
		h.got = append(h.got, string(body))
		h.came <- struct{}{}
	}))
	t.Cleanup(h.server.Close)
	return h
}

func (h *hook) endpoint(events ...string) stripe.Endpoint {
	return stripe.Endpoint{ID: "we_1", URL: h.server.URL, Secret: "whsec_1", Events: events, Status: "enabled"}
}

func to(endpoints ...stripe.Endpoint) func() []stripe.Endpoint {
	return func() []stripe.Endpoint { return endpoints }
}

func event(kind, body string) stripe.Event {
	return stripe.Event{ID: "evt_" + body, Type: kind, Body: []byte(body)}
}

func TestASignatureIsStripes(t *testing.T) {
	// printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
	const want = "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
	if got := deliver.Signature("whsec_test", time.Unix(1700000000, 0), []byte(`{"id":"evt_1"}`)); got != want {
		t.Errorf("%s", got)
	}
}

func TestEachEndpointGetsTheTypesItWants(t *testing.T) {
	all, some, none := newHook(t), newHook(t), newHook(t)
	one, two, three := all.endpoint("*"), some.endpoint("invoice.paid", "charge.failed"), none.endpoint("*")
	two.ID, three.ID, three.Status = "we_2", "we_3", "disabled"
	d := deliver.New(deliver.Config{Endpoints: to(one, two, three)})
	for _, kind := range []string{"invoice.paid", "customer.created", "charge.failed"} {
		d.Post(event(kind, kind))
	}
	if d.Pending() != 5 {
		t.Errorf("%d are pending", d.Pending())
	}
	if err := d.Flush(t.Context()); err != nil || d.Pending() != 0 {
		t.Errorf("%v, %d left", err, d.Pending())
	}
	want := [][]string{{"invoice.paid", "customer.created", "charge.failed"}, {"invoice.paid", "charge.failed"}, nil}
	if diff := cmp.Diff(want, [][]string{all.got, some.got, none.got}); diff != "" {
		t.Error(diff)
	}
}

func TestWhatFailsIsDeliveredAgainAndSignedAnew(t *testing.T) {
	h, now := newHook(t), time.Unix(1700000000, 0)
	h.refuse = 2
	d := deliver.New(deliver.Config{Endpoints: to(h.endpoint("*")), Now: func() time.Time { now = now.Add(time.Second); return now }})
	d.Post(event("invoice.paid", "one"))
	for try := range 2 {
		if err := d.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "answered 500") || d.Pending() != 1 {
			t.Errorf("try %d: %v, %d left", try, err, d.Pending())
		}
	}
	if err := d.Flush(t.Context()); err != nil || d.Pending() != 0 {
		t.Errorf("%v, %d left", err, d.Pending())
	}
	if slices.Sort(h.signatures); len(slices.Compact(h.signatures)) != 3 || len(h.got) != 1 {
		t.Errorf("signatures %v of %v", h.signatures, h.got)
	}
}

func TestADeliveryIsGivenUpAfterSevenTries(t *testing.T) {
	h := newHook(t)
	h.refuse = 100
	d := deliver.New(deliver.Config{Endpoints: to(h.endpoint("*"))})
	d.Post(event("invoice.paid", "one"))
	for range 7 {
		if d.Pending() != 1 {
			t.Fatalf("%d left after %d tries", d.Pending(), len(h.signatures))
		}
		_ = d.Flush(t.Context())
	}
	if d.Pending() != 0 || len(h.signatures) != 7 {
		t.Errorf("%d left after %d tries", d.Pending(), len(h.signatures))
	}
}

func TestEventsAreDuplicatedAndReorderedAndNoneIsLost(t *testing.T) {
	h := newHook(t)
	d := deliver.New(deliver.Config{Endpoints: to(h.endpoint("*")), Rand: rand.New(rand.NewPCG(1, 2)), Duplicate: 0.5, Reorder: 0.5,
		Delay: func() time.Duration { return time.Hour }})
	var sent []string
	for n := range 50 {
		sent = append(sent, fmt.Sprintf("%02d", n))
		d.Post(event("invoice.paid", sent[n]))
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(h.got) <= 55 || len(h.got) >= 95 {
		t.Errorf("%d deliveries of 50 events", len(h.got))
	}
	if slices.IsSorted(h.got) {
		t.Error("they came in order")
	}
	got := slices.Compact(slices.Sorted(slices.Values(h.got)))
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventsComeOnceAndInOrderWhereNothingIsToGoWrong(t *testing.T) {
	h := newHook(t)
	d := deliver.New(deliver.Config{Endpoints: to(h.endpoint("*"))})
	var sent []string
	for n := range 20 {
		sent = append(sent, fmt.Sprintf("%02d", n))
		d.Post(event("invoice.paid", sent[n]))
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent, h.got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEndpointThatIsGoneGetsNothingMore(t *testing.T) {
	h := newHook(t)
	endpoints := []stripe.Endpoint{h.endpoint("*")}
	d := deliver.New(deliver.Config{Endpoints: func() []stripe.Endpoint { return endpoints }})
	d.Post(event("invoice.paid", "one"))
	endpoints = nil
	if err := d.Flush(t.Context()); err != nil || d.Pending() != 0 || len(h.signatures) != 0 {
		t.Errorf("%v, %d left, %d tries", err, d.Pending(), len(h.signatures))
	}
}

func TestARedirectIsAFailureAndIsNotFollowed(t *testing.T) {
	h := newHook(t)
	door := httptest.NewServer(http.RedirectHandler(h.server.URL, http.StatusTemporaryRedirect))
	defer door.Close()
	endpoint := h.endpoint("*")
	endpoint.URL = door.URL
	d := deliver.New(deliver.Config{Endpoints: to(endpoint)})
	d.Post(event("invoice.paid", "one"))
	if err := d.Flush(t.Context()); err == nil || len(h.signatures) != 0 {
		t.Errorf("%v, %d came", err, len(h.signatures))
	}
}

func TestRunDeliversWhatIsPostedUntilItIsStopped(t *testing.T) {
	h := newHook(t)
	d := deliver.New(deliver.Config{Endpoints: to(h.endpoint("*")), Delay: func() time.Duration { return time.Millisecond }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	for n := range 3 {
		d.Post(event("invoice.paid", fmt.Sprint(n)))
		<-h.came
	}
	for d.Pending() > 0 { // the last answer is on its way
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	d.Post(event("invoice.paid", "late"))
	if d.Pending() != 1 {
		t.Errorf("%d are pending", d.Pending())
	}
}

func TestAFlushEndsWithItsContext(t *testing.T) {
	h := newHook(t)
	d := deliver.New(deliver.Config{Endpoints: to(h.endpoint("*"))})
	d.Post(event("invoice.paid", "one"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Flush(ctx); err == nil || d.Pending() != 1 {
		t.Errorf("%v, %d left", err, d.Pending())
	}
}

// One endpoint does not answer: the others are told all the same.
func TestAnEndpointThatDoesNotAnswerHoldsUpNoOther(t *testing.T) {
	let := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-let }))
	t.Cleanup(silent.Close)
	h := newHook(t)
	second := h.endpoint("*")
	second.ID = "we_2"
	d := deliver.New(deliver.Config{Endpoints: to(stripe.Endpoint{ID: "we_1", URL: silent.URL, Events: []string{"*"}, Status: "enabled"}, second)})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	for _, body := range []string{"1", "2", "3"} {
		d.Post(event("invoice.paid", body))
	}
	for range 3 {
		<-h.came
	}
	close(let)
	stop()
	running.Wait()
	if diff := cmp.Diff([]string{"1", "2", "3"}, h.got); diff != "" {
		t.Error(diff)
	}
}
