// Package pg is how the nouns reach Postgres: one handle that is a pool or a
// transaction alike, transactions that act for one tenant under row-level security,
// and the reading of Postgres errors by constraint name.
package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/session"
)

// DB is a pool or a transaction. Begin on a transaction is a savepoint.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

// InTx runs work in one transaction and commits it where work returns nil.
func InTx(ctx context.Context, db DB, work func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db, work)
}

const enterTenantSQL = `SELECT set_config('hasura.user', @session, true), set_config('role', 'nself_tenant', true)`

const enterServerSQL = `SELECT set_config('hasura.user', @session, true)`

// EnterTenant makes the rest of the transaction act as nself_tenant under the session's
// tenant: from here on row-level security decides.
func EnterTenant(ctx context.Context, tx pgx.Tx, s session.Session) error {
	return enter(ctx, tx, enterTenantSQL, s)
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

// Explain turns what Postgres says about the caller's values, or about its own state,
// into a fault: a value that cannot be stored is invalid-input, a database out of
// reach is unavailable. Every other error passes unchanged.
func Explain(err error) error {
	var said *fault.Fault
	var pgErr *pgconn.PgError
	var netErr net.Error
	var connectErr *pgconn.ConnectError
	switch {
	case errors.As(err, &said): // whoever said it knew more
		return err
	case errors.As(err, &pgErr):
		return explain(pgErr, err)
	case NoRow(err):
		return changedMeanwhile(err)
	case errors.As(err, &connectErr), errors.As(err, &netErr), errors.Is(err, io.ErrUnexpectedEOF), pgconn.SafeToRetry(err):
		return unavailable(err)
	}
	return err
}

// explain goes by SQLSTATE (PostgreSQL documentation, appendix A).
func explain(pgErr *pgconn.PgError, err error) error {
	switch pgErr.Code[:2] {
	case "22", "54": // data exception; too deep, too large
		return fault.New(fault.InvalidInput, "a value cannot be stored: %s", pgErr.Message).Because(err)
	case "23":
		if pgErr.Code == "23514" {
			return fault.New(fault.InvalidInput, "a value breaks the rule %s of the database", pgErr.ConstraintName).Because(err)
		}
	case "42":
		// A policy refused the row; a right that is missing has another routine, and is a bug.
		if pgErr.Routine == "ExecWithCheckOptions" {
			return changedMeanwhile(err)
		}
	case "08", "40", "53": // connection; serialization and deadlock; resources
		return unavailable(err)
	}
	if pgErr.Code[:3] == "57P" { // shutting down or starting up
		return unavailable(err)
	}
	return err
}

// changedMeanwhile is for a statement that row-level security left without its row. The
// caller was admitted and the row was there, so one of them went in between.
func changedMeanwhile(err error) error {
	return fault.New(fault.Forbidden, "the tenant or your membership changed while this was under way; try again").Because(err)
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, "the database is out of reach; try again").Because(err)
}
