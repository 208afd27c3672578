package drill

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// The statements are made for tables that are known only here, so they are no constants.

// Names of the checks.
const (
	seesOwn     = "sees its own"
	seesNoOther = "sees no other's"
	noContext   = "sees nothing without context"
	inserts     = "inserts nothing for the other"
	moves       = "moves nothing to the other"
	updates     = "updates nothing of the other's"
	deletes     = "deletes nothing of the other's"
	truncates   = "truncates nothing"
	unchanged   = "leaves the other's rows as they were"
	unnamed     = "has no right to its partitions"
)

var checkNames = []string{seesOwn, seesNoOther, noContext, inserts, moves, updates, deletes, truncates, unchanged}

// outcome is what one attempt showed.
type outcome struct {
	leak, proved bool
	detail       string
}

// and is what two attempts showed together: told is the worse of them, the first of two that are alike.
func (o outcome) and(other outcome) outcome {
	if other.weight() > o.weight() {
		return other
	}
	return o
}

func (o outcome) weight() int {
	switch {
	case o.leak:
		return 2
	case !o.proved:
		return 1
	}
	return 0
}

// table makes every check with one table and its partitions, from both sides.
func (x *exercise) table(ctx context.Context, t isolation.Table) ([]Check, error) {
	targets, closed, err := x.targets(ctx, t)
	if err != nil {
		return nil, err
	}
	var checks []Check
	for _, one := range targets {
		there, err := x.side(ctx, one, x.a, x.b)
		if err != nil {
			return nil, err
		}
		back, err := x.side(ctx, one, x.b, x.a)
		if err != nil {
			return nil, err
		}
		for _, name := range checkNames {
			worse := there[name].and(back[name])
			check := Check{Table: one.name().String(), Name: name, Leak: worse.leak, Proved: worse.proved, Detail: there[name].detail}
			if back[name].detail != there[name].detail {
				check.Detail += "; " + back[name].detail
			}
			checks = append(checks, check)
		}
	}
	if closed > 0 {
		checks = append(checks, Check{Table: t.Name.String(), Name: unnamed, Proved: true, Detail: fmt.Sprintf("%d are reached through it alone", closed)})
	}
	return checks, nil
}

// seen is what a session sees of a table.
type seen struct{ own, foreign int }

// count is what the session in force sees of a relation: rows of the tenant, and rows of others. People are shared, so of
// them only those count that are local to one tenant.
func (x *exercise) count(ctx context.Context, t isolation.Table, relation string, who Tenant) (seen, error) {
	column := isolation.Quote(t.TenantColumn())
	others := column + " IS DISTINCT FROM $1"
	if t.Rows == isolation.OfMembers {
		others = column + " <> $1"
	}
	var s seen
	rows, _ := x.tx.Query(ctx, fmt.Sprintf("SELECT count(*) FILTER (WHERE %s = $1), count(*) FILTER (WHERE %s) FROM %s AS x",
		column, others, relation), who.ID)
	_, err := pgx.ForEachRow(rows, []any{&s.own, &s.foreign}, func() error { return nil })
	return s, err
}

// sum is a figure that changes with any row that a tenant sees of what is tried.
func (x *exercise) sum(ctx context.Context, t target, who Tenant) (string, error) {
	if err := x.enter(ctx, service(who).setting); err != nil {
		return "", err
	}
	return pg.Scalar[string](ctx, x.tx, fmt.Sprintf("SELECT count(*)::text || ' rows, ' || coalesce(sum(hashtextextended(x::text, 0)), 0)::text FROM %s AS x",
		t.through()), nil)
}

// reach is what one tenant tries with the rows of another.
type reach struct {
	*exercise
	target
	from, to Tenant
	own      int    // own rows, as whoever sees the most of them counts
	theirs   int    // rows that the other has
	before   string // the other's sum before anything was tried
	results  map[string]outcome
}

func (r *reach) note(check string, o outcome) {
	if known, ok := r.results[check]; ok {
		o = known.and(o)
	}
	r.results[check] = o
}

// side tries everything that a does with b's rows.
func (x *exercise) side(ctx context.Context, t target, a, b Tenant) (map[string]outcome, error) {
	r := &reach{exercise: x, target: t, from: a, to: b, results: map[string]outcome{}}
	var err error
	if r.before, err = x.sum(ctx, t, b); err != nil {
		return nil, err
	}
	other, err := x.count(ctx, t.Table, t.through(), b)
	if err != nil {
		return nil, err
	}
	r.theirs = other.own
	r.note(unchanged, outcome{false, r.theirs > 0, fmt.Sprintf("%s has %s", b.Name, strings.SplitN(r.before, ",", 2)[0])})
	actors, err := x.actorsOf(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := r.countOwn(ctx, actors); err != nil {
		return nil, err
	}
	if err := r.read(ctx, actors); err != nil {
		return nil, err
	}
	return r.results, r.write(ctx, actors)
}

// countOwn asks everybody for the own rows by way of the declared table.
func (r *reach) countOwn(ctx context.Context, actors []actor) error {
	for _, who := range actors {
		if err := r.enter(ctx, who.setting); err != nil {
			return err
		}
		mine, err := r.count(ctx, r.Table, r.through(), r.from)
		if err != nil {
			return err
		}
		r.own = max(r.own, mine.own)
		if !r.Update && !r.Delete {
			break // nothing can reach them
		}
	}
	return nil
}

// read looks without a context, and then as everybody who acts for the tenant that reaches.
func (r *reach) read(ctx context.Context, actors []actor) error {
	if !r.Select {
		for _, name := range []string{seesOwn, seesNoOther, noContext} {
			r.note(name, outcome{false, true, r.from.Name + " has no right to"})
		}
		return nil
	}
	if err := r.enter(ctx, ""); err != nil {
		return err
	}
	nobody, err := r.count(ctx, r.Table, r.quoted(), r.to)
	if err != nil {
		return err
	}
	r.note(noContext, outcome{nobody.own+nobody.foreign > 0, r.theirs > 0, fmt.Sprintf("%d rows are seen without context", nobody.own+nobody.foreign)})
	most := 0
	for _, who := range actors {
		if err := r.enter(ctx, who.setting); err != nil {
			return err
		}
		mine, err := r.count(ctx, r.Table, r.quoted(), r.from)
		if err != nil {
			return err
		}
		most = max(most, mine.own)
		r.note(seesNoOther, outcome{mine.foreign > 0, r.theirs > 0 && most > 0,
			fmt.Sprintf("%s sees %d rows of others, %s has %d", who.words, mine.foreign, r.to.Name, r.theirs)})
	}
	r.note(seesOwn, outcome{false, most > 0, fmt.Sprintf("%s sees %d rows of its own", r.from.Name, most)})
	return nil
}
