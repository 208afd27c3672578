package stripesync

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/nself/tenancy/internal/pg"
)

const (
	slotCount   = 2   // transactions of events at once
	mostInRound = 200 // events that one transaction keeps
)

// ask is one who waits for an event to be kept.
type ask struct {
	event   Event
	outcome Outcome // where the event is new
	reason  string  // why it is no hint; empty: it is one
	done    chan answer
}

type answer struct {
	outcome Outcome
	err     error
}

// slot keeps events one transaction at a time: what comes meanwhile waits and goes
// together. While nothing comes no goroutine runs.
type slot struct {
	sync    *Sync
	mu      sync.Mutex
	waiting []*ask
	running bool
}

func (s *slot) add(a *ask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, a)
	if !s.running {
		s.running = true
		go s.run()
	}
}

func (s *slot) run() {
	for {
		asks := s.next()
		if len(asks) == 0 {
			return
		}
		s.guarded(asks)
	}
}

// next takes what waits. A second copy of an event goes with the next round, so that it is
// counted as a delivery of its own. None: the slot rests.
func (s *slot) next() []*ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	var round, later []*ask
	seen := map[string]bool{}
	for _, a := range s.waiting {
		if seen[a.event.ID] || len(round) == mostInRound {
			later = append(later, a)
			continue
		}
		seen[a.event.ID] = true
		round = append(round, a)
	}
	s.waiting = later
	s.running = len(round) > 0
	return round
}

// guarded is a round of which a panic ends no more than its asks.
func (s *slot) guarded(asks []*ask) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.sync.config.Log.Error("a round of Stripe's events panicked", "panic", panicked, "stack", string(debug.Stack()))
			tell(asks, nil, fmt.Errorf("a round of Stripe's events panicked: %v", panicked))
		}
	}()
	s.round(asks)
}

// round keeps the events together, and where that fails each by itself. Once the database
// is away none is tried any more.
func (s *slot) round(asks []*ask) {
	outcomes, err := s.sync.keep(asks)
	if err == nil || len(asks) == 1 || away(err) {
		tell(asks, outcomes, err)
		return
	}
	for one := range slices.Chunk(asks, 1) {
		if !away(err) {
			outcomes, err = s.sync.keep(one)
		}
		tell(one, outcomes, err)
	}
}

// tell answers those who were not answered yet.
func tell(asks []*ask, outcomes []Outcome, err error) {
	for i, a := range asks {
		got := answer{err: pg.Explain(err)}
		if err == nil {
			got.outcome = outcomes[i]
		}
		select {
		case a.done <- got:
		default: // before the panic
		}
	}
}
