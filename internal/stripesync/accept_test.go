package stripesync_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
	"github.com/nself/tenancy/internal/stripesync"
)

// hint is an event about an object that Stripe need not have.
func hint(event, object string) stripesync.Event {
	return stripesync.Event{
		ID: event, Type: "invoice.paid", Object: object, Kind: stripesync.Invoice, Customer: "cus_1",
		APIVersion: stripeapi.Version, CreatedAt: time.Unix(1700000000, 0), Payload: []byte(`{}`),
	}
}

func TestAnEventIsAcceptedOnceAndItsCopiesAreCounted(t *testing.T) {
	w := newWorld(t)
	for _, want := range []stripesync.Outcome{stripesync.Accepted, stripesync.Repeated, stripesync.Repeated} {
		if got, err := w.Accept(t.Context(), hint("evt_1", "in_1")); got != want || err != nil {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	if n := one[int](t, w, `SELECT deliveries FROM billing.stripe_events`); n != 3 {
		t.Errorf("%d deliveries are noted", n)
	}
	if n := one[int](t, w, `SELECT hints FROM billing.stripe_objects`); n != 1 {
		t.Errorf("%d hints came of one event", n)
	}
	if !slices.Equal(w.pushed, []string{"in_1"}) {
		t.Errorf("the jobs are %q", w.pushed)
	}
}

func TestWhatIsNoHintIsKeptWithTheReason(t *testing.T) {
	w := newWorld(t)
	other, nameless, live := hint("evt_other", "pi_1"), hint("evt_nameless", ""), hint("evt_live", "in_1")
	other.Kind, live.Livemode = stripesync.KindOf("payment_intent.created", "payment_intent"), true
	for _, c := range []struct {
		event  stripesync.Event
		want   stripesync.Outcome
		reason string
	}{
		{other, stripesync.Ignored, "events of its type are not followed"},
		{nameless, stripesync.Ignored, "it names no object"},
		{live, stripesync.Parked, "it is of live mode, and the key of this server is of test mode"},
	} {
		if got, err := w.Accept(t.Context(), c.event); got != c.want || err != nil {
			t.Errorf("%s: %s, %v", c.event.ID, got, err)
		}
		if got := one[string](t, w, `SELECT reason FROM billing.stripe_events WHERE event_id = $1`, c.event.ID); got != c.reason {
			t.Errorf("%s is kept because %q", c.event.ID, got)
		}
		row := must[stripesync.EventRow](t)(stripesync.EventOf(t.Context(), w.pool, c.event.ID))
		if kept := row.Payload != nil; kept != (c.event.Kind != "") {
			t.Errorf("%s of kind %q: its payload is kept: %t", c.event.ID, c.event.Kind, kept)
		}
	}
	if n := one[int](t, w, `SELECT count(*) FROM billing.stripe_objects`); n != 0 || len(w.pushed) != 0 {
		t.Errorf("%d objects, jobs %q", n, w.pushed)
	}
}

func TestAnEventOfAnotherVersionIsFollowedAndNoted(t *testing.T) {
	w := newWorld(t)
	e := hint("evt_1", "in_1")
	e.APIVersion = "2020-08-27"
	if got, err := w.Accept(t.Context(), e); got != stripesync.Accepted || err != nil || w.outcomes["invoice other-version"] != 1 {
		t.Errorf("%s, %v, %v", got, err, w.outcomes)
	}
}

func TestAPayloadThatPostgresCannotStoreIsKeptAsFarAsItCan(t *testing.T) {
	w := newWorld(t)
	e := hint("evt_1", "in_1")
	e.Payload = []byte("{\"a\":\"\x00\xff\"}")
	if got, err := w.Accept(t.Context(), e); got != stripesync.Accepted || err != nil {
		t.Fatalf("%s, %v", got, err)
	}
	if got := one[string](t, w, `SELECT payload FROM billing.stripe_events`); got != "{\"a\":\"\uFFFD\uFFFD\"}" {
		t.Errorf("the payload is %q", got)
	}
}

// together has the events accepted in one round: the first is held until all have come.
func (w *world) together(t *testing.T, events ...stripesync.Event) map[string]error {
	t.Helper()
	begun, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.mu.Lock()
	w.pushing = func([]string) error {
		once.Do(func() { close(begun); <-let })
		return nil
	}
	w.mu.Unlock()
	var all sync.WaitGroup
	all.Go(func() { w.accept(t, hint("evt_first", "in_same")) })
	<-begun
	var mu sync.Mutex
	errs := map[string]error{}
	for _, e := range events {
		all.Go(func() {
			_, err := w.Accept(t.Context(), e)
			mu.Lock()
			defer mu.Unlock()
			errs[e.ID] = err
		})
	}
	time.Sleep(50 * time.Millisecond) // for them to queue; those that come later make the test easier
	close(let)
	all.Wait()
	return errs
}

func TestOneBadEventOfARoundFailsAlone(t *testing.T) {
	w := newWorld(t)
	events := []stripesync.Event{hint("evt_nul\x00", "in_same"), hint("evt_utf\xff", "in_same"), hint("evt_long", "in_same")}
	events[2].Kind = "no kind"
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		events = append(events, hint("evt_"+name, "in_same"))
	}
	for event, err := range w.together(t, events...) {
		bad := strings.Contains(event, "\x00") || !utf8.ValidString(event) || event == "evt_long"
		if bad && !fault.Is(err, fault.InvalidInput) || !bad && err != nil {
			t.Errorf("%q: %v", event, err)
		}
	}
	if n := one[int](t, w, `SELECT hints FROM billing.stripe_objects`); n != 6 {
		t.Errorf("%d hints, want 6", n)
	}
}

func TestAQueueThatRefusesARoundKeepsNothingOfIt(t *testing.T) {
	w := newWorld(t)
	w.pushing = func([]string) error { return errors.New("no queue") }
	if _, err := w.Accept(t.Context(), hint("evt_1", "in_1")); err == nil {
		t.Error("an event without a job was accepted")
	}
	w.pushing = func([]string) error { panic("no queue") }
	if _, err := w.Accept(t.Context(), hint("evt_1", "in_1")); err == nil {
		t.Error("an event of a round that panicked was accepted")
	}
	w.pushing = nil
	if n := one[int](t, w, `SELECT count(*) FROM billing.stripe_events`); n != 0 {
		t.Errorf("%d events are kept", n)
	}
	if got, err := w.Accept(t.Context(), hint("evt_1", "in_1")); got != stripesync.Accepted || err != nil {
		t.Errorf("afterwards: %s, %v", got, err)
	}
}

func TestADatabaseThatIsAwayIsUnavailable(t *testing.T) {
	w := newWorld(t)
	w.pool.Close()
	if _, err := w.Accept(t.Context(), hint("evt_1", "in_1")); err == nil {
		t.Error("an event was accepted without a database")
	}
}

func TestKindsGoByTypeAndObject(t *testing.T) {
	for _, c := range []struct{ event, object, want string }{
		{"customer.subscription.updated", "subscription", stripesync.Subscription},
		{"checkout.session.completed", "checkout.session", stripesync.CheckoutSession},
		{"test_helpers.test_clock.ready", "test_helpers.test_clock", stripesync.TestClock},
		{"invoice.upcoming", "invoice", ""},
		{"invoice.paid", "charge", ""},
		{"charge.dispute.created", "dispute", ""},
		{"", "", ""},
	} {
		if got := stripesync.KindOf(c.event, c.object); got != c.want {
			t.Errorf("%s about a %s is followed as %q, want %q", c.event, c.object, got, c.want)
		}
	}
	if types := stripesync.Types(); !slices.IsSorted(types) || !slices.Contains(types, "invoice.paid") || slices.Contains(types, "invoice.upcoming") {
		t.Errorf("the types are %q", types)
	}
}
