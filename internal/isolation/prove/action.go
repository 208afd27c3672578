package prove

import (
	"slices"
	"strings"
)

// functions calls what returns rows and takes arguments, with the other's values in each.
func (x *explorer) functions(t *table) {
	for _, f := range t.functions {
		for _, values := range x.fillings(f, false) {
			x.compareCalls(Function, f, values, t.selection())
		}
	}
}

// compareCalls tries a call with the other's values beside the same with nobody's.
func (x *explorer) compareCalls(kind Kind, f *field, values filling, selection string) {
	control := query(f, values.control, selection)
	x.try(attempt{kind: kind, field: f.Name, theirs: query(f, values.theirs, selection), control: &control, echoes: true})
}

// actionQueries calls the queries that belong to no table, with the other's ids.
func (x *explorer) actionQueries() {
	for _, action := range x.actions {
		if action.mutation {
			continue
		}
		f := action.field
		selection := x.whole(f.Type.base().Name, nil)
		if !slices.ContainsFunc(f.Args, input.required) {
			x.try(attempt{kind: Action, field: f.Name, theirs: query(f, nil, selection)})
		}
		if !x.carries(f) {
			if len(x.slots(f)) > 0 {
				x.skip(Action, f.Name, noCarrier)
			}
			continue
		}
		for _, values := range x.fillings(f, true) {
			x.compareCalls(Action, f, values, selection)
		}
	}
}

// actionMutations calls the mutations that belong to no table, with the other's ids. What
// one does cannot be taken back, so it has to be asked for.
func (x *explorer) actionMutations() {
	for _, action := range x.actions {
		f := action.field
		switch {
		case !action.mutation:
		case !x.carries(f):
			x.skip(Action, f.Name, noCarrier)
		case !x.actsToo:
			x.skip(Action, f.Name, noActions)
		default:
			selection := x.whole(f.Type.base().Name, nil)
			for _, values := range x.fillings(f, true) {
				control := mutation(f, values.control, selection)
				x.try(attempt{
					kind: Action, field: f.Name, theirs: mutation(f, values.theirs, selection), control: &control, echoes: true,
					change: &change{watched: keysOf(x.world.theirs.planted)},
				})
			}
		}
	}
}

const noCarrier = "no argument can carry an id of the other tenant"

// carries reports whether an argument can hold an id of the other tenant's.
func (x *explorer) carries(f *field) bool {
	return slices.ContainsFunc(x.slots(f), func(s slot) bool { return s.identifier && first(x.world.foreign(s.input)) != nil })
}

// whole selects everything of an action's answer that takes no argument.
func (x *explorer) whole(name string, above []string) string {
	k := x.schema.types[name]
	if k == nil || k.Kind != "OBJECT" {
		return ""
	}
	if slices.Contains(above, name) || len(above) > 2 {
		return "__typename"
	}
	var parts []string
	for i := range k.Fields {
		f := &k.Fields[i]
		if slices.ContainsFunc(f.Args, input.required) {
			continue
		}
		if inner := x.whole(f.Type.base().Name, append(above, name)); inner != "" {
			parts = append(parts, f.Name+limited(f)+" { "+inner+" }")
		} else {
			parts = append(parts, f.Name)
		}
	}
	if len(parts) == 0 {
		return "__typename"
	}
	return strings.Join(parts, " ")
}
