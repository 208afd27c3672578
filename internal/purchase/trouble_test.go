package purchase_test

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
)

// trouble is what goes wrong on the way to Stripe, at one call.
type trouble struct {
	to   http.RoundTripper
	nth  int    // which call, from 1; 0: none
	at   string // or the one with this idempotency key, the first time
	what string
	held chan struct{} // not nil: closed when the call waits for hold
	hold chan struct{}

	mu    sync.Mutex
	calls int
}

// What can go wrong on the way. A crash ends the goroutine that called.
const (
	lostBefore  = "lost before it was done"
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
	return w.nth != 0 && (w.calls == w.nth || w.what == awayFromNow && w.calls > w.nth)
}

func (w *trouble) RoundTrip(r *http.Request) (*http.Response, error) {
	lost := errors.Join(errors.New("lost"), io.ErrUnexpectedEOF)
	if !w.now(r) {
		return w.to.RoundTrip(r)
	}
	switch {
	case w.held != nil:
		close(w.held)
		<-w.hold
	case w.what == crashBefore:
		runtime.Goexit()
	case w.what == lostBefore, w.what == awayFromNow:
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
