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

func (w *writer) inserting(t *model.Table) {
	right := t.Insert(w.caller)
	name := t.GraphQL
	if right == nil || !t.Insertable || !w.block("input", name+"_insert_input", "input for inserting a row", w.inputFields(t, right.Columns, nil)) {
		return
	}
	conflict := w.onConflict(t)
	w.mutation("insert_"+name, fmt.Sprintf("insert_%[1]s(objects: [%[1]s_insert_input!]!%[2]s): %[3]s", name, conflict, w.mutationResponse(t)), Root{Kind: Insert, Table: t})
	if w.readsRow(t) {
		w.mutation("insert_"+name+"_one", fmt.Sprintf("insert_%[1]s_one(object: %[1]s_insert_input!%[2]s): %[1]s", name, conflict), Root{Kind: InsertOne, Table: t})
	}
}

// onConflict writes the upsert input and returns the argument, or nothing where the
// table has no constraint to conflict with.
func (w *writer) onConflict(t *model.Table) string {
	var constraints []string
	for _, constraint := range t.Constraints() {
		if model.IsGraphQLName(constraint.Name) {
			constraints = append(constraints, describe("unique or primary key constraint on columns "+strings.Join(constraint.Columns, ", "))+constraint.Name)
		}
	}
	name := t.GraphQL
	if !w.block("enum", name+"_constraint", "unique or primary key constraints", constraints) {
		return ""
	}
	w.updateColumns(t)
	w.block("input", name+"_on_conflict", "on_conflict condition type", []string{
		"constraint: " + name + "_constraint!", "update_columns: [" + name + "_update_column!]! = []", "where: " + name + "_bool_exp",
	})
	return ", on_conflict: " + name + "_on_conflict"
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
	w.mutation("update_"+name, fmt.Sprintf("update_%[1]s(%[2]s, where: %[1]s_bool_exp!): %[3]s", name, list, response), Root{Kind: Update, Table: t})
	w.block("input", name+"_updates", "", append(arguments, "where: "+name+"_bool_exp!"))
	w.mutation("update_"+name+"_many", fmt.Sprintf("update_%[1]s_many(updates: [%[1]s_updates!]!): [%[2]s]", name, response), Root{Kind: UpdateMany, Table: t})
	if w.readsRow(t) && t.HasPrimaryKey(t.Select(w.caller).Columns) {
		w.block("input", name+"_pk_columns_input", "primary key columns input", w.keyFields(t))
		w.mutation("update_"+name+"_by_pk", fmt.Sprintf("update_%[1]s_by_pk(%[2]s, pk_columns: %[1]s_pk_columns_input!): %[1]s", name, list), Root{Kind: UpdateByPK, Table: t})
	}
}

func (w *writer) deleting(t *model.Table) {
	if t.Delete(w.caller) == nil || !t.Deletable {
		return
	}
	name := t.GraphQL
	w.mutation("delete_"+name, fmt.Sprintf("delete_%[1]s(where: %[1]s_bool_exp!): %[2]s", name, w.mutationResponse(t)), Root{Kind: Delete, Table: t})
	if w.readsRow(t) && t.HasPrimaryKey(t.Select(w.caller).Columns) {
		w.mutation("delete_"+name+"_by_pk", fmt.Sprintf("delete_%[1]s_by_pk(%[2]s): %[1]s", name, w.keyArguments(t)), Root{Kind: DeleteByPK, Table: t})
	}
}
