package usage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// Tables alone have row events; a view or a foreign table does not.
const tableColumnsSQL = `
SELECT a.attname::text AS name, a.atttypid::pg_catalog.regtype::text AS type
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = @schema AND c.relname = @table AND c.relkind IN ('r', 'p')`

type column struct {
	Name string `db:"name"`
	Type string `db:"type"`
}

// The types that a source's columns may have, as Postgres writes them. Floating-point
// numbers are not exact, and money is made of these.
var (
	tenantTypes = []string{"uuid"}
	amountTypes = []string{"smallint", "integer", "bigint", "numeric"}
	valueTypes  = []string{"text", "character varying", "uuid", "smallint", "integer", "bigint"}
	timeTypes   = []string{"timestamp with time zone"}
)

// check tells what keeps the events of the table from being usage of the meter.
func (s Source) check(ctx context.Context, db pg.DB, kind Aggregation) error {
	columns, err := pg.All[column](ctx, db, tableColumnsSQL, pgx.NamedArgs{"schema": s.Schema, "table": s.Table})
	if err != nil {
		return fmt.Errorf("read the columns of %s.%s: %w", s.Schema, s.Table, err)
	}
	var problems fault.Problems
	if len(columns) == 0 {
		problems.Add("table", "must be an existing table, as schema.table; there is no %.64s.%.64s", s.Schema, s.Table)
		return problems.Fault()
	}
	s.checkMeaning(kind, &problems)
	types := make(map[string]string, len(columns))
	for _, c := range columns {
		types[c.Name] = c.Type
	}
	for _, wanted := range []struct {
		field  string
		column *string
		types  []string
	}{
		{"tenantColumn", &s.TenantColumn, tenantTypes},
		{"amountColumn", s.AmountColumn, amountTypes},
		{"valueColumn", s.ValueColumn, valueTypes},
		{"timeColumn", s.TimeColumn, timeTypes},
	} {
		if wanted.column == nil {
			continue
		}
		switch found, ok := types[*wanted.column]; {
		case !ok:
			problems.Add(wanted.field, "must be a column of %s.%s; there is no %.64q", s.Schema, s.Table, *wanted.column)
		case !slices.Contains(wanted.types, found):
			problems.Add(wanted.field, "must be of type %s; %s is %s", strings.Join(wanted.types, ", "), *wanted.column, found)
		}
	}
	return problems.Fault()
}

// checkMeaning tells what makes no sense for a meter of this aggregation.
func (s Source) checkMeaning(kind Aggregation, problems *fault.Problems) {
	if s.Meter == Users {
		problems.Add("meter", "counts the members of a tenant, and nothing else")
	}
	if kind == Unique && s.ValueColumn == nil {
		problems.Add("valueColumn", "must be given: the meter %s counts different values", s.Meter)
	}
	if kind != Unique && s.ValueColumn != nil {
		problems.Add("valueColumn", "must be left out: the meter %s counts no values", s.Meter)
	}
	if kind == Level && s.TimeColumn != nil {
		problems.Add("timeColumn", "must be left out: the meter %s is what there is now", s.Meter)
	}
}
