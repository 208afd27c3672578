package prove

import "slices"

// updates tries to change the other's planted row.
func (x *explorer) updates(t *table) {
	for _, f := range []*field{t.update, t.updateByPK, t.updateMany} {
		if f == nil {
			continue
		}
		victim := x.victim(t, Update, f)
		if victim == nil {
			continue
		}
		column, value := x.settable(t, f)
		if column == "" {
			x.skip(Update, f.Name, "no column can be set")
			continue
		}
		x.updateOf(t, f, victim, map[string]any{column: value})
	}
}

// setInput is the argument that sets columns; nil where there is none.
func (x *explorer) setInput(f *field) *input {
	holder := f.Args
	if many := f.arg("updates"); many != nil {
		holder = x.schema.types[many.Type.base().Name].Inputs
	}
	if set := find(holder, "_set"); set != nil {
		return set
	}
	return find(holder, "set")
}

// settable is a column that an update may set, text where there is one, and a value.
func (x *explorer) settable(t *table, f *field) (string, any) {
	set := x.setInput(f)
	if set == nil {
		return "", nil
	}
	column, value := "", any(nil)
	for _, in := range x.schema.types[set.Type.base().Name].Inputs {
		if _, own := x.claims.of(in.Name); own || slices.Contains(x.world.key(t.name), in.Name) || in.Type.base().Kind != "SCALAR" {
			continue
		}
		if column == "" || isText(in.Type.base().Name) && !isTextValue(value) {
			column, value = in.Name, generated(x.schema, in.Name, in.Type)
		}
	}
	return column, value
}

// updateOf aims an update at a planted row, in every form the field takes.
func (x *explorer) updateOf(t *table, f *field, victim *plant, set map[string]any) {
	in := x.setInput(f)
	shot := aimed{kind: Update, table: t, field: f}
	theirs, control := victim.row, x.world.twin(t.name, victim.row)
	if name := keyArgument(f); name != nil {
		key := x.schema.types[name.Type.base().Name].Inputs
		a, okA := keyOfRow(key, theirs)
		b, okB := keyOfRow(key, control)
		if okA && okB {
			x.aimed(shot.at(map[string]any{name.Name: a, in.Name: set}, map[string]any{name.Name: b, in.Name: set}))
		}
		return
	}
	a, b := x.aim(t, x.world.key(t.name), theirs), x.aim(t, x.world.key(t.name), control)
	if a == nil || b == nil {
		x.skip(Update, f.Name, notNamed)
		return
	}
	for _, form := range forms {
		one, other := map[string]any{"where": form(a), in.Name: set}, map[string]any{"where": form(b), in.Name: set}
		if f.arg("updates") != nil {
			one, other = map[string]any{"updates": []any{one}}, map[string]any{"updates": []any{other}}
		}
		x.aimed(shot.at(one, other))
	}
}

const notNamed = "the role sees no column by which it could name the other's planted row alone"

// forms are conditions that mean the same as the one they are given.
var forms = []func(map[string]any) map[string]any{
	func(aim map[string]any) map[string]any { return aim },
	func(aim map[string]any) map[string]any {
		return map[string]any{"_and": []any{aim, map[string]any{"_or": []any{map[string]any{}, map[string]any{"_not": map[string]any{}}}}}}
	},
	func(aim map[string]any) map[string]any {
		return map[string]any{"_not": map[string]any{"_not": aim}}
	},
}

// aimed is a change of the other's planted row, beside the same of a row that is nowhere.
type aimed struct {
	kind            Kind
	table           *table
	field           *field
	theirs, control map[string]any // arguments
}

// at is the change with its arguments.
func (a aimed) at(theirs, control map[string]any) aimed {
	a.theirs, a.control = theirs, control
	return a
}

func (x *explorer) aimed(a aimed) {
	selection := x.changed(a.table, a.field)
	control := mutation(a.field, a.control, selection)
	x.try(attempt{
		kind: a.kind, field: a.field.Name, theirs: mutation(a.field, a.theirs, selection), control: &control, barren: true, echoes: true,
		change: &change{tables: []string{a.table.name}},
	})
}

// moves tries to give an own row to the other tenant, and to point it at the other's rows.
func (x *explorer) moves(t *table) {
	f := t.update
	if f == nil {
		return
	}
	victim, own := x.victim(t, Move, nil), x.own(t, Move, f)
	set := x.setInput(f)
	if own == nil || set == nil {
		return
	}
	known := row{}
	if victim != nil {
		known = victim.row
	}
	for _, values := range x.sets(t, x.foreign(t.name, x.schema.types[set.Type.base().Name], known)) {
		x.move(t, f, set.Name, values)
	}
}

// move sets values of the other's over those of the own planted row.
func (x *explorer) move(t *table, f *field, set string, values row) {
	current := x.world.mine.planted[t.name]
	if current == nil {
		return
	}
	key := x.world.key(t.name)
	aim := x.aim(t, key, current.row)
	if aim == nil {
		x.skip(Move, f.Name, "the role sees no column by which it could name its own planted row alone")
		return
	}
	x.try(attempt{
		kind: Move, field: f.Name, theirs: mutation(f, map[string]any{"where": aim, set: values}, x.changed(t, f)), echoes: true,
		change: &change{tables: []string{t.name}, moved: current, set: values},
		later: func(again *plant) request {
			twin := x.twinOf(t.name, values)
			return mutation(f, map[string]any{"where": x.aim(t, key, again.row), set: twin}, x.changed(t, f))
		},
	})
}

// deletes tries to delete the other's planted row.
func (x *explorer) deletes(t *table) {
	if f := t.deleteByPK; f != nil {
		if victim := x.victim(t, Delete, f); victim != nil {
			a, okA := keyOfRow(f.Args, victim.row)
			b, okB := keyOfRow(f.Args, x.world.twin(t.name, victim.row))
			if okA && okB {
				x.aimed(aimed{Delete, t, f, a, b})
			}
		}
	}
	f := t.delete
	if f == nil {
		return
	}
	for _, form := range forms {
		victim := x.victim(t, Delete, f)
		if victim == nil {
			return
		}
		key := x.world.key(t.name)
		a, b := x.aim(t, key, victim.row), x.aim(t, key, x.world.twin(t.name, victim.row))
		if a == nil || b == nil {
			x.skip(Delete, f.Name, notNamed)
			return
		}
		x.aimed(aimed{Delete, t, f, map[string]any{"where": form(a)}, map[string]any{"where": form(b)}})
	}
}
