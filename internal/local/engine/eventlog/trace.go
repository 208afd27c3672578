package eventlog

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
)

var (
	traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)
	spanID  = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// trace is the place of one delivery in a distributed trace: the writer's trace where the
// event carries one, else a new one.
type trace struct {
	id      string
	span    string
	parent  string // empty at the root
	sampled string // "1", "0", or empty where the decision is left to the receiver
}

// traceOf continues the trace that the writer left in the event. A context that is absent
// or not well formed begins a new trace: it must never keep an event from its delivery.
func traceOf(event json.RawMessage) trace {
	var carried struct {
		Context struct {
			Trace   string `json:"trace_id"`
			Span    string `json:"span_id"`
			Sampled string `json:"sampling_state"`
		} `json:"trace_context"`
	}
	err := json.Unmarshal(event, &carried)
	if err != nil || !traceID.MatchString(carried.Context.Trace) || !spanID.MatchString(carried.Context.Span) {
		return trace{id: randomHex(16), span: randomHex(8), sampled: "1"}
	}
	return trace{
		id:      carried.Context.Trace,
		span:    randomHex(8),
		parent:  carried.Context.Span,
		sampled: carried.Context.Sampled,
	}
}

// set writes the trace in B3 and in W3C form.
func (t trace) set(h http.Header) {
	h.Set("X-B3-TraceId", t.id)
	h.Set("X-B3-SpanId", t.span)
	if t.parent != "" {
		h.Set("X-B3-ParentSpanId", t.parent)
	}
	flags := "00"
	if t.sampled == "1" {
		flags = "01"
	}
	if t.sampled == "0" || t.sampled == "1" {
		h.Set("X-B3-Sampled", t.sampled)
	}
	h.Set("traceparent", "00-"+t.id+"-"+t.span+"-"+flags)
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return hex.EncodeToString(b)
}
