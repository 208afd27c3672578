package sdl

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
)

// readsRow reports whether a mutation can return the row's type.
func (w *writer) readsRow(t *model.Table) bool {
	return t.Select(w.caller) != nil && w.defined[t.GraphQL] != ""
}

func (w *writer) mutationResponse(t *model.Table) string {
	name := t.GraphQL + "_mutation_response"
	lines := []string{`"number of rows affected by the mutation" affected_rows: Int!`}
	if w.readsRow(t) {
		lines = append(lines, `"data from the rows affected by the mutation" returning: [`+t.GraphQL+`!]!`)
	}
	w.block("type", name, "response of any mutation on the table", lines)
	return name
}

// inputFields lists the columns of the set, each optional.
func (w *writer) inputFields(t *model.Table, set model.Set, fits func(catalog.Type) bool) []string {
	var lines []string
	for _, column := range columns(t, set) {
		if fits == nil || fits(column.Type) {
			lines = append(lines, describe(column.Comment)+column.Name+": "+w.scalar(column.Type.Scalar()))
		}
	}
	return lines
}

func (w *writer) updateColumns(t *model.Table) {
	var names []string
	if right := t.Update(w.caller); right != nil {
		for _, column := range columns(t, right.Columns) {
			names = append(names, column.Name)
		}
	}
	w.block("enum", t.GraphQL+"_update_column", "update columns", placeholder(names))
}

// operators are the update operators, each with the columns it fits.
var operators = []struct {
	name, input, comment string
	fits                 func(catalog.Type) bool
	scalar               string // of the values, where not the column's own
}{
	{"_append", "_append_input", "append existing jsonb value of filtered columns with new jsonb value", catalog.Type.IsJSONB, ""},
	{"_delete_at_path", "_delete_at_path_input", "delete the field or element with specified path", catalog.Type.IsJSONB, "[String!]"},
	{"_delete_elem", "_delete_elem_input", "delete the array element with specified index", catalog.Type.IsJSONB, "Int"},
	{"_delete_key", "_delete_key_input", "delete key/value pair or string element", catalog.Type.IsJSONB, "String"},
	{"_inc", "_inc_input", "increments the numeric columns with given value of the filtered values", catalog.Type.IsNumeric, ""},
	{"_prepend", "_prepend_input", "prepend existing jsonb value of filtered columns with new jsonb value", catalog.Type.IsJSONB, ""},
	{"_set", "_set_input", "sets the columns of the filtered rows to the given values", nil, ""},
}

func (w *writer) updating(t *model.Table) {
	right := t.Update(w.caller)
	if right == nil || !t.Updatable {
		return
	}
	name := t.GraphQL
	var arguments []string
	for _, operator := range operators {
		lines := w.inputFields(t, right.Columns, operator.fits)
		if operator.scalar != "" {
			for i, line := range lines {
				lines[i] = line[:strings.LastIndex(line, ":")] + ": " + operator.scalar
			}
		}
		if w.block("input", name+operator.input, operator.comment, lines) {
			arguments = append(arguments, operator.name+": "+name+operator.input)
		}
	}
	if len(arguments) == 0 {
		return
	}
	list := strings.Join(arguments, ", ")
	response := w.mutationResponse(t)
	rows, many := model.Named(t.RootFields.Update, "update_"+name), model.Named(t.RootFields.UpdateMany, "update_"+name+"_many")
	w.mutation(rows, fmt.Sprintf("%[4]s(%[2]s, where: %[1]s_bool_exp!): %[3]s", name, list, response, rows), Root{Kind: Update, Table: t})
	w.block("input", name+"_updates", "", append(arguments, "where: "+name+"_bool_exp!"))
	w.mutation(many, fmt.Sprintf("%[3]s(updates: [%[1]s_updates!]!): [%[2]s]", name, response, many), Root{Kind: UpdateMany, Table: t})
	if w.readsRow(t) && t.HasPrimaryKey(t.Select(w.caller).Columns) {
		w.block("input", name+"_pk_columns_input", "primary key columns input", w.keyFields(t))
		one := model.Named(t.RootFields.UpdateByPK, "update_"+name+"_by_pk")
		w.mutation(one, fmt.Sprintf("%[3]s(%[2]s, pk_columns: %[1]s_pk_columns_input!): %[1]s", name, list, one), Root{Kind: UpdateByPK, Table: t})
	}
}

func (w *writer) deleting(t *model.Table) {
	if t.Delete(w.caller) == nil || !t.Deletable {
		return
	}
	name := t.GraphQL
	rows := model.Named(t.RootFields.Delete, "delete_"+name)
	w.mutation(rows, fmt.Sprintf("%[3]s(where: %[1]s_bool_exp!): %[2]s", name, w.mutationResponse(t), rows), Root{Kind: Delete, Table: t})
	if w.readsRow(t) && t.HasPrimaryKey(t.Select(w.caller).Columns) {
		one := model.Named(t.RootFields.DeleteByPK, "delete_"+name+"_by_pk")
		w.mutation(one, fmt.Sprintf("%[3]s(%[2]s): %[1]s", name, w.keyArguments(t), one), Root{Kind: DeleteByPK, Table: t})
	}
}
