package tracking

import (
	"context"
	"errors"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/pg"
)

// ErrBusy is the cause where another tracks at this moment: it does what waits, too.
var ErrBusy = errors.New("another run tells Hasura of the tenants' schemas at this moment")

// busyWait is in how many seconds a task may try again.
const busyWait = 10

const (
	callTime  = 5 * time.Minute // of one call of Hasura, which builds the schema of every role anew
	awaitStep = time.Second
)

// takeTurnSQL is of a transaction and not of a session, so that it holds behind PgBouncer.
const takeTurnSQL = `
	SELECT pg_try_advisory_xact_lock(hashtextextended('nself.tracking', 0))
	   AND set_config('idle_in_transaction_session_timeout', '0', true) IS NOT NULL`

// turn keeps other runs away until end is called, or the process dies. The transaction that
// does so is idle meanwhile and has neither rows nor a snapshot; nothing is done in it.
func (t *Tracker) turn(ctx context.Context) (end func(), err error) {
	tx, err := t.config.DB.Begin(ctx)
	if err != nil {
		return nil, err
	}
	end = func() { _ = tx.Rollback(context.WithoutCancel(ctx)) } // a connection that broke has let go
	taken, err := pg.Scalar[bool](ctx, tx, takeTurnSQL, nil)
	if err == nil && !taken {
		err = fault.New(fault.Unavailable, "%s; try again", ErrBusy).With("retryAfter", busyWait).Because(ErrBusy)
	}
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// Await is Track that waits for its turn, and looks again at what Hasura could not serve
// however short ago that was.
func (t *Tracker) Await(ctx context.Context) (int64, error) {
	for {
		n, err := t.track(ctx, true)
		if !errors.Is(err, ErrBusy) {
			return n, err
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(awaitStep):
		}
	}
}

// lasting ends when ctx is cancelled, and not when its time is over: a round of the server's
// has a minute.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel()
		}
	})
	return longer, func() { stop(); cancel() }
}

// patient gives each call of a Hasura its time.
type patient struct{ Hasura }

func (p patient) ReloadSources(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, callTime)
	defer done()
	return p.Hasura.ReloadSources(ctx)
}

func (p patient) Export(ctx context.Context) (hasuraapi.Exported, error) {
	ctx, done := context.WithTimeout(ctx, callTime)
	defer done()
	return p.Hasura.Export(ctx)
}

func (p patient) Replace(ctx context.Context, next hasuraapi.Exported) error {
	ctx, done := context.WithTimeout(ctx, callTime)
	defer done()
	return p.Hasura.Replace(ctx, next)
}

func (p patient) ReplaceAnyway(ctx context.Context, next hasuraapi.Exported) ([]hasuraapi.Inconsistency, error) {
	ctx, done := context.WithTimeout(ctx, callTime)
	defer done()
	return p.Hasura.ReplaceAnyway(ctx, next)
}

func (p patient) Inconsistent(ctx context.Context) ([]hasuraapi.Inconsistency, error) {
	ctx, done := context.WithTimeout(ctx, callTime)
	defer done()
	return p.Hasura.Inconsistent(ctx)
}
