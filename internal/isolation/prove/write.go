package prove

import (
	"maps"
	"slices"
	"strings"
)

// writes makes every attempt that would change something, one table after the other. An
// attempt at a row of the other tenant is made at a planted one and at no other.
func (x *explorer) writes() {
	for _, t := range x.tables {
		x.inserts(t)
		x.updates(t)
		x.moves(t)
		x.deletes(t)
		for _, f := range t.functionMutations {
			x.skip(Function, f.Name, "a function that changes rows: what it does with its arguments cannot be taken back")
		}
	}
	x.actionMutations()
}

// victim is the planted row of the other tenant in a table, for an attempt to aim at.
func (x *explorer) victim(t *table, kind Kind, f *field) *plant {
	p := x.world.theirs.planted[t.name]
	if p == nil && f != nil {
		x.skip(kind, f.Name, "no row of the other tenant could be planted to aim at: "+x.world.theirs.reasons[t.name])
	}
	return p
}

// own is the planted row of the caller's own tenant.
func (x *explorer) own(t *table, kind Kind, f *field) *plant {
	p := x.world.mine.planted[t.name]
	if p == nil && f != nil {
		x.skip(kind, f.Name, "no row of the own tenant could be planted to try with: "+x.world.mine.reasons[t.name])
	}
	return p
}

// offered is the columns of an input object that hold a value.
func offered(k *kind) []string {
	var names []string
	for _, in := range k.Inputs {
		if base := in.Type.base().Kind; base == "SCALAR" || base == "ENUM" {
			names = append(names, in.Name)
		}
	}
	return names
}

// foreign is what of an input object a row of the other tenant holds, and could point at
// that row or clash with it. Where the row does not tell, its tenant's session does.
func (x *explorer) foreign(name string, offers *kind, victim row) row {
	found := row{}
	for _, column := range offered(offers) {
		value := victim[column]
		if named, ok := x.world.theirs.named(column); ok && value == nil {
			value = typed(named, offers.input(column).Type)
		}
		if value != nil && x.pointsOrNames(name, column, value) {
			found[column] = value
		}
	}
	return found
}

// pointsOrNames reports whether a value of the other's could point at its row or clash with it.
func (x *explorer) pointsOrNames(name, column string, value any) bool {
	own, isOwn := x.claims.of(column)
	switch {
	case isOwn:
		return own != textOf(value)
	case identifying(value):
		return true
	}
	twin := x.world.twin(name, row{column: value})
	return twin[column] != value
}

// inserts tries rows that belong to the other tenant, point at its rows, or hold what is
// unique to one of them.
func (x *explorer) inserts(t *table) {
	f := t.insertField()
	if f == nil {
		return
	}
	victim, own := x.victim(t, Insert, f), x.own(t, Insert, f)
	if victim == nil || own == nil {
		return
	}
	offers := x.schema.types[insertInput(f)]
	columns, foreign := offered(offers), x.foreign(t.name, offers, victim.row)
	copies := copying{explorer: x, table: t, own: own, columns: columns}
	for _, set := range x.sets(t, foreign) {
		copies.with(Insert, set, nil)
	}
	copies.upserts(foreign)
	x.nestedInserts(t, own, columns)
}

// sets are the values of the other's that are tried together: all of them, those that say
// whose the row is and what it points at, and each alone.
func (x *explorer) sets(t *table, foreign row) []row {
	sets := []row{foreign}
	pointing := maps.Clone(foreign)
	maps.DeleteFunc(pointing, func(column string, _ any) bool {
		_, own := x.claims.of(column)
		return !own && (slices.Contains(x.world.key(t.name), column) || !strings.HasSuffix(plain(column), "id"))
	})
	sets = append(sets, pointing)
	for _, column := range sortedColumns(foreign) {
		sets = append(sets, row{column: foreign[column]})
	}
	var list []row
	for _, set := range sets {
		same := func(other row) bool { return maps.Equal(set, other) }
		if len(set) > 0 && !slices.ContainsFunc(list, same) {
			list = append(list, set)
		}
	}
	return list
}

// copying is the insert of copies of an own row into its table.
type copying struct {
	*explorer
	table   *table
	own     *plant
	columns []string // those offered
}

// with tries a copy that has some of the other's values, beside the same with nobody's.
func (c copying) with(kind Kind, set row, conflict map[string]any) {
	twin := c.twinOf(c.table.name, set)
	theirs, control := c.object(c.own, c.columns, set), c.object(c.own, c.columns, twin)
	second := c.inserting(c.table, control, conflict)
	c.try(attempt{
		kind: kind, field: c.table.insertField().Name, theirs: c.inserting(c.table, theirs, conflict), control: &second, echoes: true,
		change: &change{
			tables:  []string{c.table.name},
			made:    []placed{{table: c.table.name, row: theirs, fresh: fresh(c.own, theirs, set), answered: true}},
			control: []placed{{table: c.table.name, row: control, fresh: fresh(c.own, control, set), answered: true}},
		},
	})
}

// twinOf is the set with every value replaced by one that nobody has.
func (x *explorer) twinOf(name string, set row) row {
	twin := x.world.twin(name, set)
	for column, value := range set {
		if twin[column] == value {
			twin[column] = nowhere(value)
		}
	}
	return twin
}

// object is a copy of the own row with some values set, as far as columns are offered.
func (x *explorer) object(own *plant, columns []string, set row) row {
	object := own.copy()
	maps.Copy(object, set)
	maps.DeleteFunc(object, func(column string, _ any) bool { return !slices.Contains(columns, column) })
	return object
}

// fresh are the columns of a copy that were made up for it and that nothing was set over.
func fresh(of *plant, object, set row) row {
	alone := row{}
	for _, column := range of.fresh {
		value, ok := object[column]
		if _, over := set[column]; ok && !over {
			alone[column] = value
		}
	}
	return alone
}

// upserts tries to write over the other's row, on every constraint there is.
func (c copying) upserts(foreign row) {
	f := c.table.insertField()
	name := conflictArgument(f)
	if name == "" || len(foreign) == 0 {
		return
	}
	k := c.schema.types[f.arg(name).Type.base().Name]
	constraints, updates := c.enum(k, "constraint"), c.enum(k, updateColumns(k))
	for _, constraint := range constraints {
		for _, list := range [][]any{updates, {}} {
			c.with(Upsert, foreign, map[string]any{"constraint": constraint, updateColumns(k): list})
			if len(updates) == 0 {
				break
			}
		}
	}
}

// updateColumns is what the columns to update on a conflict are called.
func updateColumns(k *kind) string {
	if k.input("update_columns") != nil {
		return "update_columns"
	}
	return "updateColumns"
}

// enum lists the values of an input's enum, placeholders left out.
func (x *explorer) enum(k *kind, name string) []any {
	var list []any
	if in := k.input(name); in != nil {
		for _, value := range x.schema.types[in.Type.base().Name].Values {
			if value.Name[0] != '_' {
				list = append(list, value.Name)
			}
		}
	}
	return list
}
