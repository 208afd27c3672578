package usage

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Source is a table whose row events are usage.
type Source struct {
	Schema       string  `db:"table_schema"`
	Table        string  `db:"table_name"`
	Meter        string  `db:"meter"`
	TenantColumn string  `db:"tenant_column"` // AddSource takes empty for tenant_id
	AmountColumn *string `db:"amount_column"` // nil: each row is one
	ValueColumn  *string `db:"value_column"`  // of a meter that counts different values
	TimeColumn   *string `db:"time_column"`   // a timestamptz; nil: when it is delivered
	BuiltIn      bool    `db:"built_in"`
}

const sourceColumns = `table_schema, table_name, meter, tenant_column, amount_column, value_column, time_column, built_in`

const sourcesSQL = `SELECT ` + sourceColumns + ` FROM billing.meter_sources ORDER BY built_in DESC, table_schema, table_name, meter`

// Sources lists the tables whose events are usage, the built-in ones first.
func Sources(ctx context.Context, db pg.DB) ([]Source, error) {
	found, err := pg.All[Source](ctx, db, sourcesSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("list the sources of usage: %w", err)
	}
	return found, nil
}

const aggregationSQL = `SELECT aggregation FROM billing.meters WHERE code = @meter`

const insertSourceSQL = `
INSERT INTO billing.meter_sources (table_schema, table_name, meter, tenant_column, amount_column, value_column, time_column)
VALUES (@schema, @table, @meter, @tenant_column, @amount_column, @value_column, @time_column)
ON CONFLICT DO NOTHING
RETURNING ` + sourceColumns

const countLevelAllTenantsSQL = `SELECT billing.count_level(@meter)`

// AddSource makes the events of a table usage. The table and its columns must exist and
// have types that fit the meter: everything that does not is told at once. A level is set,
// for every tenant, to what there is of the rows of all of its tables at this moment:
// nself_server has to be allowed to read them. No lock keeps others from writing them, nor
// is it known which events are on their way, so a row that comes or goes meanwhile may be
// missed or counted twice; Reconcile tells it, and to remove the source and add it again
// mends it. Rows that a meter that adds up finds there are no events, and are not counted.
func AddSource(ctx context.Context, db pg.DB, actor session.Session, in Source) (Source, error) {
	if in.TenantColumn == "" {
		in.TenantColumn = "tenant_id"
	}
	var added Source
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		kind, err := pg.Scalar[Aggregation](ctx, tx, aggregationSQL, pgx.NamedArgs{"meter": in.Meter})
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "there is no meter %.64q", in.Meter)
		case err != nil:
			return fmt.Errorf("read the meter %s: %w", in.Meter, err)
		}
		if err := in.check(ctx, tx, kind); err != nil {
			return err
		}
		added, err = pg.One[Source](ctx, tx, insertSourceSQL, in.arguments())
		switch {
		case pg.NoRow(err):
			return fault.New(fault.InvalidInput, "%s.%s is a source of %s already; remove it first", in.Schema, in.Table, in.Meter)
		case err != nil:
			return fmt.Errorf("add the source %s.%s: %w", in.Schema, in.Table, err)
		}
		if kind == Level {
			if err := countLevel(ctx, tx, in); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, actor, audit.Entry{Action: "add_meter_source", Target: added.target(), After: added.audited()})
	})
	return added, err
}

// notAllowed is the SQLSTATE of a missing privilege.
const notAllowed = "42501"

// countLevel sets the level to what there is of its rows.
func countLevel(ctx context.Context, tx pgx.Tx, in Source) error {
	_, err := tx.Exec(ctx, countLevelAllTenantsSQL, pgx.NamedArgs{"meter": in.Meter})
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && refused.Code == notAllowed {
		return fault.New(fault.InvalidInput, "the level %s is what there is of the rows of its tables, and nself_server may not read them (%s): "+
			"GRANT USAGE ON SCHEMA %s TO nself_server; GRANT SELECT ON %s TO nself_server", in.Meter, refused.Message,
			pgx.Identifier{in.Schema}.Sanitize(), pgx.Identifier{in.Schema, in.Table}.Sanitize()).Because(err)
	}
	if err != nil {
		return fmt.Errorf("count the rows of %s.%s: %w", in.Schema, in.Table, err)
	}
	return nil
}

const deleteSourceSQL = `
DELETE FROM billing.meter_sources
WHERE table_schema = @schema AND table_name = @table AND meter = @meter AND NOT built_in`

const sourceSQL = `
SELECT ` + sourceColumns + ` FROM billing.meter_sources WHERE table_schema = @schema AND table_name = @table AND meter = @meter`

// RemoveSource takes away the source with the schema, table and meter of s. A built-in
// one is forbidden to go. What was counted stays, also in a level.
func RemoveSource(ctx context.Context, db pg.DB, actor session.Session, s Source) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		found, err := pg.One[Source](ctx, tx, sourceSQL, s.arguments())
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "%s.%s is no source of %.64q", s.Schema, s.Table, s.Meter)
		case err != nil:
			return fmt.Errorf("read the source %s.%s: %w", s.Schema, s.Table, err)
		case found.BuiltIn:
			return fault.New(fault.Forbidden, "the source %s.%s of %s is built in and stays", s.Schema, s.Table, s.Meter)
		}
		if _, err := tx.Exec(ctx, deleteSourceSQL, s.arguments()); err != nil {
			return fmt.Errorf("remove the source %s.%s: %w", s.Schema, s.Table, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{Action: "remove_meter_source", Target: s.target(), Before: found.audited()})
	})
}

func (s Source) arguments() pgx.NamedArgs {
	return pgx.NamedArgs{
		"schema": s.Schema, "table": s.Table, "meter": s.Meter, "tenant_column": s.TenantColumn,
		"amount_column": s.AmountColumn, "value_column": s.ValueColumn, "time_column": s.TimeColumn,
	}
}

func (s Source) target() string { return "meter_source:" + s.Schema + "." + s.Table + ":" + s.Meter }

// audited is what the audit log keeps of a source.
func (s Source) audited() map[string]any {
	return map[string]any{
		"tenantColumn": s.TenantColumn, "amountColumn": s.AmountColumn, "valueColumn": s.ValueColumn, "timeColumn": s.TimeColumn,
	}
}
