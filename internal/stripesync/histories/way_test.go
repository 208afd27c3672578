package histories_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	stand "github.com/nself/tenancy/internal/local/stripe"
)

// way is the way to Stripe of what is under test.
type way struct {
	history *history
	kind    stand.FaultKind // what goes wrong with the next call at Stripe
	inside  bool            // something happens while a call is under way
}

func (w *way) fault() stand.Fault {
	kind := w.kind
	w.kind = stand.FaultNone
	return stand.Fault{Kind: kind}
}

var faults = map[stand.FaultKind]string{
	stand.FaultRateLimit: "Stripe: 429", stand.FaultLockTimeout: "Stripe: 409", stand.FaultErrorUndone: "Stripe: 500, not done",
	stand.FaultErrorDone: "Stripe: 500, done", stand.FaultDropBefore: "Stripe: lost before", stand.FaultDropAfter: "Stripe: lost after",
	stand.FaultDecline: "Stripe: declined",
}

// RoundTrip makes a call, of which something may go wrong, and during which something else
// may happen.
func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	h := w.history
	l := h.chaos.current()
	if l != nil && l.dead {
		return nil, io.ErrUnexpectedEOF
	}
	if l != nil && l.rng != nil && l.rng.Float64() < 2*l.rate {
		switch n := h.rng.IntN(12); {
		case n == 0:
			l.dead = true
			h.count("crashes before a call")
			return nil, io.ErrUnexpectedEOF
		case n == 1:
			l.dead = true
			h.count("crashes after a call")
			_, _ = h.server.Transport().RoundTrip(r)
			return nil, io.ErrUnexpectedEOF
		case n == 2 && r.Method == http.MethodGet:
		default:
			w.kind = []stand.FaultKind{stand.FaultRateLimit, stand.FaultLockTimeout, stand.FaultErrorUndone, stand.FaultErrorDone,
				stand.FaultDropBefore, stand.FaultDropAfter, stand.FaultDropBefore, stand.FaultDropAfter, stand.FaultDecline}[h.rng.IntN(9)]
			if r.Method == http.MethodGet && w.kind == stand.FaultDecline {
				w.kind = stand.FaultErrorUndone
			}
			h.count(faults[w.kind])
		}
	}
	answer, err := h.server.Transport().RoundTrip(r)
	if l != nil && l.rng != nil && !w.inside && h.rng.Float64() < 2*l.rate {
		w.inside = true
		h.meanwhile(r.Method == http.MethodGet)
		w.inside = false
	}
	return answer, err
}

// byHand makes a call as a person at Stripe's dashboard does. A refusal is an answer: false.
func (h *history) byHand(method, path string, pairs ...string) bool {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://stripe.test"+path, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err) // the history is at fault
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := h.server.Transport().RoundTrip(r)
	if err != nil {
		panic(err)
	}
	defer func() { _ = answer.Body.Close() }()
	good := answer.StatusCode < 400
	body, _ := io.ReadAll(answer.Body)
	h.say("by hand: %s %s %s: %d %s", method, path, form.Encode(), answer.StatusCode, refusal(good, body))
	return good
}

func refusal(good bool, body []byte) string {
	if good {
		return ""
	}
	return fmt.Sprintf("%.200s", strings.Join(strings.Fields(string(body)), " "))
}
