package stripe

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

// keysKept is how long a reply can be had again, in real time.
const keysKept = 24 * time.Hour

// replay is what an Idempotency-Key stands for.
type replay struct {
	Print   string // of method, path and parameters
	Status  int
	Body    string
	Request string // the id of the request that was answered first
	Since   time.Time
	busy    bool // the first call is at work
}

// once does the call that comes first with its key. Later ones get its reply again,
// whatever it was; a call that was refused before it began to work leaves the key free.
func (s *Server) once(a asked) reply {
	if len(a.Key) > 255 {
		return refusal(&apiError{status: http.StatusBadRequest, Type: "idempotency_error", Message: "Idempotency keys can have up to 255 characters."})
	}
	if answer, known := s.claim(a); known {
		return answer
	}
	time.Sleep(a.fault.Wait)
	return s.do(a)
}

// claim takes the key for this call, or returns what to answer instead.
func (s *Server) claim(a asked) (reply, bool) {
	sum := sha256.Sum256([]byte(a.Method + " " + a.Path + " " + a.values.Encode()))
	print := hex.EncodeToString(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.state.Keys[a.Key]
	switch {
	case !ok || !known.busy && time.Since(known.Since) > keysKept:
		s.state.Keys[a.Key] = &replay{Print: print, busy: true, Since: time.Now()}
		return reply{}, false
	case known.Print != print:
		return refusal(&apiError{status: http.StatusBadRequest, Type: "idempotency_error",
			Message: "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '" + a.Key + "' if you meant to execute a different request."}), true
	case known.busy:
		return refusal(&apiError{status: http.StatusConflict, Type: "idempotency_error", Code: "idempotency_key_in_use",
			Message: "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): " + a.Key + ". Please try again later."}), true
	}
	return reply{status: known.Status, body: []byte(known.Body), request: known.Request, replayed: true}, true
}

// keep notes what a call with a key was answered, or lets the key go.
func (s *Server) keep(a asked, answer reply, stored bool) {
	known, ok := s.state.Keys[a.Key]
	if !ok || !known.busy || a.Method != http.MethodPost {
		return
	}
	if !stored {
		delete(s.state.Keys, a.Key)
		return
	}
	known.busy, known.Since = false, time.Now()
	known.Status, known.Body, known.Request = answer.status, string(answer.body), a.id
	s.changed = true
}

// forget lets go of the keys that are too old, and of those whose call a stop cut off.
func (s *Server) forget() {
	for key, known := range s.state.Keys {
		if known.Status == 0 || time.Since(known.Since) > keysKept {
			delete(s.state.Keys, key)
		}
	}
}
