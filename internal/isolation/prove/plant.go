package prove

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// plant is a row made to be attacked, or to attack with.
type plant struct {
	table  string
	by     *caller
	object row      // as it was inserted
	fresh  []string // columns of object that were made up and differ in every copy
	points []string // tables whose planted row it points at
	row    row      // what is known of it: the object, and what the insert answered
	seen   row      // as its side reads it; nil where no caller of the side can
	after  row      // as it was answered once an attempt had moved it
}

// String names the row for whoever has to take it away by hand.
func (p *plant) String() string { return p.table + " " + canonical(p.row) }

// alone is what of the row no other row can hold.
func (p *plant) alone() row {
	only := maps.Clone(p.row)
	maps.DeleteFunc(only, func(_ string, value any) bool { return !unique(value) })
	return only
}

// copy is the object once more, with everything made up anew.
func (p *plant) copy() row {
	again := maps.Clone(p.object)
	for _, column := range p.fresh {
		again[column] = nowhere(again[column])
	}
	return again
}

// planting is the making of one row.
type planting struct {
	side   *side
	caller *caller
	table  *table
	field  *field
	input  *kind

	object  row
	fresh   map[string]bool
	refused map[string]bool   // columns whose made-up value the database would not have
	tried   map[string]int    // column → how many of its candidates were tried
	points  map[string]string // column → table at whose planted row it points
	valid   []sighting        // rows that are there, whose values are valid by being so
}

const mostRepairs = 24

// sow inserts a row into a table as the first of the callers who can, and reads it back.
// A row nobody could take away again is not made.
func (s *side) sow(ctx context.Context, name string, callers []*caller) (*plant, error) {
	reason := cannot("no role of the token may insert rows here")
	for _, c := range callers {
		t := c.table(name)
		if t == nil || t.insertField() == nil {
			continue
		}
		p, err := s.sowAs(ctx, c, t)
		var cannot *cannotPlant
		if !errors.As(err, &cannot) {
			return p, err
		}
		reason = err
	}
	return nil, reason
}

func (t *table) insertField() *field {
	if t.insertOne != nil {
		return t.insertOne
	}
	return t.insert
}

func (s *side) sowAs(ctx context.Context, c *caller, t *table) (*plant, error) {
	work := &planting{side: s, caller: c, table: t, field: t.insertField(), fresh: map[string]bool{}, refused: map[string]bool{}, tried: map[string]int{}, points: map[string]string{}}
	work.input = c.schema.types[insertInput(work.field)]
	work.begin()
	var last answer
	for range mostRepairs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(s.callers, work.removable) {
			return nil, cannot("no role of the token may delete a planted row again, or could name it for that")
		}
		// A row whose insert nobody heard the answer of could not be taken away.
		got, err := c.ask(context.WithoutCancel(ctx), c.inserting(t, work.object, nil))
		if err != nil {
			return nil, err
		}
		if !got.refused() && rowsIn(got.Data[work.field.Name]) > 0 {
			return work.done(got), nil
		}
		last = got
		if work.valid == nil {
			if work.valid, err = (&side{callers: []*caller{c}}).look(ctx, s, t.name, 1); err != nil {
				return nil, err
			}
		}
		if !work.repair(got.message()) {
			break
		}
	}
	return nil, cannot("no row could be planted: %s", last.message())
}

// removable reports whether a caller may delete the row about to be planted, and can name it
// for that: by its key, or by a text made up for it.
func (w *planting) removable(by *caller) bool {
	t := by.table(w.table.name)
	if t == nil {
		return false
	}
	exp := by.schema.types[t.boolExp]
	known := func(column string) bool { return w.object[column] != nil || w.table.column(column) != nil }
	key := w.side.key(t.name)
	named := len(key) > 0 && !slices.ContainsFunc(key, func(column string) bool { return !known(column) || exp.input(column) == nil })
	for column := range w.fresh {
		named = named || exp.input(column) != nil
	}
	return t.delete != nil && named ||
		t.deleteByPK != nil && !slices.ContainsFunc(argumentNames(t.deleteByPK), func(column string) bool { return !known(column) })
}

// insertInput is the type of a row to insert.
func insertInput(f *field) string {
	if one := f.arg("object"); one != nil {
		return one.Type.base().Name
	}
	return f.arg("objects").Type.base().Name
}

// inserting is the insert of one object, which asks for as much back as the role may see.
func (c *caller) inserting(t *table, object row, conflict map[string]any) request {
	f := t.insertField()
	args := map[string]any{}
	if f.arg("object") != nil {
		args["object"] = object
	} else {
		args["objects"] = []any{object}
	}
	if name := conflictArgument(f); name != "" && conflict != nil {
		args[name] = conflict
	}
	return mutation(f, args, c.changed(t, f))
}

func conflictArgument(f *field) string {
	for _, name := range []string{"on_conflict", "onConflict"} {
		if f.arg(name) != nil {
			return name
		}
	}
	return ""
}

// changed is the selection of what a mutation of a table answers.
func (c *caller) changed(t *table, f *field) string {
	result := c.schema.types[f.Type.base().Name]
	if result.Name == t.name {
		return t.selection()
	}
	selected := "affected_rows"
	if result.field(selected) == nil {
		selected = "affectedRows"
	}
	if result.field("returning") != nil && t.row != nil {
		selected += " returning { " + t.selection() + " }"
	}
	return selected
}

// done keeps what was planted.
func (w *planting) done(got answer) *plant {
	p := &plant{table: w.table.name, by: w.caller, object: w.object, row: maps.Clone(w.object)}
	p.points = slices.Collect(maps.Values(w.points))
	p.fresh = slices.Sorted(maps.Keys(w.fresh))
	maps.Copy(p.row, returned(got.Data[w.field.Name]))
	return p
}

// returned is the row that a mutation answered with; nil where it told none.
func returned(value any) row {
	object, ok := value.(row)
	if !ok {
		return nil
	}
	list, ok := object["returning"].([]any)
	switch {
	case !ok && (object["affected_rows"] != nil || object["affectedRows"] != nil):
		return nil
	case !ok:
		return object
	case len(list) == 0:
		return nil
	}
	first, _ := list[0].(row)
	return first
}

// rowsIn counts the rows that a root field's answer speaks of.
func rowsIn(value any) int {
	switch value := value.(type) {
	case nil:
		return 0
	case []any:
		total := 0
		for _, item := range value {
			total += rowsIn(item)
		}
		return total
	case row:
		for _, name := range []string{"affected_rows", "affectedRows"} {
			if n, ok := value[name]; ok {
				return integer(n)
			}
		}
		if aggregate, ok := value["aggregate"].(row); ok {
			nodes, _ := value["nodes"].([]any)
			return max(integer(aggregate["count"]), len(nodes))
		}
		return 1
	}
	return 1
}
