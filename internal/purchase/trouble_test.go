package purchase_test

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/id"
)

// trouble is what goes wrong on the way to Stripe, at one call.
type trouble struct {
	to   http.RoundTripper
	nth  int    // which call, from 1; 0: none
	at   string // or the one with this idempotency key, the first time
	what string
	held chan struct{} // not nil: closed when the call waits for hold
	hold chan struct{}

	path   string                // or the first post to it
	lose   string                // calls of this method are lost before they are done
	before func(r *http.Request) // not nil: is told of each call before it is made

	mu    sync.Mutex
	calls int
}

// What can go wrong on the way. A crash ends the goroutine that called.
const (
	lostAfter   = "lost after it was done"
	crashBefore = "crash before it was done"
	crashAfter  = "crash after it was done"
	awayFromNow = "out of reach"
)

func (w *trouble) now(r *http.Request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.at != "" && w.at == r.Header.Get("Idempotency-Key") {
		w.at = ""
		return true
	}
	if w.path != "" && w.path == r.URL.Path && r.Method == http.MethodPost {
		w.path = ""
		return true
	}
	return w.nth != 0 && (w.calls == w.nth || w.what == awayFromNow && w.calls > w.nth)
}

func (w *trouble) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.before != nil {
		w.before(r)
	}
	lost := errors.Join(errors.New("lost"), io.ErrUnexpectedEOF)
	if w.lose == r.Method {
		return nil, lost
	}
	if !w.now(r) {
		return w.to.RoundTrip(r)
	}
	switch {
	case w.held != nil:
		close(w.held)
		<-w.hold
	case w.what == crashBefore:
		runtime.Goexit()
	case w.what == awayFromNow:
		return nil, lost
	}
	answer, err := w.to.RoundTrip(r)
	switch w.what {
	case crashAfter:
		runtime.Goexit()
	case lostAfter:
		return nil, lost
	}
	return answer, err
}

// free gives the lease of a runner that crashed back, as time does.
func (w *world) free(t testing.TB, op id.Operation) {
	t.Helper()
	w.exec(t, `UPDATE billing.operations SET leased_until = now() - interval '1 s' WHERE id = $1 AND lease IS NOT NULL`, op)
	w.exec(t, `UPDATE billing.stripe_objects SET leased_until = now() - interval '1 s' WHERE lease IS NOT NULL`)
}

func (w *world) state(t testing.TB, op id.Operation) string {
	t.Helper()
	return scan[string](t, w, `SELECT state || coalesce(' ' || (failure->>'code'), '') FROM billing.operations WHERE id = $1`, op)
}

func contains(t testing.TB, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%v does not say %q", err, words)
	}
}
