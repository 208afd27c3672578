package quota

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/usage"
)

const (
	// mostDebts bounds the memory that an outage takes: beyond it asks are refused.
	mostDebts = 100_000
	// debtSpan is how finely debts are dated: each falls into the period it was made in.
	debtSpan = 15 * time.Minute
	// mostFlushed is how many are recorded at once.
	mostFlushed = 1000
)

// debtKey tells apart what is recorded by itself.
type debtKey struct {
	pair
	value string
	span  time.Time
}

// debts are amounts that were allowed while the database was away, and are to be
// recorded. Each is recorded under a key, so that trying again counts it once.
type debts struct {
	mu    sync.Mutex
	open  map[debtKey]*usage.Event
	ready []usage.Event // tried before: they do not grow any more
}

func (d *debts) init() { d.open = map[debtKey]*usage.Event{} }

func (d *debts) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open) + len(d.ready)
}

// add counts an ask in memory; false: there are too many already.
func (d *debts) add(ask Ask, is usage.Aggregation) bool {
	now := time.Now()
	key := debtKey{pair{ask.Tenant, ask.Meter}, ask.Value, now.UTC().Truncate(debtSpan)}
	d.mu.Lock()
	defer d.mu.Unlock()
	owed := d.open[key]
	switch {
	case owed == nil && len(d.open)+len(d.ready) >= mostDebts:
		return false
	case owed == nil:
		d.open[key] = &usage.Event{Tenant: ask.Tenant, Meter: ask.Meter, Key: "outage " + rand.Text(), Amount: ask.Amount, Value: ask.Value, At: now}
	case is == usage.Max:
		if ask.Amount.GreaterThan(owed.Amount) {
			owed.Amount = ask.Amount
		}
	case is != usage.Unique:
		owed.Amount = owed.Amount.Add(ask.Amount)
	}
	return true
}

// take is what is to be recorded next.
func (d *debts) take() []usage.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, owed := range d.open {
		d.ready = append(d.ready, *owed)
		delete(d.open, key)
	}
	return d.ready[:min(len(d.ready), mostFlushed)]
}

func (d *debts) done(many int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ready = d.ready[many:]
}

// flush records what it can. What usage refuses (the tenant is gone, its period closed)
// is logged and given up.
func (d *debts) flush(ctx context.Context, db pg.DB, log *slog.Logger) {
	for {
		events := d.take()
		if len(events) == 0 {
			return
		}
		limited, cancel := context.WithTimeout(ctx, roundPatience)
		outcomes, err := usage.Record(limited, db, session.Session{Role: session.Server}, events)
		cancel()
		if err != nil {
			log.Warn("what was allowed while the database was away could not be recorded; it is tried again", "amounts", d.count(), "error", err)
			return
		}
		for i, outcome := range outcomes {
			if outcome.Status == usage.Refused {
				log.Error("an amount that was allowed while the database was away is not recorded",
					"tenant", events[i].Tenant, "meter", events[i].Meter, "amount", events[i].Amount, "reason", outcome.Reason)
			}
		}
		d.done(len(events))
	}
}
