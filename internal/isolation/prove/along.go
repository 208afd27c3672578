package prove

import (
	"slices"
	"strings"
)

const (
	depthOfPath  = 4   // relationships in a row
	pathsMax     = 120 // paths from one root field
	depthOfOrder = 2   // a relationship, and where it leads to many an aggregate of those
)

// along follows relationships from a list: every path that comes to no table twice, but
// may come back to where it began.
func (x *explorer) along(t *table, list *field) {
	left := pathsMax
	walk := &walking{explorer: x, root: t, found: func(selection string, computed bool) {
		if left--; left < 0 {
			return
		}
		kind := Nested
		if computed {
			kind = Computed
		}
		x.try(attempt{kind: kind, field: list.Name, theirs: query(list, with(list, nil, map[string]any{"limit": page}), selection)})
	}}
	walk.follow(t, nil, nil)
	if left < 0 {
		x.skip(Nested, list.Name, "more paths of relationships than are tried from one field")
	}
}

// walking goes along relationships from a table and tells the selection of each path.
type walking struct {
	*explorer
	root  *table
	found func(selection string, computed bool)
}

// follow goes on from a table. wrap are the selections above, in which the next one
// stands.
func (w *walking) follow(at *table, wrap, been []string) {
	for _, relationship := range slices.Concat(at.relationships, at.computed) {
		to := w.table(relationship.Type.base().Name)
		if to == nil || slices.ContainsFunc(relationship.Args, input.required) {
			continue
		}
		levels := append(slices.Clone(wrap), at.selection()+" "+relationship.Name+limited(relationship))
		w.found(nest(levels, to.selection()), slices.Contains(at.computed, relationship))
		again := to == w.root || slices.Contains(been, to.name)
		if !again && len(levels) < depthOfPath {
			w.follow(to, levels, append(slices.Clone(been), to.name))
		}
	}
}

func nest(levels []string, innermost string) string {
	return strings.Join(levels, " { ") + " { " + innermost + strings.Repeat(" }", len(levels))
}

// ordered orders by every column, and by what relationships lead to.
func (x *explorer) ordered(t *table, list *field) {
	name := "order_by"
	if list.arg(name) == nil {
		name = "orderBy"
	}
	argument := list.arg(name)
	if argument == nil {
		return
	}
	for _, by := range x.orders(x.schema.types[argument.Type.base().Name], depthOfOrder) {
		for _, direction := range by.directions {
			args := with(list, map[string]any{name: []any{by.of(direction)}}, map[string]any{"limit": page})
			x.try(attempt{kind: Order, field: list.Name, theirs: query(list, args, t.selection())})
		}
	}
}

// order is one path to something to order by.
type order struct {
	path       []string
	directions []string
}

func (o order) of(direction string) map[string]any {
	var value any = direction
	for _, name := range slices.Backward(o.path) {
		value = map[string]any{name: value}
	}
	whole, _ := value.(map[string]any)
	return whole
}

// orders lists what an ordering input offers, down to a depth.
func (x *explorer) orders(k *kind, depth int) []order {
	var list []order
	if k == nil {
		return nil
	}
	for _, in := range k.Inputs {
		inner := x.schema.types[in.Type.base().Name]
		switch {
		case inner == nil:
		case inner.Kind == "ENUM":
			list = append(list, order{[]string{in.Name}, ends(inner)})
		case figure[in.Name]:
		case depth > 0 && inner.Kind == "INPUT_OBJECT" && inner.input("args") == nil:
			further := depth - 1
			if !strings.HasSuffix(plain(in.Name), "aggregate") && inner.input("count") == nil {
				further = 0
			}
			// One column joins the rows that the relationship leads to, as any other would.
			for _, below := range firsts(x.orders(inner, further)) {
				list = append(list, order{append([]string{in.Name}, below.path...), below.directions[:1]})
			}
		}
	}
	return list
}

// firsts are the first order by a column itself, and the first by each thing below it.
func firsts(list []order) []order {
	var kept []order
	for _, one := range list {
		same := func(other order) bool {
			return len(other.path) == len(one.path) && (len(one.path) == 1 || other.path[0] == one.path[0])
		}
		if !slices.ContainsFunc(kept, same) {
			kept = append(kept, one)
		}
	}
	return kept
}

// figure are the aggregates whose order needs no attempt of its own: count and max tell as much.
var figure = map[string]bool{
	"min": true, "avg": true, "stddev": true, "stddev_pop": true, "stddev_samp": true, "stddevPop": true, "stddevSamp": true,
	"var_pop": true, "var_samp": true, "varPop": true, "varSamp": true, "variance": true,
}

// ends are the two directions, which bring either end of a table into the first page.
func ends(k *kind) []string {
	var names []string
	for _, value := range k.Values {
		if lower := strings.ToLower(value.Name); lower == "asc" || lower == "desc" {
			names = append(names, value.Name)
		}
	}
	if len(names) == 0 && len(k.Values) > 0 {
		names = []string{k.Values[0].Name}
	}
	return names
}
