package budget

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

const defaultSQL = `SELECT statement_timeout_ms, connections, rows FROM nself.default_budget`

// Default is the budget of tenants that have none of their own. db acts as nself_server.
func Default(ctx context.Context, db pg.DB) (Budget, error) {
	found, err := pg.One[Budget](ctx, db, defaultSQL, nil)
	if err != nil {
		return found, fmt.Errorf("read the default budget: %w", err)
	}
	return found, nil
}

const setDefaultSQL = `
UPDATE nself.default_budget SET
	statement_timeout_ms = CASE WHEN @statement_timeout_ms::integer IS NULL THEN statement_timeout_ms ELSE nullif(@statement_timeout_ms::integer, 0) END,
	connections = CASE WHEN @connections::integer IS NULL THEN connections ELSE nullif(@connections::integer, 0) END,
	rows = CASE WHEN @rows::bigint IS NULL THEN rows ELSE nullif(@rows::bigint, 0) END`

// SetDefault changes the budget of every tenant without one of its own, and returns it.
// Validate comes before it.
func SetDefault(ctx context.Context, tx pgx.Tx, actor session.Session, in SetInput) (Budget, error) {
	before, err := Default(ctx, tx)
	if err != nil {
		return Budget{}, err
	}
	if _, err := tx.Exec(ctx, setDefaultSQL, in.args(actor)); err != nil {
		return Budget{}, fmt.Errorf("set the default budget: %w", err)
	}
	after, err := Default(ctx, tx)
	if err != nil {
		return Budget{}, err
	}
	e := audit.Entry{Action: "set_default_budget", Target: "budget", Before: before.told(), After: after.told()}
	return after, audit.Append(ctx, tx, actor, e)
}
