package drill

import (
	"context"
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/isolation"
)

// attempt is one statement that must reach nothing of the other tenant's.
type attempt struct {
	check, statement string
	right            bool   // the role has the right that it takes
	own              bool   // the own rows may be reached, too
	clears           string // a table that the other empties first, so that a copy of its row meets no key; "" for none
}

// write tries to write to the other tenant as everybody who acts for the one that reaches. What the role has no right to
// is tried once: rights are the role's, whoever acts.
func (r *reach) write(ctx context.Context, actors []actor) error {
	if err := r.enter(ctx, service(r.to).setting); err != nil {
		return err
	}
	theirs, err := r.sample(ctx, r.target, r.to)
	if err != nil {
		return err
	}
	if err := r.enter(ctx, actors[0].setting); err != nil {
		return err
	}
	mine, err := r.sample(ctx, r.target, r.from)
	if err != nil {
		return err
	}
	for _, variants := range r.attempts(mine, theirs) {
		if len(variants) == 0 {
			continue
		}
		for _, who := range actors {
			if err := r.first(ctx, who, variants); err != nil {
				return err
			}
			if !variants[0].right {
				break
			}
		}
	}
	return nil
}

// first notes the first of the variants that showed something.
func (r *reach) first(ctx context.Context, who actor, variants []attempt) error {
	var all outcome
	for i, a := range variants {
		o, err := r.try(ctx, who, a)
		if err != nil {
			return fmt.Errorf("%s: %w", a.statement, err)
		}
		o.detail = who.words + " " + o.detail
		if i == 0 || o.leak || o.proved {
			all = o
		}
		if o.leak || o.proved {
			break
		}
	}
	r.note(variants[0].check, all)
	return nil
}

// attempts are all that is tried, each in variants of which one has to show something.
func (r *reach) attempts(mine, theirs map[string]*string) [][]attempt {
	table, tenant := r.quoted(), isolation.Quote(r.TenantColumn())
	other := tenant + " = " + isolation.Literal(r.to.ID.String())
	own := fmt.Sprintf("%[1]s = %[2]s AND ctid = (SELECT min(ctid) FROM %[3]s WHERE %[1]s = %[2]s)", tenant, isolation.Literal(r.from.ID.String()), table)
	movable := r.Update && slices.ContainsFunc(r.columns, func(c column) bool { return c.Name == r.TenantColumn() && !c.Settled })
	list := [][]attempt{
		r.insertions(mine, theirs),
		{{check: moves, statement: fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", table, tenant, isolation.Literal(r.to.ID.String()), own), right: movable}},
		{{check: deletes, statement: fmt.Sprintf("DELETE FROM %s WHERE %s", table, other), right: r.Delete}},
		{{check: deletes, statement: "DELETE FROM " + table, right: r.Delete, own: true}},
		{{check: truncates, statement: "TRUNCATE " + table, right: r.Truncate}},
	}
	var named, every []attempt
	for _, c := range r.settable() {
		set := isolation.Quote(c.Name)
		named = append(named, attempt{check: updates, statement: fmt.Sprintf("UPDATE %s SET %s = %[2]s WHERE %s", table, set, other), right: r.Update})
		every = append(every, attempt{check: updates, statement: fmt.Sprintf("UPDATE %s SET %s = %s", table, set, literal(mine[c.Name])), right: r.Update, own: true})
	}
	return append(list, named, every)
}

// mostColumns is how many columns an update is tried with until one meets the wall.
const mostColumns = 6

// settable are columns to update, those first that no key and no reference holds. Without the right to any, it is the
// tenant's: the refusal is the same.
func (r *reach) settable() []column {
	var list []column
	for _, c := range r.columns {
		if !c.Settled && c.Name != r.TenantColumn() {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b column) int { return a.obstacles() - b.obstacles() })
	if len(list) == 0 {
		return []column{{Name: r.TenantColumn()}}
	}
	return list[:min(len(list), mostColumns)]
}

func (c column) obstacles() int {
	n := 0
	if c.Keyed {
		n += 2
	}
	if c.Refers {
		n++
	}
	return n
}
