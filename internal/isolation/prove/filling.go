package prove

import (
	"slices"
	"strings"
)

// filling is one set of arguments, and the same with values that nobody has.
type filling struct{ theirs, control map[string]any }

// fillings are the sets of arguments a field is tried with: each argument that may hold
// one of the other's values holding it in turn, and all of them at once. narrow leaves
// out what alone could do harm.
func (x *explorer) fillings(f *field, narrow bool) []filling {
	slots := x.slots(f)
	var list []filling
	if len(slots) == 0 {
		return nil
	}
	all := x.filled(f, slots, func(s slot) bool { return s.identifier })
	list = append(list, all)
	for _, s := range slots {
		if narrow && !strict(s.input) || !narrow && !s.identifier && !isText(s.input.Type.base().Name) {
			continue
		}
		for _, value := range x.world.foreign(s.input) {
			only := s.name()
			list = append(list, x.filledWith(f, slots, func(o slot) any {
				switch {
				case o.name() == only:
					return value
				case o.required && o.identifier:
					return first(x.world.foreign(o.input))
				}
				return nil
			}))
		}
	}
	return list
}

// slot is a place for a value: an argument, or a field of an input object in one.
type slot struct {
	path       []string
	input      input
	identifier bool
	required   bool
}

func (s slot) name() string { return strings.Join(s.path, ".") }

// slots finds every scalar below the arguments that the field has of its own: conditions
// and pages are tried elsewhere.
func (x *explorer) slots(f *field) []slot {
	var list []slot
	for _, arg := range f.Args {
		switch arg.Name {
		case "where", "limit", "offset", "order_by", "orderBy", "distinct_on", "distinctOn":
			continue
		}
		x.below(arg, nil, true, &list)
	}
	return list
}

func (x *explorer) below(in input, path []string, required bool, list *[]slot) {
	path = append(slices.Clone(path), in.Name)
	k := x.schema.types[in.Type.base().Name]
	if k == nil || len(path) > 4 {
		return
	}
	required = required && in.required()
	if k.Kind == "INPUT_OBJECT" {
		for _, inner := range k.Inputs {
			x.below(inner, path, required, list)
		}
		return
	}
	*list = append(*list, slot{path, in, holdsIdentifier(in), required})
}

func first(values []any) any {
	if len(values) == 0 {
		return nil
	}
	return values[0]
}

func (x *explorer) filled(f *field, slots []slot, want func(slot) bool) filling {
	return x.filledWith(f, slots, func(s slot) any {
		if !want(s) {
			return nil
		}
		return first(x.world.foreign(s.input))
	})
}

// filledWith gives each slot what value says; nil leaves it out, or makes something up
// where it cannot be left out.
func (x *explorer) filledWith(f *field, slots []slot, value func(slot) any) filling {
	made := filling{x.basis(f), x.basis(f)}
	for _, s := range slots {
		foreign := value(s)
		if foreign == nil {
			continue
		}
		same := nowhere(foreign)
		if s.input.Type.list() {
			put(made.theirs, s.path, []any{foreign})
			put(made.control, s.path, []any{same})
			continue
		}
		put(made.theirs, s.path, foreign)
		put(made.control, s.path, same)
	}
	return made
}

// basis makes up what cannot be left out.
func (x *explorer) basis(f *field) map[string]any {
	args := map[string]any{}
	for _, arg := range f.Args {
		if arg.required() {
			args[arg.Name] = generated(x.schema, arg.Name, arg.Type)
		}
	}
	return args
}

// put sets a value below maps, making those that are missing.
func put(tree map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		inner, ok := tree[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			tree[name] = inner
		}
		tree = inner
	}
	tree[path[len(path)-1]] = value
}
