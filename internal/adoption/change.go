package adoption

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// overruns is how often a change that has its locks may take too long.
const overruns = 20

// releaseAtOnceSQL has a commit give its locks back without waiting for the disk. A crash
// loses the work and its note together, and the next run does it again.
const releaseAtOnceSQL = `SELECT set_config('synchronous_commit', 'off', true)`

// change does work in one transaction that also notes the step. It asks for the locks, and
// gives up within the longest wait, all of them together; whoever waited behind it goes on,
// and it asks again after a pause. Between two tries it holds nothing.
func (r *Runner) change(ctx context.Context, s *Standing, w Work, done bool) error {
	tooLong := 0
	err := pg.Patiently(ctx, pg.Patience{
		Passes: func(err error) bool {
			if interrupted(err) {
				tooLong++
			}
			return waited(err) || interrupted(err) && tooLong < overruns
		},
		Tell: func(try int, pause time.Duration, err error) {
			who := "somebody"
			if errors.Is(err, errUnclear) {
				who = "another change, a VACUUM or an index that is being built"
			}
			r.tell(s, "%s has the table; tried %d times, again in %s", who, try, pause)
		},
	}, func() error {
		return pg.InTx(ctx, r.conn, func(tx pgx.Tx) error { return r.attempt(ctx, tx, s, w, done) })
	})
	if interrupted(err) && ctx.Err() == nil {
		return fmt.Errorf("the change takes longer than a writer may wait: give it more with --max-wait: %w", err)
	}
	return err
}

// clearPatience is longer than Postgres's deadlock_timeout, after which a VACUUM that runs
// by itself makes way for who waits.
const clearPatience = 5 * time.Second

// errUnclear says that another change was in the way.
var errUnclear = errors.New("another change is at work")

const holdLedgerSQL = `SELECT pg_advisory_xact_lock(hashtextextended('nself.schema_migrations', 0))`

// clear takes the locks that keep other changes, VACUUM and the building of indexes away,
// which no writer waits for.
func (r *Runner) clear(ctx context.Context, tx pgx.Tx, s *Standing, w Work) error {
	if err := bound(ctx, tx, clearPatience, 0); err != nil {
		return err
	}
	if s.Kind == Switch { // the ledger of migrations, which the switch writes
		if _, err := tx.Exec(ctx, holdLedgerSQL); err != nil {
			return err
		}
	}
	for _, lock := range w.Locks {
		_, err := tx.Exec(ctx, lock.statement(changers))
		switch {
		case pg.HasState(err, undefinedTable):
			return fmt.Errorf("%s is gone; %s", lock.Table, beginAnew)
		case waited(err):
			return errors.Join(errUnclear, err)
		case err != nil:
			return err
		}
	}
	return nil
}

// attempt takes the locks, does the work and notes the step, or leaves nothing.
func (r *Runner) attempt(ctx context.Context, tx pgx.Tx, s *Standing, w Work, done bool) error {
	if _, err := tx.Exec(ctx, releaseAtOnceSQL); err != nil {
		return err
	}
	if err := r.clear(ctx, tx, s, w); err != nil {
		return err
	}
	stands := func() error { return nil }
	if s.Kind == Switch && done {
		var err error
		if stands, err = r.unchanged(ctx, tx); err != nil {
			return err
		}
	}
	began := time.Now()
	left := func() time.Duration { return max(r.pace.MaxWait-time.Since(began), time.Millisecond) }
	for _, lock := range w.Locks {
		// Half of the wait is for the change itself.
		if err := within(ctx, tx, max(left()-r.pace.MaxWait/2, time.Millisecond), 0, lock.statement(lock.Mode)); err != nil {
			return err
		}
	}
	if err := bound(ctx, tx, left(), left()); err != nil {
		return err
	}
	if err := stands(); err != nil {
		return err
	}
	if err := within(ctx, tx, left(), left(), strings.Join(w.SQL, ";\n")); err != nil {
		return err
	}
	s.Progress.HeldMS = float64(time.Since(began).Microseconds()) / 1000
	return note(ctx, tx, r.of.ID, *s, done)
}

// statement takes the lock, or a lesser one.
func (l Lock) statement(mode string) string {
	return "LOCK TABLE ONLY " + l.Table.Quoted() + " IN " + mode + " MODE"
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
	undefinedTable   = "42P01"
)

// waited reports whether a lock was not to be had in time.
func waited(err error) bool { return pg.HasState(err, lockNotAvailable, deadlockDetected) }

// interrupted reports whether a statement took too long.
func interrupted(err error) bool { return pg.HasState(err, queryCanceled) }
