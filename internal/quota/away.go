package quota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

const (
	// awayFor is for how long the database counts as away after it was out of reach:
	// nobody waits for it meanwhile.
	awayFor = 250 * time.Millisecond
	// probePatience is how long a database that works takes at most to let somebody in.
	probePatience = 2 * time.Second
)

// errAway is among the errors of a database that was found out of reach.
var errAway = errors.New("the database is out of reach")

func isAway(err error) bool { return errors.Is(err, errAway) }

// answered reports whether err is what the database said to a statement: nothing of it
// happened.
func answered(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && !silent(err)
}

// silent reports whether err may mean that the database is out of reach: it gave no
// answer in time, or none but that it cannot give any. It may only be busy, though.
func silent(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return strings.HasPrefix(said.Code, notRunning) || strings.HasPrefix(said.Code, noConnection)
	}
	var socket net.Error // so is context.DeadlineExceeded
	var connect *pgconn.ConnectError
	for _, cut := range []error{io.ErrUnexpectedEOF, io.EOF, net.ErrClosed} {
		if errors.Is(err, cut) {
			return true
		}
	}
	return errors.As(err, &socket) || errors.As(err, &connect) || err != nil && pgconn.SafeToRetry(err)
}

// judge finds out what it means that the database gave no answer: it is away where a
// connection of its own, outside the pool, does not reach it either, and the asks of the
// next moments do not wait for it. Otherwise something keeps it, or the pool, busy.
func (d *Decider) judge(err error) error {
	switch {
	case !silent(err):
		return err
	case d.reaches():
		return fault.New(fault.Unavailable, "the database is too busy to decide; try again").Because(err)
	}
	d.away.Store(int64(time.Since(d.begun) + awayFor))
	return fmt.Errorf("%w: %w", errAway, err)
}

// reaches reports whether the database answers somebody who comes to it now. That it has
// no room for more of them is an answer.
func (d *Decider) reaches() bool {
	ctx, cancel := context.WithTimeout(context.Background(), probePatience)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, d.config.DB.Config().ConnConfig)
	if err != nil {
		return answered(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	return conn.Ping(ctx) == nil
}

// isBusy reports whether somebody held a lock for too long.
func isBusy(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && (said.Code == lockNotAvailable || strings.HasPrefix(said.Code, rolledBack))
}

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	lockNotAvailable = "55P03"
	rolledBack       = "40"  // the class that says no more than: try again
	notRunning       = "57P" // it shuts down, or starts up
	noConnection     = "08"
)

// explain is pg.Explain for rounds, which wait for locks only so long.
func explain(err error) error {
	if isBusy(err) {
		return fault.New(fault.Unavailable, "the tenant's usage is being changed by something long; try again").Because(err)
	}
	return pg.Explain(err)
}

func (d *Decider) knownAway() bool { return int64(time.Since(d.begun)) < d.away.Load() }

// during decides what was asked for while the database was away; err is what it said.
func (d *Decider) during(meter usage.Meter, ask Ask, last figures, err error) (Decision, error) {
	if meter.OnOutage != usage.Allow || !d.debts.add(ask, meter.Aggregation) {
		return Decision{}, undecided(meter.Code, err)
	}
	return last.decide(meter, true), nil
}

// unknown are the figures of which nothing is known.
var unknown = figures{Limit: entitlement.Unlimited, Enforcement: entitlement.Soft}

func undecided(meter string, err error) error {
	return fault.New(fault.Unavailable, "the quota of %s cannot be decided while the database is out of reach; try again", meter).Because(err)
}
