package stripe

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// bodyBytes is how long a request may be.
const bodyBytes = 1 << 20

// call is one call of the API while it is being done.
type call struct {
	ctx context.Context
	id  string // of the object in the path
	in  *form
}

// operation does a call with the lock held.
type operation func(*call) (any, error)

// reply is what a call was answered.
type reply struct {
	status   int
	body     []byte
	request  string // the id of the request that was answered so first; "" is this one
	replayed bool
}

// asked is a request before it is done.
type asked struct {
	Call
	id      string // of the request
	values  url.Values
	do      operation
	object  string
	fault   Fault
	context context.Context
}

// serve makes the handler of one route.
func (s *Server) serve(do operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := asked{Call: Call{Method: r.Method, Path: r.URL.Path, Key: r.Header.Get("Idempotency-Key")}, do: do, object: r.PathValue("id"), context: r.Context()}
		s.mu.Lock()
		s.calls++
		a.N, a.id = s.calls, s.token("req_")
		s.mu.Unlock()
		if s.config.Fault != nil {
			a.fault = s.config.Fault(a.Call)
		}
		if a.fault.Kind == FaultDropBefore {
			panic(http.ErrAbortHandler) // how net/http ends a connection
		}
		answer := s.answer(w, r, a)
		s.drain()
		if a.fault.Kind == FaultDropAfter {
			panic(http.ErrAbortHandler)
		}
		write(w, a, answer)
	}
}

func write(w http.ResponseWriter, a asked, answer reply) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Request-Id", a.id)
	h.Set("Stripe-Version", Version)
	h.Set("Cache-Control", "no-cache, no-store")
	if a.Key != "" && a.Method == http.MethodPost {
		h.Set("Idempotency-Key", a.Key)
	}
	if answer.request != "" {
		h.Set("Original-Request", answer.request)
	}
	if answer.replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // whoever asked is gone
}

// answer admits the request, and does it or repeats what was answered before.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, a asked) reply {
	if err := s.admit(r); err != nil {
		return refusal(err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytes))
	if err != nil {
		return refusal(invalid("", "", "The request could not be read: it is cut short or longer than 1 MiB."))
	}
	posted, err := url.ParseQuery(string(body))
	if err != nil {
		return refusal(invalid("", "", "Invalid request: its body is not form-encoded (%s).", err))
	}
	a.values = r.URL.Query()
	for name, values := range posted {
		a.values[name] = append(a.values[name], values...)
	}
	if e := a.fault.Kind.refusal(); e != nil && e.early {
		time.Sleep(a.fault.Wait)
		return refusal(e)
	}
	if a.Key == "" || a.Method != http.MethodPost {
		time.Sleep(a.fault.Wait)
		return s.do(a)
	}
	return s.once(a)
}

// admit checks the key and the version.
func (s *Server) admit(r *http.Request) error {
	key, _, basic := r.BasicAuth()
	if !basic {
		key, basic = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	switch {
	case !basic || key == "":
		return unauthorized("You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	case !strings.HasPrefix(key, "sk_test_") && !strings.HasPrefix(key, "rk_test_"),
		s.config.Key != "" && subtle.ConstantTimeCompare([]byte(key), []byte(s.config.Key)) != 1:
		return unauthorized("Invalid API Key provided.")
	}
	if version := r.Header.Get("Stripe-Version"); version != "" && version != Version {
		return invalid("", "", "Invalid Stripe API version: %s. This stand-in serves %s alone.", version, Version)
	}
	return nil
}

// do does the call once, keeps its reply for its Idempotency-Key, and saves.
func (s *Server) do(a asked) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, stored := s.perform(a)
	s.keep(a, answer, stored)
	if err := s.save(); err != nil {
		s.config.Log.Error("the stripe stand-in could not save", "error", err)
	}
	return answer
}

// perform does the call, and tells whether its Idempotency-Key keeps the reply.
func (s *Server) perform(a asked) (answer reply, stored bool) {
	kind := a.fault.Kind
	if kind == FaultDecline || kind == FaultErrorUndone {
		return refusal(kind.refusal()), true
	}
	s.request = request{ID: ref(a.id), IdempotencyKey: ref(a.Key)}
	defer func() { s.request = request{} }()
	in := newForm(a.values)
	expand := in.texts("expand")
	result, err := a.do(&call{ctx: a.context, id: a.object, in: in})
	if err == nil && len(expand) > 0 {
		result, err = s.expand(result, expand)
	}
	if a.Method != http.MethodGet {
		s.changed = true
	}
	if err != nil {
		var e *apiError
		return refusal(err), !errors.As(err, &e) || !e.early
	}
	if kind == FaultErrorDone {
		return refusal(kind.refusal()), true
	}
	return reply{status: http.StatusOK, body: encoded(result)}, true
}

func encoded(v any) []byte {
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	return snapshot(v)
}

// refusal is the reply to an error.
func refusal(err error) reply {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: http.StatusInternalServerError, Type: "api_error", Message: err.Error()}
	}
	return reply{status: e.status, body: snapshot(map[string]*apiError{"error": e})}
}
