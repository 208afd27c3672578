// Package budget is what one tenant may take of the database at once: how long a statement
// of its runs, how many of its transactions are open, how many rows one statement changes.
// It owns tenants.tenant_budgets and the installation's default, and says which tables hold
// to budgets of rows. The holding itself is Postgres's (nself.take_seat, tenants.enter and
// the triggers of tenants.keep_row_budget). What a tenant may use over time is a quota, and
// none of it.
package budget

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Budget is how much of each; nil: no limit.
type Budget struct {
	StatementTimeoutMS *int   `db:"statement_timeout_ms"` // milliseconds
	Connections        *int   `db:"connections"`          // transactions at once
	Rows               *int64 `db:"rows"`                 // rows that one statement changes
}

// Standing is the budget that holds for a tenant.
type Standing struct {
	Budget
	Own []string `db:"own"` // statement_timeout, connections, rows: what differs from the default
}

// The most that can be asked for. Postgres bounds the first; the second, the statement that
// looks for a free seat.
const (
	mostConnections = 1000
	mostTimeoutMS   = 24 * 60 * 60 * 1000
)

// SetInput changes a budget. Nil leaves a value as it is; 0 is the default's again, and of
// the default itself, no limit.
type SetInput struct {
	StatementTimeoutMS *int
	Connections        *int
	Rows               *int64
}

// Validate tells what is wrong with the input by itself.
func (in *SetInput) Validate(problems *fault.Problems) {
	within(problems, "statementTimeoutMs", in.StatementTimeoutMS, mostTimeoutMS)
	within(problems, "connections", in.Connections, mostConnections)
	if in.Rows != nil && *in.Rows < 0 {
		problems.Add("rows", "must be at least 1, or 0 for the default's; got %d", *in.Rows)
	}
	if in.StatementTimeoutMS == nil && in.Connections == nil && in.Rows == nil {
		problems.Add("statementTimeoutMs", "or connections or rows must be given: nothing would change")
	}
}

func within(problems *fault.Problems, field string, asked *int, most int) {
	if asked != nil && (*asked < 0 || *asked > most) {
		problems.Add(field, "must be 1 to %d, or 0 for the default's; got %d", most, *asked)
	}
}

func (in SetInput) args(actor session.Session) pgx.NamedArgs {
	return pgx.NamedArgs{
		"tenant_id": actor.Tenant, "statement_timeout_ms": in.StatementTimeoutMS, "connections": in.Connections, "rows": in.Rows,
	}
}

const ofSQL = `
SELECT coalesce(own.statement_timeout_ms, usual.statement_timeout_ms) AS statement_timeout_ms,
	coalesce(own.connections, usual.connections) AS connections, coalesce(own.rows, usual.rows) AS rows,
	array_remove(ARRAY[
		CASE WHEN own.statement_timeout_ms IS NOT NULL THEN 'statement_timeout' END,
		CASE WHEN own.connections IS NOT NULL THEN 'connections' END,
		CASE WHEN own.rows IS NOT NULL THEN 'rows' END], NULL) AS own
FROM nself.default_budget usual LEFT JOIN tenants.tenant_budgets own ON own.tenant_id = @tenant_id`

// Of is the budget that holds for the actor's tenant. tx may act as nself_tenant: the
// default is read as nself_server.
func Of(ctx context.Context, tx pgx.Tx, actor session.Session) (found Standing, err error) {
	err = pg.AsServer(ctx, tx, func() (err error) {
		found, err = pg.One[Standing](ctx, tx, ofSQL, pgx.NamedArgs{"tenant_id": actor.Tenant})
		return err
	})
	if err != nil {
		return found, fmt.Errorf("read the budget: %w", err)
	}
	return found, nil
}

const setSQL = `
INSERT INTO tenants.tenant_budgets AS own (tenant_id, statement_timeout_ms, connections, rows)
VALUES (@tenant_id, nullif(@statement_timeout_ms::integer, 0), nullif(@connections::integer, 0), nullif(@rows::bigint, 0))
ON CONFLICT (tenant_id) DO UPDATE SET
	statement_timeout_ms = CASE WHEN @statement_timeout_ms::integer IS NULL THEN own.statement_timeout_ms ELSE excluded.statement_timeout_ms END,
	connections = CASE WHEN @connections::integer IS NULL THEN own.connections ELSE excluded.connections END,
	rows = CASE WHEN @rows::bigint IS NULL THEN own.rows ELSE excluded.rows END`

// Set changes the budget of the actor's tenant and returns what holds then, from its next
// transaction on. Validate comes before it.
func Set(ctx context.Context, tx pgx.Tx, actor session.Session, in SetInput) (Standing, error) {
	before, err := Of(ctx, tx, actor)
	if err != nil {
		return Standing{}, err
	}
	if _, err := tx.Exec(ctx, setSQL, in.args(actor)); err != nil {
		return Standing{}, fmt.Errorf("set the budget: %w", err)
	}
	after, err := Of(ctx, tx, actor)
	if err != nil {
		return Standing{}, err
	}
	e := audit.Entry{Tenant: actor.Tenant, Action: "set_tenant_budget", Target: "budget", Before: before.told(), After: after.told()}
	return after, audit.Append(ctx, tx, actor, e)
}

// told is a budget as the audit log keeps it.
func (b Budget) told() map[string]any {
	return map[string]any{"statement_timeout_ms": b.StatementTimeoutMS, "connections": b.Connections, "rows": b.Rows}
}
