package stripe

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
)

// ref is a text that is null where it is empty: mostly the id of another object.
type ref string

// MarshalJSON writes null for "".
func (r ref) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(r))
}

// stamp is a moment in Unix seconds that is null where it is 0.
type stamp int64

// MarshalJSON writes null for 0.
func (t stamp) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(t), 10), nil
}

// Reseed has the ids that are made from now on come of another seed, which is not 0, as
// Config.Seed says it of all.
func (s *Server) Reseed(seed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = binary.BigEndian.AppendUint64(nil, uint64(seed)) //nolint:gosec // any bits will do
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// token is 24 letters that no other call of it returned, with a prefix.
func (s *Server) token(prefix string) string {
	s.state.Serial++
	seed := binary.BigEndian.AppendUint64(append([]byte{}, s.key...), uint64(s.state.Serial)) //nolint:gosec // it counts up from 1
	sum := sha256.Sum256(seed)
	id := append(make([]byte, 0, len(prefix)+24), prefix...)
	for _, b := range sum[:24] {
		id = append(id, letters[int(b)%len(letters)])
	}
	return string(id)
}

// page is one page of a list.
type page[T any] struct {
	Object  string `json:"object"`
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	URL     string `json:"url"`
}

// gone is what a deleted object leaves behind.
type gone struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Deleted bool   `json:"deleted"`
}

type metadata map[string]string
type span struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}
