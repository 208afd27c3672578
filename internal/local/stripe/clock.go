package stripe

import (
	"container/heap"
	"context"
	"strings"
)

// testClock is a time of its own for some customers.
type testClock struct {
	ID           string `json:"id"`
	Object       string `json:"object"`
	Created      int64  `json:"created"`
	DeletesAfter int64  `json:"deletes_after"`
	FrozenTime   int64  `json:"frozen_time"`
	Livemode     bool   `json:"livemode"`
	Name         ref    `json:"name"`
	Status       string `json:"status"`
}

func (t *testClock) ident() string { return t.ID }
func (t *testClock) wire() any     { return t }
func (t *testClock) clock() string { return t.ID }

// now is the time of a test clock, or of those who live by none.
func (s *Server) now(clock string) int64 {
	if t := s.state.Clocks.get(clock); t != nil {
		return t.FrozenTime
	}
	if s.ticking != 0 {
		return s.ticking
	}
	return s.config.Now().Unix()
}

// due is an object that shall be looked at.
type due struct {
	at     int64
	serial int
	id     string
}

// agenda is what is due by one clock, the earliest first and then as it was planned.
type agenda struct {
	dues   []due
	serial int
}

func (a *agenda) Len() int { return len(a.dues) }
func (a *agenda) Less(i, j int) bool {
	if a.dues[i].at != a.dues[j].at {
		return a.dues[i].at < a.dues[j].at
	}
	return a.dues[i].serial < a.dues[j].serial
}
func (a *agenda) Swap(i, j int) { a.dues[i], a.dues[j] = a.dues[j], a.dues[i] }

// Push is for container/heap.
func (a *agenda) Push(x any) { a.dues = append(a.dues, x.(due)) }

// Pop is for container/heap.
func (a *agenda) Pop() any {
	last := a.dues[len(a.dues)-1]
	a.dues = a.dues[:len(a.dues)-1]
	return last
}

// planned is an object that something is to happen to by itself.
type planned interface {
	object
	next() int64 // when; 0 is never
}

// plan notes when the object is next due. What was noted before stays: an object that is
// looked at too early is left alone.
func (s *Server) plan(o planned) {
	at := o.next()
	if at == 0 {
		return
	}
	a := s.state.agendas[o.clock()]
	if a == nil {
		a = &agenda{}
		s.state.agendas[o.clock()] = a
	}
	a.serial++
	heap.Push(a, due{at, a.serial, o.ident()})
}

// advance moves a clock forward and does on the way what comes due, each at its moment.
func (s *Server) advance(ctx context.Context, clock string, until int64) {
	set := func(at int64) { s.ticking = at }
	if t := s.state.Clocks.get(clock); t != nil {
		set = func(at int64) { t.FrozenTime = max(at, t.FrozenTime) }
	}
	for ctx.Err() == nil {
		a := s.state.agendas[clock]
		if a == nil || len(a.dues) == 0 || a.dues[0].at > until {
			break
		}
		d := heap.Pop(a).(due)
		set(d.at)
		s.come(d)
	}
	set(until)
	if clock == "" {
		s.ticking = 0
	}
}

// come does what is due to one object, if it still is.
func (s *Server) come(d due) {
	var o planned
	var do func()
	switch kind, _, _ := strings.Cut(d.id, "_"); kind {
	case "sub":
		if row := s.state.Subscriptions.get(d.id); row != nil {
			o, do = row, func() { s.subscriptionDue(row) }
		}
	case "in":
		if row := s.state.Invoices.get(d.id); row != nil {
			o, do = row, func() { s.invoiceDue(row) }
		}
	case "cs":
		if row := s.state.Sessions.get(d.id); row != nil {
			o, do = row, func() { s.expireSession(row) }
		}
	}
	if o == nil || o.next() == 0 || o.next() > d.at {
		return
	}
	do()
	s.changed = true
	s.plan(o)
}

func (s *Server) createClock(c *call) (any, error) {
	frozen, name := c.in.need("frozen_time"), c.in.text("name")
	at := c.in.whole("frozen_time")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	if at == nil || *at <= 0 {
		return nil, invalid("", "frozen_time", "Invalid timestamp: %s", frozen)
	}
	made := s.config.Now().Unix()
	t := &testClock{ID: s.token("clock_"), Object: "test_helpers.test_clock", Created: made, DeletesAfter: made + 30*24*3600, FrozenTime: *at, Status: "ready"}
	set(&t.Name, name)
	s.state.Clocks.put(t)
	s.tell("test_helpers.test_clock.created", t)
	return t, nil
}

func (s *Server) findClock(id string) (*testClock, error) {
	if t := s.state.Clocks.get(id); t != nil {
		return t, nil
	}
	return nil, absent("test_clock", id, "test_clock")
}

func (s *Server) retrieveClock(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return s.findClock(c.id)
}

func (s *Server) listClocks(c *call) (any, error) {
	p := c.in.paging()
	if err := c.in.done(); err != nil {
		return nil, err
	}
	return pick(&s.state.Clocks, p, "/v1/test_helpers/test_clocks", func(*testClock) bool { return true })
}

// advanceClock answers that the clock is advancing; it has arrived when the reply does.
func (s *Server) advanceClock(c *call) (any, error) {
	c.in.need("frozen_time")
	at := c.in.whole("frozen_time")
	if err := c.in.done(); err != nil {
		return nil, err
	}
	t, err := s.findClock(c.id)
	if err != nil {
		return nil, err
	}
	if *at <= t.FrozenTime {
		return nil, invalid("", "frozen_time", "Cannot advance a test clock backwards or to its present time: it stands at %d, you asked for %d.", t.FrozenTime, *at)
	}
	t.Status = "advancing"
	s.tell("test_helpers.test_clock.advancing", t)
	shown := *t
	s.request = request{}
	s.advance(context.WithoutCancel(c.ctx), t.ID, *at)
	t.Status = "ready"
	s.tell("test_helpers.test_clock.ready", t)
	shown.FrozenTime = *at
	return &shown, nil
}

// deleteClock deletes its customers with it, without an event for each.
func (s *Server) deleteClock(c *call) (any, error) {
	if err := c.in.done(); err != nil {
		return nil, err
	}
	t, err := s.findClock(c.id)
	if err != nil {
		return nil, err
	}
	for _, row := range s.state.Customers.all() {
		if row.clock() == t.ID {
			s.dropCustomer(row)
		}
	}
	s.tell("test_helpers.test_clock.deleted", t)
	s.state.Clocks.remove(t.ID)
	delete(s.state.agendas, t.ID)
	return &gone{ID: t.ID, Object: t.Object, Deleted: true}, nil
}
