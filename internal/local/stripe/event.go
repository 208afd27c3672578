package stripe

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"
)

// eventsKept is how long an event can be asked for.
const eventsKept = 30 * 24 * time.Hour

// object is a row of a table that events tell of.
type object interface {
	ident() string
	wire() any     // as the API shows it
	clock() string // the test clock it lives by; "" is Config.Now
}

type eventRow struct {
	ID   string
	Type string
	At   int64 // of its clock
	Made int64 // by Config.Now
	Body json.RawMessage
}

func (e *eventRow) ident() string { return e.ID }
func (e *eventRow) wire() any     { return e.Body }
func (e *eventRow) clock() string { return "" }
func (e *eventRow) public() Event {
	return Event{ID: e.ID, Type: e.Type, Created: time.Unix(e.At, 0).UTC(), Body: e.Body}
}

// request is the call during which something happened; both are null in what the clock did.
type request struct {
	ID             ref `json:"id"`
	IdempotencyKey ref `json:"idempotency_key"`
}

type eventHead struct {
	ID              string  `json:"id"`
	Object          string  `json:"object"`
	APIVersion      string  `json:"api_version"`
	Created         int64   `json:"created"`
	Livemode        bool    `json:"livemode"`
	PendingWebhooks int     `json:"pending_webhooks"`
	Request         request `json:"request"`
	Type            string  `json:"type"`
}

// snapshot is an object as JSON. What is kept here always has one.
func snapshot(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return data
}

func (s *Server) remember(o object) { s.state.seen[o.ident()] = snapshot(o.wire()) }

// tell makes an event about an object as it is now.
func (s *Server) tell(kind string, o object) { s.record(kind, o, snapshot(o.wire()), nil) }

// changedTo makes an event of a change, with what was there before; none where nothing is
// different from the last event about the object.
func (s *Server) changedTo(kind string, o object) {
	now := snapshot(o.wire())
	before := s.state.seen[o.ident()]
	if before == nil || bytes.Equal(before, now) {
		return
	}
	s.record(kind, o, now, difference(before, now))
}

// repeat makes another event about an object that has not changed since its last.
func (s *Server) repeat(kind string, o object) { s.record(kind, o, s.state.seen[o.ident()], nil) }

func (s *Server) record(kind string, o object, now, before []byte) {
	at := s.now(o.clock())
	head := eventHead{ID: s.token("evt_"), Object: "event", APIVersion: Version, Created: at, Type: kind, Request: s.request}
	for _, e := range s.state.Endpoints.all() {
		if e.Status == "enabled" && (slices.Contains(e.EnabledEvents, "*") || slices.Contains(e.EnabledEvents, kind)) {
			head.PendingWebhooks++
		}
	}
	row := &eventRow{ID: head.ID, Type: kind, At: at, Made: s.config.Now().Unix(), Body: head.with(now, before)}
	s.state.seen[o.ident()] = now
	s.state.Events.put(row)
	s.outbox = append(s.outbox, row.public())
	s.changed = true
}

// with is the whole event: its head and its data, which are JSON already.
func (h eventHead) with(now, before []byte) []byte {
	head := snapshot(h)
	body := make([]byte, 0, len(head)+len(now)+len(before)+48)
	body = append(append(body, head[:len(head)-1]...), `,"data":{"object":`...)
	body = append(body, now...)
	if before != nil {
		body = append(append(body, `,"previous_attributes":`...), before...)
	}
	return append(body, "}}"...)
}

// drain gives the new events to Config.Deliver, in order and outside the lock. One caller
// at a time does it, and takes what the others leave; so Deliver may call the API.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Deliver == nil {
		s.outbox = nil
	}
	if s.draining {
		return
	}
	s.draining = true
	for len(s.outbox) > 0 {
		events := s.outbox
		s.outbox = nil
		s.mu.Unlock()
		for _, e := range events {
			s.config.Deliver(e)
		}
		s.mu.Lock()
	}
	s.draining = false
}

func (s *Server) listEvents(c *call) (any, error) {
	p, kinds, created := c.in.paging(), c.in.texts("types"), c.in.within("created")
	if kind := c.in.word("type"); kind != "" {
		kinds = append(kinds, kind)
	}
	if err := c.in.done(); err != nil {
		return nil, err
	}
	oldest := s.config.Now().Add(-eventsKept).Unix()
	return pick(&s.state.Events, p, "/v1/events", func(e *eventRow) bool {
		return e.Made >= oldest && created.holds(e.At) && matches(kinds, e.Type)
	})
}

// matches knows the star that stands for the rest of a type: customer.*.
func matches(kinds []string, kind string) bool {
	for _, k := range kinds {
		if k == kind || len(k) > 0 && k[len(k)-1] == '*' && len(kind) >= len(k)-1 && kind[:len(k)-1] == k[:len(k)-1] {
			return true
		}
	}
	return len(kinds) == 0
}

func (s *Server) retrieveEvent(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	e := s.state.Events.get(c.id)
	if e == nil || e.Made < s.config.Now().Add(-eventsKept).Unix() {
		return nil, noSuch("event", c.id, "id")
	}
	return e.wire(), nil
}
