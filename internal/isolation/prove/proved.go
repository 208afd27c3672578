package prove

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
)

// Unproved is a table of which nothing can be said in a role: nothing leaked, and a leak
// might have looked the same.
type Unproved struct {
	Role   string `json:"role"`
	Table  string `json:"table"`
	Reason string `json:"reason"`
}

// Reasons why a table is not proved.
const (
	looksShared = "both tenants see the same rows, and nothing in them tells whose they are"
	noForeign   = "nothing is known there of the other tenant that could be looked for: the token to try against sees and plants no row"
	looksAlike  = "what the role sees is also what the other tenant's rows hold, and nothing in it tells whose they are"
	onlyFigures = "the role sees figures alone, and no row could be planted to see them move"
)

// prove tells the tables of which the attempts of a role prove nothing. Those that are
// accepted as the installation's own need no proof.
func (r *runner) prove(c *caller) {
	for _, t := range c.tables {
		if !slices.ContainsFunc(slices.Concat(t.lists, t.aggregates, []*field{t.byPK}), func(f *field) bool { return f != nil && r.wants(f.Name) }) {
			continue
		}
		reason := r.world.unproved(c, t, r.sown[t.name])
		if reason == "" || r.report.leaked(c.name, t) {
			continue
		}
		if slices.ContainsFunc(r.options.Shared, t.called) {
			r.report.share(t.name)
			continue
		}
		r.report.Unproved = append(r.report.Unproved, Unproved{c.name, t.name, reason})
	}
	// Leaks speak for themselves.
	silent := !slices.ContainsFunc(r.report.Leaks, func(l Leak) bool { return l.Role == c.name })
	if reason := r.world.blind(c); silent && reason != "" {
		r.report.fault("nothing is proved as %s: %s", c.name, reason)
	}
}

// called reports whether a name is the table's: of its rows' type, or of a root field. *
// stands for any text in it: the tables of a tenant's own schema begin alike.
func (t *table) called(name string) bool {
	is := func(own string) bool {
		matched, err := path.Match(name, own)
		return err == nil && matched
	}
	return is(t.name) || slices.ContainsFunc(t.lists, func(f *field) bool { return is(f.Name) })
}

// unproved says why nothing is proved of a table; "" where the attempts decide.
func (w *world) unproved(c *caller, t *table, planted bool) string {
	others := slices.Concat(w.rows[t.name], w.meanwhile[t.name])
	switch {
	case slices.Contains(w.alike, t.name):
		return looksShared
	case planted:
		return ""
	case len(others) == 0:
		return noForeign
	case t.row == nil || len(t.lists) == 0 && t.byPK == nil:
		return onlyFigures
	case slices.ContainsFunc(others, func(r row) bool { return w.recognisable(t, r) }):
		return ""
	case len(t.lists) > 0 && !w.resembles(c, t, others):
		return ""
	}
	return looksAlike
}

// recognisable reports whether a row of the other tenant would be known by what the role
// sees of it.
func (w *world) recognisable(t *table, r row) bool {
	return slices.ContainsFunc(t.columns, func(column *field) bool {
		value := r[column.Name]
		return value != nil && (identifying(value) && w.marks[textOf(value)] != "" || w.theirs.owns(w.mine, column.Name, value))
	})
}

// resembles reports whether one of the rows could be among those that the role sees: one
// reads the same, or there are more than were read.
func (w *world) resembles(c *caller, t *table, others []row) bool {
	own := w.seen[c][t.name]
	if len(own) >= rowsOwn {
		return true
	}
	seen := map[string]bool{}
	for _, r := range own {
		seen[canonical(r)] = true
	}
	return slices.ContainsFunc(others, func(r row) bool {
		visible := row{}
		for _, column := range t.columns {
			visible[column.Name] = r[column.Name]
		}
		return seen[canonical(visible)]
	})
}

// blind says why the silence of a role that tries proves nothing; "" where it does. One that
// sees no row but such as everybody sees would see none of the other tenant's either way.
func (w *world) blind(c *caller) string {
	reads := slices.ContainsFunc(c.tables, func(t *table) bool { return len(t.lists) > 0 })
	if !reads || w.sowed[c] {
		return ""
	}
	for name, rows := range w.seen[c] {
		if len(rows) > 0 && !slices.Contains(w.alike, name) {
			return ""
		}
	}
	return "the token sees no row that is its tenant's: has it a tenant, and is that active?"
}

// lame are the reasons why the two sides together prove nothing.
func (w *world) lame() []string {
	var reasons []string
	if len(w.rows) == 0 && len(w.theirs.sown) == 0 {
		reasons = append(reasons, "nothing is proved: the token to try against sees and plants no row that is its tenant's: has it a tenant, and is that active?")
	}
	mine, theirs := w.mine.bound(), w.theirs.bound()
	switch {
	case len(mine) == 0 && len(theirs) > 0:
		reasons = append(reasons, "nothing is proved: no token to try as has "+theirs[0]+", which the token to try against has")
	case len(theirs) == 0 && len(mine) > 0:
		reasons = append(reasons, "nothing is proved: the token to try against has no "+mine[0]+", which a token to try as has")
	}
	return reasons
}

// ofPerson are the session variables that name somebody and not what they belong to.
var ofPerson = []string{"x-hasura-user-id", "x-hasura-session-id"}

// bound are the session variables of a side that name something its people belong to.
func (s *side) bound() []string {
	var names []string
	for _, c := range s.callers {
		for variable := range c.claims.session {
			if strings.HasSuffix(variable, "-id") && !slices.Contains(ofPerson, variable) {
				names = append(names, variable)
			}
		}
	}
	slices.Sort(names)
	return names
}

// leaked reports whether a leak in a role was found at one of the table's root fields.
func (r *Report) leaked(role string, t *table) bool {
	return slices.ContainsFunc(r.Leaks, func(l Leak) bool {
		return l.Role == role && slices.ContainsFunc(slices.Concat(t.lists, t.aggregates, []*field{t.byPK}), func(f *field) bool { return f != nil && f.Name == l.Field })
	})
}

func (r *Report) share(name string) {
	if !slices.Contains(r.SharedTables, name) {
		r.SharedTables = append(r.SharedTables, name)
		slices.Sort(r.SharedTables)
	}
}

// lasted finds fault with a token that saw rows of its own tenant at first and sees none at
// the end: what was refused in between may have been so for that alone.
func (r *runner) lasted(ctx context.Context) error {
	asked := false
	for _, name := range slices.Sorted(maps.Keys(r.world.seen[r.caller])) {
		t := r.caller.table(name)
		if len(r.world.seen[r.caller][name]) == 0 || slices.Contains(r.world.alike, name) {
			continue
		}
		list := t.lists[0]
		got, err := r.caller.ask(ctx, query(list, with(list, nil, map[string]any{"limit": 1}), t.selection()))
		if err != nil {
			return err
		}
		if rows, _ := got.Data[list.Name].([]any); len(rows) > 0 {
			return nil
		}
		asked = true
	}
	if asked {
		r.report.fault("nothing is proved as %s: by the end the token sees no row that is its tenant's: its session, its membership or its tenant came to an end on the way", r.caller.name)
	}
	return nil
}
