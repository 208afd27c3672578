package sdl

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/model"
)

func (w *writer) inserting(t *model.Table) {
	name := t.GraphQL
	if !w.takesRows(t) {
		return
	}
	lines := append(w.inputFields(t, t.Insert(w.caller).Columns, nil), w.nestedInserts(t)...)
	w.block("input", name+"_insert_input", "input for inserting a row", lines)
	conflict := w.onConflict(t)
	rows := model.Named(t.RootFields.Insert, "insert_"+name)
	w.mutation(rows, fmt.Sprintf("%[4]s(objects: [%[1]s_insert_input!]!%[2]s): %[3]s", name, conflict, w.mutationResponse(t), rows), Root{Kind: Insert, Table: t})
	if w.readsRow(t) {
		one := model.Named(t.RootFields.InsertOne, "insert_"+name+"_one")
		w.mutation(one, fmt.Sprintf("%[3]s(object: %[1]s_insert_input!%[2]s): %[1]s", name, conflict, one), Root{Kind: InsertOne, Table: t})
	}
}

// takesRows reports whether the caller may insert, and there is a column to give.
func (w *writer) takesRows(t *model.Table) bool {
	right := t.Insert(w.caller)
	return right != nil && t.Insertable && len(right.Columns) > 0
}

// nestedInserts lists the relationships through which the caller may insert.
func (w *writer) nestedInserts(t *model.Table) []string {
	var lines []string
	for _, relationship := range t.Relationships {
		to := relationship.To
		if !w.takesRows(to) {
			continue
		}
		input, data := to.GraphQL+"_obj_rel_insert_input", to.GraphQL+"_insert_input!"
		if relationship.Array {
			input, data = to.GraphQL+"_arr_rel_insert_input", "["+data+"]!"
		}
		fields := []string{"data: " + data}
		if conflict := strings.TrimPrefix(w.onConflict(to), ", "); conflict != "" {
			fields = append(fields, describe("upsert condition")+conflict)
		}
		w.block("input", input, "input for inserting through a relationship", fields)
		lines = append(lines, relationship.Name+": "+input)
	}
	return lines
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
