package tenantschema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pg"
)

// A statement that waits for a lock stops everyone behind it, so it waits briefly, and
// comes again, so many times as long in all.
const (
	DefaultMaxWait = 200 * time.Millisecond
	comesAgain     = 100
)

const enterOwnerSQL = `SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', @max_wait, true)`

// enter are the arguments of enterOwnerSQL.
func (run *fanOut) enter() pgx.NamedArgs {
	return pgx.NamedArgs{"max_wait": strconv.FormatInt(run.in.maxWait().Milliseconds(), 10)}
}

func (in FanOutInput) maxWait() time.Duration {
	if in.MaxWait <= 0 {
		return DefaultMaxWait
	}
	return in.MaxWait
}

// applySQL does nothing where another run has the tenant in hand.
const applySQL = `
WITH held AS (SELECT tenant_id FROM tenants.tenant_schemas WHERE tenant_id = @tenant_id FOR UPDATE SKIP LOCKED)
SELECT tenants.apply_tenant_migrations(tenant_id) FROM held`

const thereSQL = `SELECT EXISTS (SELECT FROM tenants.tenant_schemas WHERE tenant_id = @tenant_id)`

// errHeld is of a tenant that somebody else has in hand.
var errHeld = errors.New("somebody has the tenant in hand")

// passing are the SQLSTATEs for which trying again may help: a lock not had, a deadlock.
var passing = []string{"55P03", "40P01", "40001"}

func passes(err error) bool { return errors.Is(err, errHeld) || pg.HasState(err, passing...) }

// patience is how a tenant is come back to whose tables are in use.
func (run *fanOut) patience(p Place) pg.Patience {
	return pg.Patience{Passes: passes, For: comesAgain * run.in.maxWait(), Tell: func(int, time.Duration, error) { run.waits(p) }}
}

// migrate gives one tenant what it lacks; 0 files where another run did, or the tenant is
// gone meanwhile.
func (run *fanOut) migrate(ctx context.Context, p Place) (applied int, failure *Failure, err error) {
	err = pg.Patiently(ctx, run.patience(p), func() error {
		applied, err = run.apply(ctx, p)
		if !pg.NoRow(err) {
			return err
		}
		if there, err := pg.Scalar[bool](ctx, run.db, thereSQL, pgx.NamedArgs{"tenant_id": p.Tenant}); err != nil || !there {
			return err
		}
		return errHeld
	})
	var said *pgconn.PgError
	switch {
	case err == nil:
		return applied, nil, nil
	case errors.Is(err, errHeld): // nor can it be noted with the tenant
		return 0, &Failure{Code: passing[0], Message: "another run or transaction has the tenant in hand", Hint: "run it again when that has ended"}, nil
	case !errors.As(err, &said) || ctx.Err() != nil:
		return 0, nil, err
	}
	failure, err = run.explain(ctx, p, said)
	return 0, failure, err
}

// apply is one transaction, and one round trip: a batch is a transaction of its own.
func (run *fanOut) apply(ctx context.Context, p Place) (applied int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enterOwnerSQL, run.enter())
	batch.Queue(applySQL, pgx.NamedArgs{"tenant_id": p.Tenant})
	err = run.connected(ctx, func(conn *pgxpool.Conn) error {
		results := conn.SendBatch(ctx, batch)
		_, err := results.Exec()
		if err == nil {
			err = results.QueryRow().Scan(&applied)
		}
		// Closing commits, so what it says decides.
		if closed := results.Close(); err == nil {
			err = closed
		}
		return err
	})
	return applied, ownerOnlyAtEntry(err)
}

const unlockSQL = `SELECT pg_advisory_unlock_all()`

// connected runs work on a connection, and has the next one not find the locks that a file
// left with it: the end of a transaction releases none that are the session's.
func (run *fanOut) connected(ctx context.Context, work func(conn *pgxpool.Conn) error) error {
	conn, err := run.db.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	err = work(conn)
	if _, unlocked := conn.Exec(ctx, unlockSQL); unlocked != nil {
		_ = conn.Conn().Close(context.WithoutCancel(ctx)) // they go with the connection
	}
	return err
}

// ownerOnlyAtEntry tells the missing right to be the owner from what a file lacks.
func ownerOnlyAtEntry(err error) error {
	if FailureOf(err) != nil {
		return err
	}
	return ownerOnly(err)
}

const failedSQL = `
UPDATE tenants.tenant_schemas SET failed_version = @version, failure = @failure, failed_at = now() WHERE tenant_id = @tenant_id`

// located is how many failures of a run are looked into for their line, which takes the
// locks of the tenant once more.
const located = 3

// explain finds out what failed, and notes it with the tenant.
func (run *fanOut) explain(ctx context.Context, p Place, said *pgconn.PgError) (*Failure, error) {
	failure := failureOf(said)
	failure.Message = strings.ReplaceAll(failure.Message, p.Schema+".", "")
	err := run.connected(ctx, func(conn *pgxpool.Conn) error {
		return pg.InTx(ctx, conn, func(tx pgx.Tx) error { return run.noteFailure(ctx, tx, p, failure) })
	})
	if err != nil && !passes(err) {
		return nil, fmt.Errorf("note with the tenant that it failed: %w", errors.Join(err, failure))
	}
	return failure, nil
}

// noteFailure keeps a failure with the tenant, and looks for its line where that is not known.
func (run *fanOut) noteFailure(ctx context.Context, tx pgx.Tx, p Place, failure *Failure) error {
	if _, err := tx.Exec(ctx, enterOwnerSQL, run.enter()); err != nil {
		return ownerOnly(err)
	}
	if failure.Line == 0 && failure.Version != 0 && !slices.Contains(passing, failure.Code) && run.few() {
		if found := again(ctx, tx, p, failure.Version); found != nil {
			failure.Line = found.Line
		}
	}
	version := failure.Version
	if version == 0 {
		version = p.Lacks[len(p.Lacks)-1]
	}
	_, err := tx.Exec(ctx, failedSQL, pgx.NamedArgs{"tenant_id": p.Tenant, "version": version, "failure": failure.brief()})
	return err
}

func (run *fanOut) few() bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return len(run.report.Failed) < located
}

// again runs the tenant's files up to the one that failed, for its line, and keeps nothing.
// Nil where it does not fail now.
func again(ctx context.Context, tx pgx.Tx, p Place, version int64) (found *Failure) {
	savepoint, err := tx.Begin(ctx)
	if err != nil {
		return nil
	}
	defer func() { _ = savepoint.Rollback(ctx) }() // a failure shows in the next statement
	files, err := Registered(ctx, savepoint)
	if err != nil {
		return nil
	}
	for _, f := range files {
		if f.Version <= version && slices.Contains(p.Lacks, f.Version) {
			if err := runFile(ctx, savepoint, p.Schema, f); errors.As(err, &found) || err != nil {
				return found
			}
		}
	}
	return nil
}

// missing names the slugs that were not found.
func missing(slugs, found []string) error {
	var problems []error
	for _, slug := range slugs {
		if !slices.Contains(found, slug) {
			problems = append(problems, fmt.Errorf("there is no tenant %.80q with a schema of its own", slug))
		}
	}
	return errors.Join(problems...)
}
