package sdl

import (
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
)

// Aggregate is one aggregate function over columns.
type Aggregate struct {
	Name  string
	Fits  func(catalog.Type) bool
	Float bool // the result is Float, whatever the column
}

// Aggregates lists Hasura's aggregate functions beside count.
func Aggregates() []Aggregate {
	numeric := catalog.Type.IsNumeric
	return []Aggregate{
		{"avg", numeric, true}, {"max", catalog.Type.IsComparable, false}, {"min", catalog.Type.IsComparable, false},
		{"stddev", numeric, true}, {"stddev_pop", numeric, true}, {"stddev_samp", numeric, true}, {"sum", numeric, false},
		{"var_pop", numeric, true}, {"var_samp", numeric, true}, {"variance", numeric, true},
	}
}

// aggregates writes t_aggregate and all below it, and the ordering by aggregates that
// a parent row may ask for.
func (w *writer) aggregates(t *model.Table, read *model.SelectRight) {
	name := t.GraphQL
	fields := []string{"count(columns: [" + name + "_select_column!], distinct: Boolean): Int!"}
	orders := []string{"count: order_by"}
	for _, aggregate := range Aggregates() {
		var results, ordering []string
		for _, column := range columns(t, read.Columns) {
			if !aggregate.Fits(column.Type) {
				continue
			}
			scalar := column.Type.Scalar()
			if aggregate.Float {
				scalar = "Float"
			}
			results = append(results, column.Name+": "+w.scalar(scalar))
			ordering = append(ordering, column.Name+": order_by")
		}
		prefix := name + "_" + aggregate.Name
		if w.block("type", prefix+"_fields", "aggregate "+aggregate.Name+" on columns", results) {
			fields = append(fields, aggregate.Name+": "+prefix+"_fields")
			w.block("input", prefix+"_order_by", "order by "+aggregate.Name+"() on columns", ordering)
			orders = append(orders, aggregate.Name+": "+prefix+"_order_by")
		}
	}
	w.block("type", name+"_aggregate", "aggregated selection", []string{"aggregate: " + name + "_aggregate_fields", "nodes: [" + name + "!]!"})
	w.block("type", name+"_aggregate_fields", "aggregate fields", fields)
	w.block("input", name+"_aggregate_order_by", "order by aggregate values", orders)
}

// aggregateBoolExp writes the condition on how many related rows there are.
func (w *writer) aggregateBoolExp(t *model.Table) {
	name := t.GraphQL
	w.comparable["Int_comparison_exp"] = "Int"
	w.block("input", name+"_aggregate_bool_exp_count", "", []string{
		"arguments: [" + name + "_select_column!]", "distinct: Boolean", "filter: " + name + "_bool_exp", "predicate: Int_comparison_exp!",
	})
	w.block("input", name+"_aggregate_bool_exp", "", []string{"count: " + name + "_aggregate_bool_exp_count"})
}

// comparison returns the name of the type that compares with columns of the type.
func (w *writer) comparison(t catalog.Type) string {
	name := w.scalar(t.Scalar()) + "_comparison_exp"
	w.comparable[name] = t.Scalar()
	if t.Elem != nil {
		w.arrays[name] = true
	}
	if t.IsJSONB() {
		w.comparable["String_comparison_exp"] = "String"
	}
	return name
}

// comparisons writes the comparison types that the tables needed.
func (w *writer) comparisons() {
	for _, name := range sortedKeys(w.comparable) {
		scalar := w.comparable[name]
		lines := strings.Split(strings.ReplaceAll(`_eq: T
_gt: T
_gte: T
_in: [T!]
_is_null: Boolean
_lt: T
_lte: T
_neq: T
_nin: [T!]`, "T", scalar), "\n")
		switch {
		case scalar == "String" || scalar == "citext" || scalar == "bpchar":
			for _, operator := range TextOperators() {
				lines = append(lines, operator+": "+scalar)
			}
		case scalar == "jsonb":
			lines = append(lines, "_cast: jsonb_cast_exp", "_contained_in: jsonb", "_contains: jsonb",
				"_has_key: String", "_has_keys_all: [String!]", "_has_keys_any: [String!]")
			w.block("input", "jsonb_cast_exp", "", []string{"String: String_comparison_exp"})
		case w.arrays[name]:
			lines = append(lines, "_contained_in: "+scalar, "_contains: "+scalar)
		}
		w.block("input", name, "Boolean expression to compare columns of type "+scalar+"; all fields are combined with a logical AND.", lines)
	}
}

// TextOperators lists the operators of text columns.
func TextOperators() []string {
	return []string{
		"_ilike", "_iregex", "_like", "_nilike", "_niregex", "_nlike", "_nregex", "_nsimilar", "_regex", "_similar",
	}
}
