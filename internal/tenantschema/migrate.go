package tenantschema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

// How a tenant whose tables are in use is waited for: a statement that waits for a lock
// stops everyone behind it, so it waits briefly, and comes again.
const (
	tries     = 6
	firstWait = 200 * time.Millisecond // doubled each time
	busyWait  = 100 * time.Millisecond // between looks at a tenant that another run has in hand
)

const enterOwnerSQL = `SELECT set_config('role', 'nself_owner', true), set_config('lock_timeout', '2s', true)`

// applySQL does nothing where another run has the tenant in hand.
const applySQL = `
WITH held AS (SELECT tenant_id FROM tenants.tenant_schemas WHERE tenant_id = @tenant_id FOR UPDATE SKIP LOCKED)
SELECT tenants.apply_tenant_migrations(tenant_id) FROM held`

const thereSQL = `SELECT EXISTS (SELECT FROM tenants.tenant_schemas WHERE tenant_id = @tenant_id)`

// migrate gives one tenant what it lacks; 0 files where another run did, or the tenant is
// gone meanwhile.
func (run *fanOut) migrate(ctx context.Context, p Place) (int, *Failure, error) {
	wait := firstWait
	for try := 1; ; {
		applied, err := run.apply(ctx, p)
		var said *pgconn.PgError
		switch {
		case err == nil:
			return applied, nil, nil
		case pg.NoRow(err):
			if there, err := pg.Scalar[bool](ctx, run.db, thereSQL, pgx.NamedArgs{"tenant_id": p.Tenant}); err != nil || !there {
				return 0, nil, err
			}
			if err := sleep(ctx, busyWait); err != nil {
				return 0, nil, err
			}
		case !errors.As(err, &said) || ctx.Err() != nil:
			return 0, nil, err
		case passing(said) && try < tries:
			if err := sleep(ctx, wait); err != nil {
				return 0, nil, err
			}
			try++
			wait *= 2
		default:
			failure, err := run.explain(ctx, p, said)
			return 0, failure, err
		}
	}
}

// passing reports whether trying again may help: a lock not had, a deadlock.
func passing(said *pgconn.PgError) bool {
	return slices.Contains([]string{"55P03", "40P01", "40001"}, said.Code)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// apply is one transaction, and one round trip: a batch is a transaction of its own.
func (run *fanOut) apply(ctx context.Context, p Place) (applied int, err error) {
	batch := &pgx.Batch{}
	batch.Queue(enterOwnerSQL)
	batch.Queue(applySQL, pgx.NamedArgs{"tenant_id": p.Tenant})
	results := run.db.SendBatch(ctx, batch)
	if _, err = results.Exec(); err == nil {
		err = results.QueryRow().Scan(&applied)
	}
	// Closing commits, so what it says decides.
	if closed := results.Close(); err == nil {
		err = closed
	}
	return applied, ownerOnlyAtEntry(err)
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
	err := pg.InTx(ctx, run.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, enterOwnerSQL); err != nil {
			return ownerOnly(err)
		}
		if failure.Line == 0 && failure.Version != 0 && !passing(said) && run.few() {
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
	})
	if err != nil {
		return nil, fmt.Errorf("note with the tenant that it failed: %w", errors.Join(err, failure))
	}
	return failure, nil
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
