package adoption

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
	overruns   = 20 // how often a change that has its locks may take too long
)

// releaseAtOnceSQL has a commit give its locks back without waiting for the disk. A crash
// loses the work and its note together, and the next run does it again.
const releaseAtOnceSQL = `SELECT set_config('synchronous_commit', 'off', true)`

// change does work in one transaction that also notes the step. First it makes sure that no
// other change and no VACUUM is at the tables, which no writer waits for. Then it asks for
// the locks, and gives up within the longest wait, all of them together; whoever waited
// behind it goes on, and it asks again after a pause.
func (r *Runner) change(ctx context.Context, s *Standing, w Work, done bool) error {
	return pg.InTx(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, releaseAtOnceSQL); err != nil {
			return err
		}
		if err := r.clear(ctx, tx, s, w); err != nil {
			return err
		}
		pause, tooLong := firstPause, 0
		for try := 1; ; try++ {
			held, err := r.attempt(ctx, tx, w)
			if err == nil {
				s.Progress.HeldMS = float64(held.Microseconds()) / 1000
				return note(ctx, tx, r.of.ID, *s, done)
			}
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case waited(err):
				r.tell(s, "somebody has the table; tried %d times, again in %s", try, pause)
			case interrupted(err):
				if tooLong++; tooLong == overruns {
					return fmt.Errorf("the change takes longer than a writer may wait: give it more with --max-wait: %w", err)
				}
			default:
				return err
			}
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, lastPause)
		}
	})
}

// clearPatience is longer than Postgres's deadlock_timeout, after which a VACUUM that runs
// by itself makes way for who waits.
const clearPatience = 5 * time.Second

const holdLedgerSQL = `SELECT pg_advisory_xact_lock(hashtextextended('nself.schema_migrations', 0))`

// clear takes the locks that keep other changes away.
func (r *Runner) clear(ctx context.Context, tx pgx.Tx, s *Standing, w Work) error {
	if s.Kind == Switch { // the ledger of migrations, which the switch writes
		if _, err := tx.Exec(ctx, holdLedgerSQL); err != nil {
			return err
		}
	}
	for _, lock := range w.Locks {
		for try := 1; ; try++ {
			err := pg.InTx(ctx, tx, func(inner pgx.Tx) error {
				return within(ctx, inner, clearPatience, 0, "LOCK TABLE ONLY "+lock.Table.Quoted()+" IN "+changers+" MODE")
			})
			if err == nil {
				break
			}
			if !waited(err) || ctx.Err() != nil {
				return err
			}
			r.tell(s, "another change, a VACUUM or an index that is being built has %s; waited %s", lock.Table, time.Duration(try)*clearPatience)
		}
	}
	return nil
}

// attempt takes the locks and does the work, or leaves nothing.
func (r *Runner) attempt(ctx context.Context, tx pgx.Tx, w Work) (held time.Duration, err error) {
	began := time.Now()
	left := func() time.Duration { return max(r.pace.MaxWait-time.Since(began), time.Millisecond) }
	inner, err := tx.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = inner.Rollback(context.WithoutCancel(ctx)) }() // after a commit it says so, and does nothing
	for _, lock := range w.Locks {
		// Half of the wait is for the change itself.
		if err := within(ctx, inner, max(left()-r.pace.MaxWait/2, time.Millisecond), 0, "LOCK TABLE ONLY "+lock.Table.Quoted()+" IN "+lock.Mode+" MODE"); err != nil {
			return 0, err
		}
	}
	if err := within(ctx, inner, left(), left(), strings.Join(w.SQL, ";\n")); err != nil {
		return 0, err
	}
	if err := bound(ctx, inner, 0, 0); err != nil {
		return 0, err
	}
	return time.Since(began), inner.Commit(ctx)
}

// within runs statements under bounds.
func within(ctx context.Context, tx pgx.Tx, lock, all time.Duration, sql string) error {
	if err := bound(ctx, tx, lock, all); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sql)
	return err
}

// bound has the statements that follow wait for no lock longer than the one, and take no
// longer than the other; 0 is without end.
func bound(ctx context.Context, tx pgx.Tx, lock, all time.Duration) error {
	_, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d", lock.Milliseconds(), all.Milliseconds()))
	return err
}

// SQLSTATEs (PostgreSQL documentation, appendix A).
const (
	lockNotAvailable = "55P03"
	queryCanceled    = "57014"
	deadlockDetected = "40P01"
	checkViolation   = "23514"
	foreignViolation = "23503"
)

// waited reports whether a lock was not to be had in time.
func waited(err error) bool { return is(err, lockNotAvailable) || is(err, deadlockDetected) }

// interrupted reports whether a statement took too long.
func interrupted(err error) bool { return is(err, queryCanceled) }

func is(err error, state string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == state
}
