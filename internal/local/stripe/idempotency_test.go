package stripe_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/local/stripe"
)

func (w *world) keyed(key, path string, pairs ...string) answer {
	w.Helper()
	a, err := w.try(http.MethodPost, path, key, pairs...)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func TestSameKeyIsAnsweredAgainAndNotDoneAgain(t *testing.T) {
	w := start(t)
	customer, price := w.customer("pm_card_visa"), w.price(1000)
	pairs := []string{"customer", customer, "items[0][price]", price}
	first := w.keyed("k", "/v1/subscriptions", pairs...)
	again := w.keyed("k", "/v1/subscriptions", pairs...)
	w.want("the id", text(again.body, "id"), text(first.body, "id"))
	w.want("the mark of a replay", again.header.Get("Idempotent-Replayed"), "true")
	w.want("the original", again.header.Get("Original-Request"), first.header.Get("Request-Id"))
	w.want("the charges", len(w.server.Charges()), 1)
	other := w.keyed("k", "/v1/subscriptions", append(pairs, "metadata[a]", "b")...)
	w.want("other parameters", text(other.body, "error", "type"), "idempotency_error")
}

func TestRefusedParametersLeaveTheKeyFree(t *testing.T) {
	w := start(t)
	w.want("the refusal", w.keyed("k", "/v1/customers", "nickname", "a").status, 400)
	w.want("the call", w.keyed("k", "/v1/customers", "name", "a").status, 200)
	w.want("a missing object", w.keyed("m", "/v1/subscriptions", "customer", "cus_x", "items[0][price]", "price_x").status, 400)
	w.want("its replay", w.keyed("m", "/v1/subscriptions", "customer", "cus_x", "items[0][price]", "price_x").header.Get("Idempotent-Replayed"), "true")
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		kind          stripe.FaultKind
		status, again int // 0 is a connection that ended
		done          int // customers after the first call
	}{
		"rate limit":   {stripe.FaultRateLimit, 429, 200, 0},
		"lock timeout": {stripe.FaultLockTimeout, 409, 200, 0},
		"decline":      {stripe.FaultDecline, 402, 402, 0},
		"500 undone":   {stripe.FaultErrorUndone, 500, 500, 0},
		"500 done":     {stripe.FaultErrorDone, 500, 500, 1},
		"drop before":  {stripe.FaultDropBefore, 0, 200, 0},
		"drop after":   {stripe.FaultDropAfter, 0, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var kind stripe.FaultKind
			w := start(t, func(s *stripe.Config) { s.Fault = func(stripe.Call) stripe.Fault { return stripe.Fault{Kind: kind} } })
			kind = c.kind
			a, err := w.try(http.MethodPost, "/v1/customers", "k", "name", "a")
			w.want("the connection", errors.Is(err, io.ErrUnexpectedEOF), c.status == 0)
			w.want("the answer", a.status, c.status)
			kind = stripe.FaultNone
			w.want("the customers", len(at(w.get("/v1/customers"), "data").([]any)), c.done)
			w.want("the answer to the second call", w.keyed("k", "/v1/customers", "name", "a").status, c.again)
		})
	}
}

func TestKeyAtWorkIsInUse(t *testing.T) {
	w := start(t, func(s *stripe.Config) {
		s.Fault = func(c stripe.Call) stripe.Fault {
			if c.N == 1 {
				return stripe.Fault{Wait: 300 * time.Millisecond}
			}
			return stripe.Fault{}
		}
	})
	// Refused parameters leave the key free, so that either call may come first.
	ask := func() int {
		a, err := w.try(http.MethodPost, "/v1/customers", "k", "nickname", "a")
		if err != nil {
			t.Error(err)
		}
		return a.status
	}
	first := make(chan int, 1)
	go func() { first <- ask() }()
	for {
		select {
		case status := <-first:
			if status != http.StatusConflict {
				t.Fatalf("nobody was told that the key is in use: the first call got %d", status)
			}
			return
		default:
			if ask() == http.StatusConflict {
				return
			}
		}
	}
}
