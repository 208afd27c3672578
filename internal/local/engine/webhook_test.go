package engine_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// webhook answers actions and events as told, and remembers its calls.
type webhook struct {
	url   string
	mu    sync.Mutex
	reply func(w http.ResponseWriter, r *http.Request)
	calls chan hookCall
}

type hookCall struct {
	path   string
	header http.Header
	body   []byte
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	h := &webhook{calls: make(chan hookCall, 100)}
	h.answer(http.StatusOK, `{}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.calls <- hookCall{r.URL.Path, r.Header, body}
		h.mu.Lock()
		reply := h.reply
		h.mu.Unlock()
		reply(w, r)
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// forget drops the calls that nobody looked at and answers as at first.
func (h *webhook) forget() {
	h.answer(http.StatusOK, `{}`)
	for len(h.calls) > 0 {
		<-h.calls
	}
}

func (h *webhook) answer(status int, body string) {
	h.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (h *webhook) respond(reply func(w http.ResponseWriter, r *http.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reply = reply
}

func (h *webhook) next(t *testing.T) hookCall {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	select {
	case call := <-h.calls:
		return call
	case <-ctx.Done():
		t.Fatal("the webhook was not called")
		return hookCall{}
	}
}
