package drill

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

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
	column := isolation.Quote(t.TenantColumn())
	others := column + " IS DISTINCT FROM $1"
	if t.Rows == isolation.OfMembers {
		others = column + " <> $1"
	}
	var s seen
	rows, _ := x.tx.Query(ctx, fmt.Sprintf("SELECT count(*) FILTER (WHERE %s = $1), count(*) FILTER (WHERE %s) FROM %s",
		column, others, t.Name.Quoted()), who.ID)
	_, err := pgx.ForEachRow(rows, []any{&s.own, &s.foreign}, func() error { return nil })
	return s, err
}

// sum is a figure that changes with any row that the session in force sees.
func (x *exercise) sum(ctx context.Context, t isolation.Table) (string, error) {
	return pg.Scalar[string](ctx, x.tx, fmt.Sprintf("SELECT count(*)::text || ' rows, ' || coalesce(sum(hashtextextended(x::text, 0)), 0)::text FROM %s x",
		t.Name.Quoted()), nil)
}

// reach is what one tenant tries with the rows of another.
type reach struct {
	*exercise
	table    isolation.Table
	from, to Tenant
	results  map[string]outcome
}

// side tries everything that a does with b's rows.
func (x *exercise) side(ctx context.Context, t isolation.Table, a, b Tenant) (map[string]outcome, error) {
	r := reach{exercise: x, table: t, from: a, to: b, results: map[string]outcome{}}
	before, other, err := x.asTenant(ctx, t, b)
	if err != nil {
		return nil, err
	}
	if err := r.read(ctx, other); err != nil {
		return nil, err
	}
	if err := r.write(ctx); err != nil {
		return nil, err
	}
	after, _, err := x.asTenant(ctx, t, b)
	if err != nil {
		return nil, err
	}
	r.results[unchanged] = outcome{after != before, other.own > 0, fmt.Sprintf("%s has %s", b.Name, strings.SplitN(after, ",", 2)[0])}
	return r.results, nil
}

// read looks without a context, and then, in that of the tenant that reaches, which stays in force. other is what the
// other tenant sees itself.
func (r reach) read(ctx context.Context, other seen) error {
	if err := r.enter(ctx, nil); err != nil {
		return err
	}
	nobody, err := r.count(ctx, r.table, r.to)
	if err != nil {
		return err
	}
	if err := r.enter(ctx, &r.from); err != nil {
		return err
	}
	mine, err := r.count(ctx, r.table, r.from)
	if err != nil {
		return err
	}
	r.results[seesOwn] = outcome{false, mine.own > 0, fmt.Sprintf("%s sees %d rows of its own", r.from.Name, mine.own)}
	r.results[seesNoOther] = outcome{mine.foreign > 0, other.own > 0 && mine.own > 0,
		fmt.Sprintf("%s sees %d rows of others, %s has %d", r.from.Name, mine.foreign, r.to.Name, other.own)}
	r.results[noContext] = outcome{nobody.own+nobody.foreign > 0, other.own > 0, fmt.Sprintf("%d rows are seen without context", nobody.own+nobody.foreign)}
	return nil
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
