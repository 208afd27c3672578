package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// row is a row's columns.
type row = map[string]any

// side is one of the two tenants.
type side struct {
	callers []*caller
	planted map[string]*plant // by table; there to be attacked, or to attack with
	order   []*plant          // as they were planted
	reasons map[string]string // why a table has no planted row
	sown    map[string]int    // how many rows were planted, by table
	tested  map[string]bool   // tables of which a planted row was taken away
	stuck   map[string]bool   // tables of which one could not be, on whichever side; shared by both
	stayed  []*plant          // those rows
}

// owns reports whether a value under a name is this side's session variable and not the
// other's: the value itself where nobody guesses it, and by the name where anyone might.
func (s *side) owns(other *side, name string, value any) bool {
	text := textOf(value)
	if identifying(value) {
		return s.claims(text) && !other.claims(text)
	}
	own, ok := s.named(name)
	others, _ := other.named(name)
	return ok && own == text && others != text
}

func (s *side) claims(text string) bool {
	return slices.ContainsFunc(s.callers, func(c *caller) bool {
		return slices.Contains(slices.Collect(maps.Values(c.claims.session)), text)
	})
}

func (s *side) named(name string) (string, bool) {
	for _, c := range s.callers {
		if value, ok := c.claims.of(name); ok {
			return value, true
		}
	}
	return "", false
}

// sighting is a row as a caller of a side sees it, and whether it says that it is that side's.
type sighting struct {
	by    *caller
	row   row
	owned bool
}

const (
	rowsKnown = 50  // rows of the other tenant whose values are looked for
	rowsOwn   = 500 // own rows read to learn what both tenants hold
	rowsBelow = 20  // rows of a relationship of each row
)

// look reads a table as every caller of the side, with what hangs on each row one
// relationship away: a user is a tenant's by a membership.
func (s *side) look(ctx context.Context, other *side, name string, limit int) ([]sighting, error) {
	var seen []sighting
	for _, c := range s.callers {
		t := c.table(name)
		if t == nil || len(t.lists) == 0 {
			continue
		}
		list := t.lists[0]
		got, err := c.ask(ctx, query(list, with(list, nil, map[string]any{"limit": limit}), c.wide(t)))
		if err != nil {
			return nil, err
		}
		items, _ := got.Data[list.Name].([]any)
		for _, item := range items {
			if whole, ok := item.(row); ok {
				one := s.sight(t, other, whole)
				one.by = c
				seen = append(seen, one)
			}
		}
	}
	return seen, nil
}

func (s *side) sight(t *table, other *side, whole row) sighting {
	one := sighting{row: row{}}
	for _, column := range t.columns {
		one.row[column.Name] = whole[column.Name]
	}
	leaves(whole, "", func(name string, value any) {
		one.owned = one.owned || s.owns(other, name, value)
	})
	return one
}

// wide selects the columns of a row and of the rows beside it.
func (c *caller) wide(t *table) string {
	parts := []string{t.selection()}
	for _, relationship := range t.relationships {
		if beside := c.table(relationship.Type.base().Name); beside != nil && !slices.ContainsFunc(relationship.Args, input.required) {
			parts = append(parts, relationship.Name+limited(relationship)+" { "+beside.selection()+" }")
		}
	}
	return strings.Join(parts, " ")
}

func limited(f *field) string {
	if f.arg("limit") == nil {
		return ""
	}
	return fmt.Sprintf("(limit: %d)", rowsBelow)
}

// world is what is known of the two tenants before and between attempts.
type world struct {
	mine, theirs *side
	marks        map[string]string // value of the other tenant → the table.column it was read from
	rows         map[string][]row  // the other tenant's rows, by table
	common       map[string]bool   // values that the own tenant holds too
	alike        []string          // tables whose rows both see, and that say of nobody whose they are

	seen      map[*caller]map[string][]row // what each caller that tries sees before anything is planted, by table
	sowed     map[*caller]bool             // those that planted a row
	meanwhile map[string][]row             // the other tenant's rows where it has some only while others are planted, by table
}

// tableNames lists the tables any caller of the side sees.
func (s *side) tableNames() []string {
	names := map[string]bool{}
	for _, c := range s.callers {
		for _, t := range c.tables {
			names[t.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// survey reads both sides and decides which values are the other tenant's alone.
func survey(ctx context.Context, mine, theirs *side) (*world, error) {
	w := &world{mine: mine, theirs: theirs, marks: map[string]string{}, rows: map[string][]row{}, common: map[string]bool{}, seen: map[*caller]map[string][]row{}, sowed: map[*caller]bool{}, meanwhile: map[string][]row{}}
	for _, c := range mine.callers {
		w.seen[c] = map[string][]row{}
	}
	for _, name := range (&side{callers: slices.Concat(mine.callers, theirs.callers)}).tableNames() {
		ours, err := mine.look(ctx, theirs, name, rowsOwn)
		if err != nil {
			return nil, err
		}
		others, err := theirs.look(ctx, mine, name, rowsKnown)
		if err != nil {
			return nil, err
		}
		for _, one := range ours {
			w.seen[one.by][name] = append(w.seen[one.by][name], one.row)
		}
		w.compare(name, ours, others)
	}
	for _, c := range theirs.callers {
		for variable, value := range c.claims.session {
			if identifying(value) && !mine.claims(value) {
				w.marks[value] = variable
			}
		}
	}
	for value := range w.common {
		delete(w.marks, value)
	}
	return w, nil
}

// compare takes the rows of one table as the two sides see them. A row is the other
// tenant's where it says so, or where only the other tenant sees it.
func (w *world) compare(name string, ours, others []sighting) {
	seen, alike := map[string]bool{}, false
	for _, one := range ours {
		seen[canonical(one.row)] = true
		if one.owned {
			leaves(one.row, "", func(_ string, value any) { w.common[textOf(value)] = true })
		}
	}
	for _, one := range others {
		if !one.owned && seen[canonical(one.row)] {
			alike = true
			leaves(one.row, "", func(_ string, value any) { w.common[textOf(value)] = true })
			continue
		}
		w.rows[name] = append(w.rows[name], one.row)
		w.remember(name, one.row)
	}
	if alike {
		w.alike = append(w.alike, name)
	}
}

// remember makes marks of what a row of the other tenant alone can hold.
func (w *world) remember(name string, r row) {
	leaves(r, "", func(column string, value any) {
		if identifying(value) && !w.common[textOf(value)] {
			w.marks[textOf(value)] = name + "." + column
		}
	})
}

// marked reports whether a row holds a mark.
func (w *world) marked(r row) bool {
	found := false
	leaves(r, "", func(_ string, value any) { found = found || w.marks[textOf(value)] != "" })
	return found
}

func canonical(r row) string {
	text, _ := json.Marshal(r) // it came as JSON
	return string(text)
}
