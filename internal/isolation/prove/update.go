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
	theirs, control := victim.row, x.world.twin(t.name, victim.row)
	if name := keyArgument(f); name != nil {
		key := x.schema.types[name.Type.base().Name].Inputs
		a, okA := keyOfRow(key, theirs)
		b, okB := keyOfRow(key, control)
		if okA && okB {
			x.aimed(Update, f, map[string]any{name.Name: a, in.Name: set}, map[string]any{name.Name: b, in.Name: set}, t)
		}
		return
	}
	a, b := x.aim(t, x.world.key(t.name), theirs), x.aim(t, x.world.key(t.name), control)
	if a == nil || b == nil {
		x.skip(Update, f.Name, "the role sees no column by which it could name the other's planted row alone")
		return
	}
	for _, form := range forms {
		if f.arg("updates") != nil {
			x.aimed(Update, f, map[string]any{"updates": []any{map[string]any{"where": form(a), in.Name: set}}},
				map[string]any{"updates": []any{map[string]any{"where": form(b), in.Name: set}}}, t)
		} else {
			x.aimed(Update, f, map[string]any{"where": form(a), in.Name: set}, map[string]any{"where": form(b), in.Name: set}, t)
		}
	}
}

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

// aimed tries a change of the other's planted row beside the same of a row that is nowhere.
func (x *explorer) aimed(kind Kind, f *field, theirs, control map[string]any, t *table) {
	second := mutation(f, control, x.changed(t, f))
	x.try(attempt{kind: kind, field: f.Name, theirs: mutation(f, theirs, x.changed(t, f)), control: &second, barren: true, echoes: true, change: &change{tables: []string{t.name}}})
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
	foreign := row{}
	for _, column := range offered(x.schema.types[set.Type.base().Name]) {
		if value, ok := x.values(known, column); ok && x.pointsOrNames(t, column, value) {
			foreign[column] = value
		}
	}
	for _, values := range x.sets(t, foreign) {
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
				x.aimed(Delete, f, a, b, t)
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
			x.skip(Delete, f.Name, "the role sees no column by which it could name the other's planted row alone")
			return
		}
		x.aimed(Delete, f, map[string]any{"where": form(a)}, map[string]any{"where": form(b)}, t)
	}
}
