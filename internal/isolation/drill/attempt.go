package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// The statements are made for tables that are known only here, so they are no constants. They begin with a comment that
// tells whoever watches the database where they come from.

// Names of the checks.
const (
	seesOwn     = "sees its own"
	seesNoOther = "sees no other's"
	noContext   = "sees nothing without context"
	inserts     = "inserts nothing for the other"
	moves       = "moves nothing to the other"
	updates     = "updates nothing of the other's"
	deletes     = "deletes nothing of the other's"
	unchanged   = "leaves the other's rows as they were"
)

// outcome is what one attempt showed.
type outcome struct {
	leak, proved bool
	detail       string
}

// table makes every check with one table, from both sides.
func (x *exercise) table(ctx context.Context, t isolation.Table) ([]Check, error) {
	there, err := x.side(ctx, t, x.a, x.b)
	if err != nil {
		return nil, err
	}
	back, err := x.side(ctx, t, x.b, x.a)
	if err != nil {
		return nil, err
	}
	names := []string{seesOwn, seesNoOther, noContext, inserts, moves, updates, deletes, unchanged}
	checks := make([]Check, len(names))
	for i, name := range names {
		one, other := there[name], back[name]
		checks[i] = Check{Table: t.Name.String(), Name: name, Leak: one.leak || other.leak, Proved: one.proved && other.proved, Detail: one.detail}
		if other.detail != one.detail {
			checks[i].Detail += "; " + other.detail
		}
	}
	return checks, nil
}

// seen is what a session sees of a table.
type seen struct{ own, foreign int }

// count is what the session in force sees: rows of the tenant, and rows of others. People are shared, so of them only
// those count that are local to one tenant.
func (x *exercise) count(ctx context.Context, t isolation.Table, who Tenant) (seen, error) {
	column := pgx.Identifier{t.TenantColumn()}.Sanitize()
	others := column + " IS DISTINCT FROM $1"
	if t.Rows == isolation.OfMembers {
		others = column + " <> $1"
	}
	var s seen
	rows, _ := x.tx.Query(ctx, fmt.Sprintf("SELECT count(*) FILTER (WHERE %s = $1), count(*) FILTER (WHERE %s) FROM %s",
		column, others, quoted(t)), who.ID)
	_, err := pgx.ForEachRow(rows, []any{&s.own, &s.foreign}, func() error { return nil })
	return s, err
}

// sum is a figure that changes with any row that the session in force sees.
func (x *exercise) sum(ctx context.Context, t isolation.Table) (string, error) {
	return pg.Scalar[string](ctx, x.tx, fmt.Sprintf("SELECT count(*)::text || ' rows, ' || coalesce(sum(hashtextextended(x::text, 0)), 0)::text FROM %s x",
		quoted(t)), nil)
}

func quoted(t isolation.Table) string { return pgx.Identifier{t.Name.Schema, t.Name.Name}.Sanitize() }

// side tries everything that a does with b's rows.
func (x *exercise) side(ctx context.Context, t isolation.Table, a, b Tenant) (map[string]outcome, error) {
	results := map[string]outcome{}
	before, other, err := x.asTenant(ctx, t, b)
	if err != nil {
		return nil, err
	}
	if err := x.enter(ctx, nil); err != nil {
		return nil, err
	}
	nobody, err := x.count(ctx, t, b)
	if err != nil {
		return nil, err
	}
	if err := x.enter(ctx, &a); err != nil {
		return nil, err
	}
	mine, err := x.count(ctx, t, a)
	if err != nil {
		return nil, err
	}
	results[seesOwn] = outcome{false, mine.own > 0, fmt.Sprintf("%s sees %d rows of its own", a.Name, mine.own)}
	results[seesNoOther] = outcome{mine.foreign > 0, other.own > 0 && mine.own > 0,
		fmt.Sprintf("%s sees %d rows of others, %s has %d", a.Name, mine.foreign, b.Name, other.own)}
	results[noContext] = outcome{nobody.own+nobody.foreign > 0, other.own > 0, fmt.Sprintf("%d rows are seen without context", nobody.own+nobody.foreign)}
	if err := x.write(ctx, t, a, b, results); err != nil {
		return nil, err
	}
	after, _, err := x.asTenant(ctx, t, b)
	if err != nil {
		return nil, err
	}
	results[unchanged] = outcome{after != before, other.own > 0, fmt.Sprintf("%s has %s", b.Name, strings.SplitN(after, ",", 2)[0])}
	return results, nil
}

// asTenant is what a tenant itself sees of a table.
func (x *exercise) asTenant(ctx context.Context, t isolation.Table, who Tenant) (string, seen, error) {
	if err := x.enter(ctx, &who); err != nil {
		return "", seen{}, err
	}
	sum, err := x.sum(ctx, t)
	if err != nil {
		return "", seen{}, err
	}
	count, err := x.count(ctx, t, who)
	return sum, count, err
}

const columnsSQL = `
SELECT a.attname::text FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.format('%I.%I', @schema::text, @name::text)::pg_catalog.regclass
	AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
ORDER BY a.attnum`

// write tries to write to b as a: a copy of an own row under b's id, an own row moved, b's rows named by b's id.
func (x *exercise) write(ctx context.Context, t isolation.Table, a, b Tenant, results map[string]outcome) error {
	rows, _ := x.tx.Query(ctx, columnsSQL, pgx.NamedArgs{"schema": t.Name.Schema, "name": t.Name.Name})
	columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	tenant := pgx.Identifier{t.TenantColumn()}.Sanitize()
	var into, values []string
	for _, column := range columns {
		name := pgx.Identifier{column}.Sanitize()
		into = append(into, name)
		if name == tenant {
			name = "$1::uuid"
		}
		values = append(values, name)
	}
	own := fmt.Sprintf("%[1]s = '%[2]s' AND ctid = (SELECT min(ctid) FROM %[3]s WHERE %[1]s = '%[2]s')", tenant, a.ID, quoted(t))
	for name, statement := range map[string]string{
		inserts: fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[3]s FROM %[1]s WHERE %[4]s", quoted(t), strings.Join(into, ", "), strings.Join(values, ", "), own),
		moves:   fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s", quoted(t), tenant, own),
		updates: fmt.Sprintf("UPDATE %[1]s SET %[2]s = %[2]s WHERE %[2]s = $1", quoted(t), tenant),
		deletes: fmt.Sprintf("DELETE FROM %s WHERE %s = $1", quoted(t), tenant),
	} {
		result, err := x.attempt(ctx, statement, b)
		if err != nil {
			return err
		}
		result.detail = a.Name + " " + result.detail
		results[name] = result
	}
	return nil
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
