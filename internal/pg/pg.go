// Package pg is how the nouns reach Postgres: one handle that is a pool or a
// transaction alike, transactions that act for one tenant under row-level security,
// and the reading of Postgres errors by constraint name.
package pg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/session"
)

// DB is a pool or a transaction. Begin on a transaction is a savepoint.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

// The seat is taken as nself_server, before the role changes.
const enterTenantSQL = `
SELECT nself.take_seat(set_config('hasura.user', @session, true)::jsonb), set_config('role', 'nself_tenant', true)`

const enterServerSQL = `SELECT set_config('hasura.user', @session, true)`

// EnterTenant makes the rest of the transaction act as nself_tenant under the session's
// tenant: from here on row-level security decides, and the tenant's budget says how long a
// statement may run. Where the tenant has as many transactions open as its budget lets it,
// the error is one that Explain turns into budget-exceeded.
func EnterTenant(ctx context.Context, tx pgx.Tx, s session.Session) error {
	err := enter(ctx, tx, enterTenantSQL, s)
	if Constraint(err) == seatConstraint {
		return noSeat{err}
	}
	return err
}

// EnterServer leaves the transaction as nself_server, which sees every tenant, and only
// names the actor, so that event triggers attribute what is written. Statements run
// after it carry @tenant_id themselves.
func EnterServer(ctx context.Context, tx pgx.Tx, s session.Session) error {
	return enter(ctx, tx, enterServerSQL, s)
}

func enter(ctx context.Context, tx pgx.Tx, sql string, s session.Session) error {
	if _, err := tx.Exec(ctx, sql, pgx.NamedArgs{"session": s.Setting()}); err != nil {
		return fmt.Errorf("set the session of the transaction: %w", err)
	}
	return nil
}

const becomeServerSQL = `
WITH found AS MATERIALIZED (SELECT current_setting('role') AS role)
SELECT role FROM found WHERE set_config('role', 'nself_server', true) IS NOT NULL`

const becomeAgainSQL = `SELECT set_config('role', @role, true)`

// AsServer runs work as nself_server and gives the transaction back the role it had,
// whether work fails or not; the session (hasura.user) is not touched. It is for the step
// of a tenant's action that writes what no tenant may (a job, a machine's identity).
// Row-level security does not bind the step, so its statements name their tenant
// themselves.
func AsServer(ctx context.Context, tx pgx.Tx, work func() error) error {
	role, err := Scalar[string](ctx, tx, becomeServerSQL, nil)
	if err != nil {
		return fmt.Errorf("become nself_server: %w", err)
	}
	worked := work()
	// Where a statement failed this fails too, and the caller's rollback restores the role.
	if _, err := tx.Exec(ctx, becomeAgainSQL, pgx.NamedArgs{"role": role}); err != nil {
		return errors.Join(worked, fmt.Errorf("become %s again: %w", role, err))
	}
	return worked
}

// Batch is how many rows a statement for InBatches deletes at most, as @batch: few enough
// that nobody waits for it.
const Batch = 1000

// InBatches runs a statement that deletes @batch rows until it finds no more, and counts
// them, also where it fails halfway. db is a pool, so that each batch commits by itself.
func InBatches(ctx context.Context, db DB, deleteSQL string) (int64, error) {
	for all := int64(0); ; {
		tag, err := db.Exec(ctx, deleteSQL, pgx.NamedArgs{"batch": Batch})
		all += tag.RowsAffected()
		if err != nil || tag.RowsAffected() == 0 {
			return all, err
		}
	}
}

// One runs a statement that returns exactly one row and reads it into a T by column
// name (db tags). No row is pgx.ErrNoRows.
func One[T any](ctx context.Context, db DB, sql string, args pgx.NamedArgs) (T, error) {
	rows, _ := db.Query(ctx, sql, args)
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
}

// Scalar runs a statement that returns exactly one row of one column.
func Scalar[T any](ctx context.Context, db DB, sql string, args pgx.NamedArgs) (T, error) {
	rows, _ := db.Query(ctx, sql, args)
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
}

// All runs a statement and reads every row into a T by column name (db tags).
func All[T any](ctx context.Context, db DB, sql string, args pgx.NamedArgs) ([]T, error) {
	rows, _ := db.Query(ctx, sql, args)
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}

// Constraint is the name of the constraint err broke, or "" where it broke none.
func Constraint(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.ConstraintName
	}
	return ""
}

// NoRow reports whether err says that a statement found nothing.
func NoRow(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
