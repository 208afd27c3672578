package engine

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// trace is the tracing context of one request: taken from the client where it sends
// one, begun here otherwise.
type trace struct {
	id     string // 32 hex digits
	span   string // 16 hex digits: this engine's own
	parent string // the client's span, or empty
}

func traceOf(header http.Header) trace {
	t := trace{id: randomHex(16), span: randomHex(8)}
	parts := strings.Split(header.Get("Traceparent"), "-")
	switch {
	case len(parts) == 4 && isHex(parts[1], 32) && isHex(parts[2], 16):
		t.id, t.parent = parts[1], parts[2]
	case isHex(header.Get("X-B3-TraceId"), 32):
		t.id = header.Get("X-B3-TraceId")
		if span := header.Get("X-B3-SpanId"); isHex(span, 16) {
			t.parent = span
		}
	}
	return t
}

// headers are sent with every webhook: B3, and W3C's.
func (t trace) headers() http.Header {
	header := http.Header{}
	span := randomHex(8)
	header.Set("X-B3-TraceId", t.id)
	header.Set("X-B3-SpanId", span)
	header.Set("X-B3-ParentSpanId", t.span)
	header.Set("X-B3-Sampled", "1")
	header.Set("Traceparent", "00-"+t.id+"-"+span+"-01")
	return header
}

// context is the JSON of the setting hasura.tracecontext.
func (t trace) context() string {
	text, err := json.Marshal(map[string]string{"trace_id": t.id, "span_id": t.span, "sampling_state": "1"})
	if err != nil {
		return "{}" // cannot be: a map of strings always encodes
	}
	return string(text)
}

func randomHex(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(raw)
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(strings.ToLower(text), "0123456789abcdef") == ""
}
