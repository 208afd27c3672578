package sdl

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
)

func (w *writer) table(t *model.Table) {
	read := t.Select(w.caller)
	w.boolExp(t, read)
	if read != nil && w.object(t, read) {
		w.reading(t, read)
	}
	w.inserting(t)
	w.updating(t)
	w.deleting(t)
}

// columns returns the table's columns of the set, by name, under their GraphQL names.
func columns(t *model.Table, set model.Set) []catalog.Column {
	var chosen []catalog.Column
	for _, column := range t.Columns {
		if set[column.Name] {
			column.Name = t.NameOf(column.Name)
			chosen = append(chosen, column)
		}
	}
	sort.Slice(chosen, func(i, j int) bool { return chosen[i].Name < chosen[j].Name })
	return chosen
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// readable returns the relationships whose other side the caller may read.
func (w *writer) readable(t *model.Table) []*model.Relationship {
	var open []*model.Relationship
	for _, relationship := range t.Relationships {
		if relationship.To.Select(w.caller) != nil {
			open = append(open, relationship)
		}
	}
	return open
}

const rowArguments = "distinct_on: [%[1]s_select_column!], limit: Int, offset: Int, order_by: [%[1]s_order_by!], where: %[1]s_bool_exp"

func rowArgumentsOf(t *model.Table) string { return fmt.Sprintf(rowArguments, t.GraphQL) }

// object writes the row type and what selects from it. It reports false where the role
// may read rows and not one column or relationship of them.
func (w *writer) object(t *model.Table, read *model.SelectRight) bool {
	var fields, names []string
	for _, column := range columns(t, read.Columns) {
		arguments := ""
		if column.Type.IsJSON() {
			arguments = "(path: String)"
		}
		mark := "!"
		if _, redacted := read.Redact[t.Field(column.Name).Name]; redacted || column.Nullable {
			mark = ""
		}
		fields = append(fields, describe(column.Comment)+column.Name+arguments+": "+w.scalar(column.Type.Scalar())+mark)
		names = append(names, column.Name)
	}
	for _, relationship := range w.readable(t) {
		fields = append(fields, w.relationshipFields(relationship)...)
	}
	for _, computed := range w.computed(t, read) {
		fields = append(fields, w.computedField(computed))
	}
	w.block("enum", t.GraphQL+"_select_column", "", placeholder(names))
	return w.block("type", t.GraphQL, t.Comment, fields)
}

func (w *writer) relationshipFields(relationship *model.Relationship) []string {
	to := relationship.To
	if !relationship.Array {
		mark := ""
		if relationship.Required && len(to.Select(w.caller).Filter) == 0 {
			mark = "!"
		}
		return []string{relationship.Name + ": " + to.GraphQL + mark}
	}
	fields := []string{fmt.Sprintf("%s(%s): [%s!]!", relationship.Name, rowArgumentsOf(to), to.GraphQL)}
	if to.Select(w.caller).Aggregations {
		fields = append(fields, fmt.Sprintf("%s_aggregate(%s): %s_aggregate!", relationship.Name, rowArgumentsOf(to), to.GraphQL))
	}
	return fields
}

// placeholder gives an enum without values the one that Hasura gives it.
func placeholder(names []string) []string {
	if len(names) == 0 {
		return []string{`"placeholder (do not use)" _PLACEHOLDER`}
	}
	return names
}

func (w *writer) reading(t *model.Table, read *model.SelectRight) {
	w.orderBy(t, read)
	name := t.GraphQL
	if read.Opens("select") {
		rows := model.Named(t.RootFields.Select, name)
		w.query(rows, fmt.Sprintf("%s%s(%s): [%s!]!", describe(t.Comment), rows, rowArgumentsOf(t), name), Root{Kind: Select, Table: t})
	}
	if read.Aggregations {
		w.aggregates(t, read)
		w.aggregateBoolExp(t)
		if read.Opens("select_aggregate") {
			whole := model.Named(t.RootFields.SelectAggregate, name+"_aggregate")
			w.query(whole, fmt.Sprintf("%s(%s): %s_aggregate!", whole, rowArgumentsOf(t), name), Root{Kind: SelectAggregate, Table: t})
		}
	}
	if read.Opens("select_by_pk") && t.HasPrimaryKey(read.Columns) {
		one := model.Named(t.RootFields.SelectByPK, name+"_by_pk")
		w.query(one, fmt.Sprintf("%s(%s): %s", one, w.keyArguments(t), name), Root{Kind: SelectByPK, Table: t})
	}
}

// keyArguments lists the primary key's columns as required arguments.
func (w *writer) keyArguments(t *model.Table) string { return strings.Join(w.keyFields(t), ", ") }

func (w *writer) keyFields(t *model.Table) []string {
	var arguments []string
	for _, name := range t.PrimaryKey.Columns {
		column := t.Column(name)
		arguments = append(arguments, describe(column.Comment)+t.NameOf(name)+": "+w.scalar(column.Type.Scalar())+"!")
	}
	sort.Strings(arguments)
	return arguments
}

func (w *writer) boolExp(t *model.Table, read *model.SelectRight) {
	name := t.GraphQL + "_bool_exp"
	lines := []string{"_and: [" + name + "!]", "_not: " + name, "_or: [" + name + "!]"}
	if read != nil {
		for _, column := range columns(t, read.Columns) {
			lines = append(lines, column.Name+": "+w.comparison(column.Type))
		}
		for _, relationship := range w.readable(t) {
			lines = append(lines, relationship.Name+": "+relationship.To.GraphQL+"_bool_exp")
			if relationship.Array && relationship.To.Select(w.caller).Aggregations {
				lines = append(lines, relationship.Name+"_aggregate: "+relationship.To.GraphQL+"_aggregate_bool_exp")
			}
		}
		for _, computed := range w.comparableFields(t, read) {
			if computed.To != nil {
				lines = append(lines, computed.Name+": "+computed.To.GraphQL+"_bool_exp")
			} else {
				lines = append(lines, computed.Name+": "+w.comparison(computed.Returns))
			}
		}
	}
	w.block("input", name, "Boolean expression to filter rows; all fields are combined with a logical AND.", lines)
}

func (w *writer) orderBy(t *model.Table, read *model.SelectRight) {
	var lines []string
	for _, column := range columns(t, read.Columns) {
		lines = append(lines, column.Name+": order_by")
	}
	for _, relationship := range w.readable(t) {
		to := relationship.To
		switch {
		case !relationship.Array:
			lines = append(lines, relationship.Name+": "+to.GraphQL+"_order_by")
		case to.Select(w.caller).Aggregations:
			lines = append(lines, relationship.Name+"_aggregate: "+to.GraphQL+"_aggregate_order_by")
		}
	}
	for _, computed := range w.comparableFields(t, read) {
		if computed.To == nil {
			lines = append(lines, computed.Name+": order_by")
		}
	}
	w.block("input", t.GraphQL+"_order_by", "Ordering options when selecting rows.", lines)
}
