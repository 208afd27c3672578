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

// actionsOf calls the root fields that belong to no table, with the other's ids.
func (x *explorer) actionsOf(mutations bool) {
	for _, action := range x.actions {
		if action.mutation != mutations {
			continue
		}
		f := action.field
		selection := x.whole(f.Type.base().Name, nil)
		if !mutations && !slices.ContainsFunc(f.Args, input.required) {
			x.try(attempt{kind: Action, field: f.Name, theirs: query(f, nil, selection)})
		}
		fillings := x.fillings(f, true)
		slots := x.slots(f)
		if !slices.ContainsFunc(slots, func(s slot) bool { return s.identifier && first(x.world.foreign(s.input)) != nil }) {
			if mutations || len(slots) > 0 {
				x.skip(Action, f.Name, "no argument can carry an id of the other tenant")
			}
			continue
		}
		for _, values := range fillings {
			if !mutations {
				x.compareCalls(Action, f, values, selection)
				continue
			}
			control := mutation(f, values.control, selection)
			x.try(attempt{kind: Action, field: f.Name, theirs: mutation(f, values.theirs, selection), control: &control, echoes: true, change: &change{}})
		}
	}
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
