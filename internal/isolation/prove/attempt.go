package prove

import (
	"maps"
	"slices"
	"strings"
)

// Kind is a way to reach for the other tenant's rows.
type Kind string

// The kinds of attempts, as reports name them.
const (
	List         Kind = "list"          // plain, limit and offset, distinct_on
	Order        Kind = "order by"      // through relationships too
	Where        Kind = "where"         // on the other's values, through relationships too
	ByKey        Kind = "by key"        // the other's
	Aggregate    Kind = "aggregate"     // count, min, max, nodes
	Nested       Kind = "nested"        // along relationships
	Function     Kind = "function"      // with the other's values as arguments
	Computed     Kind = "computed"      // fields that a function computes
	Count        Kind = "count"         // figures that move when the other tenant gets a row
	Insert       Kind = "insert"        // with the other's tenant, keys and unique values
	NestedInsert Kind = "nested insert" // the same in rows beside the inserted one
	Upsert       Kind = "upsert"        // over the other's row, on every constraint
	Update       Kind = "update"        // of the other's planted row
	Move         Kind = "move"          // of an own row to the other tenant, or to point at its rows
	Delete       Kind = "delete"        // of the other's planted row
	Action       Kind = "action"        // with the other's ids
)

// Kinds lists every kind in the order of reports.
var Kinds = []Kind{List, Order, Where, ByKey, Aggregate, Nested, Function, Computed, Count, Insert, NestedInsert, Upsert, Update, Move, Delete, Action}

// attempt is one try.
type attempt struct {
	kind    Kind
	field   string // the root field
	theirs  request
	control *request                   // the same with values that nobody has; nil: nothing to compare with
	barren  bool                       // the answer must hold no row
	echoes  bool                       // the answer may repeat what was sent
	change  *change                    // nil: reads only
	later   func(again *plant) request // the control of a move, on the own row planted again
}

// change is what an attempt may do to rows where it is let.
type change struct {
	tables        []string // where it may, and where the answer counts what it did
	watched       []string // where it might, by what an action does
	made, control []placed // the rows that it, and its control, bring into being, as they are taken away
	moved         *plant   // the own row it changes; nil: none
	set           row      // of the moved row: what is set over
}

// placed is a row in a table.
type placed struct {
	table    string
	row      row
	fresh    row  // what of it was made up for it
	answered bool // the mutation's answer is this row
}

// explorer makes the attempts of one caller.
type explorer struct {
	*caller
	world *world
	try   func(attempt)
	skip  func(kind Kind, field, reason string)

	actsToo bool // actions that change things are called
}

const (
	page      = 100 // rows asked for where no condition narrows them
	probesMax = 2   // rows of the other tenant whose values are tried, for each table
)

// probes are rows of the other tenant: the planted one, otherwise some that were there.
func (w *world) probes(name string) []row {
	if p := w.theirs.planted[name]; p != nil {
		return []row{p.row}
	}
	var found []row
	for _, r := range w.rows[name] {
		if len(found) < probesMax {
			found = append(found, r)
		}
	}
	return found
}

// key is the table's primary key, as far as anyone is told it.
func (w *world) key(name string) []string {
	if key := w.theirs.key(name); key != nil {
		return key
	}
	return w.mine.key(name)
}

// telling reports whether a value of a column names rows of the other tenant alone.
func (w *world) telling(name, column string, value any) bool {
	if identifying(value) {
		return w.marks[textOf(value)] != ""
	}
	key := w.key(name)
	return value != nil && len(key) == 1 && key[0] == column && !isTextValue(value)
}

func isTextValue(value any) bool { _, ok := value.(string); return ok }

// twin is the row with every value that tells of it replaced by one that nobody has.
func (w *world) twin(name string, r row) row {
	other := maps.Clone(r)
	key := w.key(name)
	for column, value := range r {
		if identifying(value) || (slices.Contains(key, column) || strings.HasSuffix(plain(column), "id")) && !isTextValue(value) && value != nil {
			other[column] = nowhere(value)
		}
	}
	return other
}

// reads makes every attempt that changes nothing.
func (x *explorer) reads() {
	for _, t := range x.tables {
		for _, list := range t.lists {
			x.plainly(t, list)
			x.ordered(t, list)
			x.filtered(t, list)
			x.along(t, list)
		}
		for _, aggregate := range t.aggregates {
			x.aggregated(t, aggregate)
		}
		x.byKey(t)
		x.functions(t)
	}
	x.actionQueries()
}

// plainly lists rows without a condition.
func (x *explorer) plainly(t *table, list *field) {
	for _, page := range []map[string]any{nil, {"limit": page}, {"limit": page, "offset": 1}, {"limit": page, "offset": 0}} {
		x.try(attempt{kind: List, field: list.Name, theirs: query(list, with(list, nil, page), t.selection())})
	}
	name := "distinct_on"
	if list.arg("distinctOn") != nil {
		name = "distinctOn"
	}
	if list.arg(name) == nil {
		return
	}
	for _, value := range x.schema.types[list.arg(name).Type.base().Name].Values {
		if strings.HasPrefix(value.Name, "_") {
			continue // the placeholder of an enum without values
		}
		args := with(list, map[string]any{name: []any{value.Name}}, map[string]any{"limit": page})
		x.try(attempt{kind: List, field: list.Name, theirs: query(list, args, t.selection())})
		break // what is distinct comes after the filter: a second column shows no other rows
	}
}

// byKey asks for the other's rows by their key.
func (x *explorer) byKey(t *table) {
	if t.byPK == nil {
		return
	}
	for _, r := range x.world.probes(t.name) {
		if args, ok := keyOfRow(t.byPK.Args, r); ok {
			x.try(attempt{kind: ByKey, field: t.byPK.Name, theirs: query(t.byPK, args, x.wide(t)), barren: true})
		}
	}
}

// aggregated counts, compares and lists through an aggregate.
func (x *explorer) aggregated(t *table, aggregate *field) {
	figures := x.figures(aggregate.Type.base().Name, t)
	x.try(attempt{kind: Aggregate, field: aggregate.Name, theirs: query(aggregate, with(aggregate, nil, map[string]any{"limit": page}), figures)})
	for _, r := range x.world.probes(t.name) {
		for _, column := range sortedColumns(r) {
			compare := x.comparison(t, column)
			if compare == nil || !x.world.telling(t.name, column, r[column]) {
				continue
			}
			where := map[string]any{column: map[string]any{"_eq": r[column]}}
			x.try(attempt{kind: Aggregate, field: aggregate.Name, barren: true, theirs: query(aggregate, map[string]any{"where": where}, figures)})
			either := map[string]any{"_or": []any{where, map[string]any{column: isNull(compare, true)}}}
			x.try(attempt{kind: Aggregate, field: aggregate.Name, theirs: query(aggregate, map[string]any{"where": either}, figures)})
		}
	}
}

// figures selects everything below an aggregate that takes no argument.
func (x *explorer) figures(name string, t *table) string {
	var parts []string
	for i := range x.schema.types[name].Fields {
		f := &x.schema.types[name].Fields[i]
		switch base := f.Type.base(); {
		case base.Name == t.name:
			parts = append(parts, f.Name+" { "+t.selection()+" }")
		case base.Kind == "OBJECT":
			parts = append(parts, f.Name+" { "+x.figures(base.Name, t)+" }")
		default:
			parts = append(parts, f.Name)
		}
	}
	return strings.Join(parts, " ")
}
