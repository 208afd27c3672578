package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/isolation"
)

// write tries to write to the other tenant: a copy of an own row under its id, an own row moved, its rows named by its id.
func (r reach) write(ctx context.Context) error {
	into, values, err := r.copied(ctx)
	if err != nil {
		return err
	}
	table, tenant := r.table.Name.Quoted(), isolation.Quote(r.table.TenantColumn())
	own := fmt.Sprintf("%[1]s = %[2]s AND ctid = (SELECT min(ctid) FROM %[3]s WHERE %[1]s = %[2]s)", tenant, isolation.Literal(r.from.ID.String()), table)
	for _, try := range []struct{ check, statement string }{
		{inserts, fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM %[1]s WHERE %[4]s", table, into, values, own)},
		{moves, fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s", table, tenant, own)},
		{updates, fmt.Sprintf("UPDATE %[1]s SET %[2]s = %[2]s WHERE %[2]s = $1", table, tenant)},
		{deletes, fmt.Sprintf("DELETE FROM %s WHERE %s = $1", table, tenant)},
	} {
		result, err := r.attempt(ctx, try.statement, r.to)
		if err != nil {
			return err
		}
		result.detail = r.from.Name + " " + result.detail
		r.results[try.check] = result
	}
	return nil
}

const columnsSQL = `
SELECT a.attname::text FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.format('%I.%I', @schema::text, @name::text)::pg_catalog.regclass
	AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
ORDER BY a.attnum`

// copied are the columns of a copy of a row under the other tenant's id, and where their values come from.
func (r reach) copied(ctx context.Context) (into, values string, err error) {
	rows, _ := r.tx.Query(ctx, columnsSQL, pgx.NamedArgs{"schema": r.table.Name.Schema, "name": r.table.Name.Name})
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", "", err
	}
	var from []string
	for i, column := range columns {
		columns[i] = isolation.Quote(column)
		from = append(from, columns[i])
		if column == r.table.TenantColumn() {
			from[i] = "$1::uuid"
		}
	}
	return strings.Join(columns, ", "), strings.Join(from, ", "), nil
}

// attempt runs a statement that must touch nothing, in a savepoint of its own.
func (x *exercise) attempt(ctx context.Context, statement string, b Tenant) (outcome, error) {
	inner, err := x.tx.Begin(ctx)
	if err != nil {
		return outcome{}, err
	}
	tag, err := inner.Exec(ctx, statement, b.ID)
	var refused *pgconn.PgError
	switch {
	case err != nil && !errors.As(err, &refused):
		return outcome{}, err
	case err != nil:
		if rolledBack := inner.Rollback(ctx); rolledBack != nil {
			return outcome{}, rolledBack
		}
		return refusal(refused), nil
	}
	// What was reached stays until the end, so that the last check sees it, too.
	if err := inner.Commit(ctx); err != nil {
		return outcome{}, err
	}
	reached := tag.RowsAffected()
	return outcome{reached > 0, true, fmt.Sprintf("reaches %d rows", reached)}, nil
}

// refusal is proof where a right, a policy or the rule that no row moves refused. Any other error came before them.
func refusal(err *pgconn.PgError) outcome {
	switch {
	case err.Code == "42501" && err.Routine == "ExecWithCheckOptions":
		return outcome{false, true, "is refused by the policy"}
	case err.Code == "42501":
		return outcome{false, true, "has no right to"}
	case err.ConstraintName == "tenant_id_is_immutable":
		return outcome{false, true, "is refused: a row keeps its tenant"}
	}
	return outcome{false, false, "failed for another reason: " + err.Message}
}
