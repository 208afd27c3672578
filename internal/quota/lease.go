package quota

import (
	"context"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/usage"
)

// lease is the part of one pair's quota over which this process decides. Its units are
// held in the database until they are reported as used or handed back.
type lease struct {
	decider *Decider
	of      pair

	mu        sync.Mutex
	meter     usage.Meter
	id        id.Lease // zero: nothing is leased
	number    int64    // of the last that the database was told of it
	left      int64    // units that can still be granted
	spent     int64    // units granted and not reported
	ends      deadline // the period's
	opened    bool     // the database has it, or may have it
	stale     bool     // limits changed: it is to be handed back
	last      tally    // as of the last decision
	askedAt   time.Time
	unsettled []report // told, or to be told, and not answered; in their order
	waiting   []*waiter
	busy      bool // somebody is at the database for it
	gone      bool // taken out of the table
}

// report is what was used of a lease, under a number: repeated it is counted once.
type report struct {
	lease    id.Lease
	number   int64
	amount   int64
	finished bool // what is left is handed back
}

// waiter is an ask that what is left is too little for.
type waiter struct {
	ask    Ask
	amount int64
	answer answers
}

func (d *Decider) takeLeased(ctx context.Context, meter usage.Meter, ask Ask, amount int64) (Decision, error) {
	l := d.leases.get(d, pair{ask.Tenant, ask.Meter})
	decided, wait := l.take(meter, ask, amount)
	if wait == nil {
		return decided, nil
	}
	select {
	case told := <-wait.answer:
		return told.decision, told.err
	case <-ctx.Done():
		if l.leave(wait) {
			return Decision{}, ctx.Err()
		}
		told := <-wait.answer // it was decided in this moment
		return told.decision, told.err
	}
}

// take grants in memory, or begins to wait. The lease is locked by get.
func (l *lease) take(meter usage.Meter, ask Ask, amount int64) (Decision, *waiter) {
	defer l.mu.Unlock()
	l.askedAt, l.meter = time.Now(), meter
	if l.usable(l.askedAt) && amount <= l.left {
		return l.grant(amount), nil
	}
	w := &waiter{ask, amount, newAnswers()}
	l.waiting = append(l.waiting, w)
	if !l.busy {
		l.busy = true
		l.decider.shardOf(l.of.tenant).addLease(l)
	}
	return Decision{}, w
}

func (l *lease) usable(now time.Time) bool {
	return !l.id.IsZero() && !l.stale && !l.ends.over(now)
}

// grant moves units from what is left to what was spent.
func (l *lease) grant(amount int64) Decision {
	l.left -= amount
	l.spent += amount
	l.last.spend(amount)
	return l.last.decide(l.meter, true, l.left)
}

// leave takes a waiter out; false: it was answered.
func (l *lease) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting {
		if other == w {
			l.waiting = append(l.waiting[:i:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// tell makes what was spent a report. While others are unsettled it waits, so that an
// outage makes no heap of them.
func (l *lease) tell() {
	if l.spent > 0 && len(l.unsettled) == 0 {
		l.number++
		l.unsettled = append(l.unsettled, report{l.id, l.number, l.spent, false})
		l.spent = 0
	}
}

// retire ends the lease here; the report that hands it back is to be sent. The next ask
// begins another.
func (l *lease) retire() {
	if l.opened {
		l.unsettled = append(l.unsettled, report{l.id, l.number + 1, l.spent, true})
	}
	l.id, l.number, l.left, l.spent = id.Lease{}, 0, 0, 0
	l.ends, l.opened, l.stale = deadline{}, false, false
}

// ripe reports whether the lease is to be handed back: its period is over, or limits
// changed. One that the database never answered is not: it is asked for again.
func (l *lease) ripe(now time.Time) bool {
	return !l.ends.asked.IsZero() && (l.stale || l.ends.over(now))
}

// serve answers the waiters that can be: rest is the room that the database has beside
// the lease; nil: without bound. True: some are left, and are to be asked for.
func (l *lease) serve(now time.Time, rest *int64) bool {
	usable := !l.id.IsZero() && !l.ends.over(now)
	kept := l.waiting[:0]
	for _, w := range l.waiting {
		switch {
		case usable && w.amount <= l.left:
			w.answer.give(answer{decision: l.grant(w.amount)})
		case usable && rest != nil && w.amount > l.left+*rest:
			w.answer.give(answer{decision: l.last.decide(l.meter, false, l.left)})
		default:
			kept = append(kept, w)
		}
	}
	clear(l.waiting[len(kept):])
	l.waiting = kept
	return len(kept) > 0
}
