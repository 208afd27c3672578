package quota

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// awayFor is for how long the database counts as away after it was out of reach: nobody
// waits for it meanwhile.
const awayFor = 250 * time.Millisecond

// errAway is the answer while the last try is only a moment ago.
var errAway = fault.New(fault.Unavailable, "the database was out of reach a moment ago; try again")

// isAway reports whether err says that the database is out of reach.
func isAway(err error) bool {
	if err == nil {
		return false
	}
	for _, cut := range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF, net.ErrClosed} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return fault.Is(pg.Explain(err), fault.Unavailable) && !isBusy(err)
}

// isBusy reports whether somebody held a lock for too long: the database is there.
func isBusy(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == lockNotAvailable || refused.Code[:2] == rolledBack)
}

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	lockNotAvailable = "55P03"
	rolledBack       = "40" // the class that says no more than: try again
)

// explain is pg.Explain for rounds, which wait for locks only so long.
func explain(err error) error {
	if isBusy(err) {
		return fault.New(fault.Unavailable, "the tenant's usage is being changed by something long; try again").Because(err)
	}
	return pg.Explain(err)
}

// noteAway makes the asks of the next moments not wait for a database that is away.
func (d *Decider) noteAway(err error) {
	if isAway(err) && !errors.Is(err, errAway) {
		d.away.Store(int64(time.Since(d.begun) + awayFor))
	}
}

func (d *Decider) knownAway() bool { return int64(time.Since(d.begun)) < d.away.Load() }

// during decides what was asked for while the database was away; err is what it said.
func (d *Decider) during(meter usage.Meter, ask Ask, last figures, err error) (Decision, error) {
	if meter.OnOutage != allow || !d.debts.add(ask, meter.Aggregation) {
		return Decision{}, undecided(meter.Code, err)
	}
	return last.decide(meter, true), nil
}

// unknown are the figures of which nothing is known.
var unknown = figures{Limit: Unlimited, Enforcement: Soft}

func undecided(meter string, err error) error {
	return fault.New(fault.Unavailable, "the quota of %s cannot be decided while the database is out of reach; try again", meter).Because(err)
}
