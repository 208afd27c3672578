// Package queue puts work for later into the caller's transaction: what is to be done is
// done where that transaction commits, and only there. It is the inserting side of River
// alone; internal/jobs does the work. It owns the tables nself.river_* as far as rows are
// added; River's own migrations make them (internal/migrate).
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/nself/tenancy/internal/pg"
)

// Schema is where River's tables are.
const Schema = "nself"

// client is River without a pool: it works in transactions that are handed in.
func client() (*river.Client[pgx.Tx], error) {
	quiet := slog.New(slog.DiscardHandler) // what it would say is in the error it returns
	inserter, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: Schema, Logger: quiet})
	if err != nil {
		return nil, fmt.Errorf("set up the queue: %w", err)
	}
	return inserter, nil
}

const becomeServerSQL = `
WITH found AS MATERIALIZED (SELECT pg_catalog.current_setting('role') AS role)
SELECT role FROM found WHERE pg_catalog.set_config('role', 'nself_server', true) IS NOT NULL`

const becomeAgainSQL = `SELECT pg_catalog.set_config('role', @role, true)`

// asServer does work as nself_server, which alone may write the queue, in a transaction
// that may be acting for a tenant, and leaves the role as it found it. The session
// (hasura.user) is not touched.
func asServer(ctx context.Context, tx pgx.Tx, work func() error) error {
	role, err := pg.Scalar[string](ctx, tx, becomeServerSQL, nil)
	if err != nil {
		return fmt.Errorf("become nself_server: %w", err)
	}
	worked := work()
	// Where the statement failed this fails too, and the caller's rollback restores the role.
	if _, err := tx.Exec(ctx, becomeAgainSQL, pgx.NamedArgs{"role": role}); err != nil {
		return errors.Join(worked, fmt.Errorf("become %s again: %w", role, err))
	}
	return worked
}
