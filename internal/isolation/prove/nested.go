package prove

import (
	"maps"
	"slices"
)

// nestedInserts tries rows beside the inserted one that are the other's, or stand in for
// one of them.
func (x *explorer) nestedInserts(t *table, own *plant, columns []string) {
	f := t.insertField()
	for _, in := range x.schema.types[insertInput(f)].Inputs {
		nested := x.schema.types[in.Type.base().Name]
		if nested.input("data") == nil {
			continue
		}
		to := t.target(in.Name)
		victim, beside := x.world.theirs.planted[to], x.world.mine.planted[to]
		if victim == nil || beside == nil {
			x.skip(NestedInsert, f.Name, "no row to put into "+in.Name+" could be planted")
			continue
		}
		n := &nesting{explorer: x, table: t, own: own, columns: columns, relationship: in.Name, nested: nested, to: to, victim: victim, beside: beside}
		n.all()
	}
}

// target is the table a relationship leads to; "" where the role does not see it.
func (t *table) target(relationship string) string {
	for _, r := range t.relationships {
		if r.Name == relationship {
			return r.Type.base().Name
		}
	}
	return ""
}

// nesting is the attempts through one relationship of one table.
type nesting struct {
	*explorer
	table          *table
	own            *plant
	columns        []string
	relationship   string
	nested         *kind // the input with data and on_conflict
	to             string
	victim, beside *plant
}

func (n *nesting) all() {
	data := n.schema.types[n.nested.input("data").Type.base().Name]
	columns, foreign := offered(data), n.foreign(n.to, data, n.victim.row)
	for _, column := range sortedColumns(foreign) {
		n.attempt(columns, row{column: foreign[column]}, nil)
	}
	name := "on_conflict"
	if n.nested.input(name) == nil {
		name = "onConflict"
	}
	in := n.nested.input(name)
	if in == nil || len(foreign) == 0 {
		return
	}
	k := n.schema.types[in.Type.base().Name]
	for _, constraint := range n.enum(k, "constraint") {
		conflict := map[string]any{"constraint": constraint, updateColumns(k): n.enum(k, updateColumns(k))}
		n.attempt(columns, foreign, map[string]any{name: conflict})
	}
}

// attempt inserts a copy of the own row with a row beside it that holds the set.
func (n *nesting) attempt(columns []string, set row, more map[string]any) {
	twin := n.world.twin(n.to, set)
	parent, child := n.pair(columns, set)
	second, secondChild := n.pair(columns, twin)
	placing := func(parent, child row) []placed {
		both := []placed{
			{table: n.table.name, row: parent, fresh: fresh(n.own, parent, nil), answered: true},
			{table: n.to, row: child, fresh: fresh(n.beside, child, set)},
		}
		if n.list() {
			slices.Reverse(both) // the child points at the parent and goes first
		}
		return both
	}
	f := n.table.insertField()
	control := n.inserting(n.table, n.join(second, secondChild, more), nil)
	n.try(attempt{
		kind: NestedInsert, field: f.Name, theirs: n.inserting(n.table, n.join(parent, child, more), nil), control: &control, echoes: true,
		change: &change{tables: []string{n.table.name, n.to}, made: placing(parent, child), control: placing(second, secondChild)},
	})
}

// pair is a parent and a child without the columns that the nesting itself decides.
func (n *nesting) pair(columns []string, set row) (parent, child row) {
	parent, child = n.object(n.own, n.columns, nil), n.object(n.beside, columns, set)
	if n.list() {
		if to := n.caller.table(n.to); to != nil {
			for _, back := range to.relationships {
				if back.Type.base().Name == n.table.name && !back.Type.list() {
					withoutPointer(child, back.Name)
				}
			}
		}
	} else {
		withoutPointer(parent, n.relationship)
	}
	return parent, child
}

func (n *nesting) list() bool { return n.nested.input("data").Type.list() }

// withoutPointer leaves out the column named like a relationship: the nesting fills it.
func withoutPointer(r row, relationship string) {
	maps.DeleteFunc(r, func(column string, _ any) bool { return plain(column) == plain(relationship)+"id" })
}

func (n *nesting) join(parent, child row, more map[string]any) row {
	inner := map[string]any{"data": child}
	if n.list() {
		inner["data"] = []any{child}
	}
	maps.Copy(inner, more)
	whole := maps.Clone(parent)
	whole[n.relationship] = inner
	return whole
}
