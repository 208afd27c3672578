package sqlgen

import (
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
)

// updateForms are the operators, each with the expression it sets: %[1]s is the
// column, %[2]s the value.
var updateForms = []struct {
	operator, form string
	operand        func(column catalog.Type) catalog.Type
}{
	{"_append", "%[1]s || %[2]s", own},
	{"_delete_at_path", "%[1]s #- %[2]s", as("_text")},
	{"_delete_elem", "%[1]s - %[2]s", as("int4")},
	{"_delete_key", "%[1]s - %[2]s", as("text")},
	{"_inc", "%[1]s + %[2]s", own},
	{"_prepend", "%[2]s || %[1]s", own},
	{"_set", "%[2]s", own},
}

func own(column catalog.Type) catalog.Type { return column }

func as(name string) func(catalog.Type) catalog.Type {
	return func(catalog.Type) catalog.Type {
		t := catalog.Type{Schema: "pg_catalog", Name: name}
		if name == "_text" {
			t.Elem = &catalog.Type{Schema: "pg_catalog", Name: "text"}
		}
		return t
	}
}

// update compiles update_t, and update_t_by_pk where key is given. args holds where
// and the operators.
func (b *builder) update(t *model.Table, field *request.Field, args, key map[string]any) (Statement, error) {
	w := b.writing(t)
	right := t.Update(b.session.Caller)
	sets, err := w.assignments(t, right, args)
	if err != nil {
		return Statement{}, err
	}
	condition, err := w.rowsToWrite(args["where"], key)
	if err != nil {
		return Statement{}, err
	}
	filter, err := w.filter(w.target, right.Filter)
	if err != nil {
		return Statement{}, err
	}
	check, err := w.filter(w.target, right.Check)
	if err != nil {
		return Statement{}, err
	}
	mutation := fmt.Sprintf("UPDATE %s AS %s SET %s WHERE %s",
		t.Quote(), quote(w.target.alias), strings.Join(sets, ", "), and(filter, condition))
	return w.finish(mutation, check, insertFailure, field, key != nil)
}

func (w writing) assignments(t *model.Table, right *model.UpdateRight, args map[string]any) ([]string, error) {
	sets, err := w.presets(t, right)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, update := range updateForms {
		values, _ := args[update.operator].(map[string]any)
		for _, name := range sortedKeys(values) {
			if seen[name] {
				return nil, qerr.New(qerr.ValidationFailed, "Column found in multiple operators: %q.", name)
			}
			seen[name] = true
			column := t.Field(name)
			value, err := w.value(values[name], update.operand(column.Type))
			if err != nil {
				return nil, err
			}
			sets = append(sets, quote(column.Name)+" = "+fmt.Sprintf(update.form, quote(w.target.alias, column.Name), value))
		}
	}
	if len(sets) == 0 {
		return nil, qerr.New(qerr.ValidationFailed, "At least any one of _set, _inc, _append, _prepend, _delete_key, _delete_elem, _delete_at_path operator is expected")
	}
	return sets, nil
}

// presets are the assignments that the update permission makes whatever the client says.
func (w writing) presets(t *model.Table, right *model.UpdateRight) ([]string, error) {
	var sets []string
	for _, name := range sortedKeys(right.Presets) {
		value, err := w.permissionValue(right.Presets[name], t.Column(name).Type)
		if err != nil {
			return nil, err
		}
		sets = append(sets, quote(name)+" = "+value)
	}
	return sets, nil
}

// updateMany compiles each entry of update_t_many as a statement of its own.
func updateMany(m *model.Model, session Session, t *model.Table, field *request.Field) ([]Statement, error) {
	updates, _ := field.Args["updates"].([]any)
	statements := make([]Statement, 0, len(updates))
	for _, update := range updates {
		args, _ := update.(map[string]any)
		statement, err := newBuilder(m, session).update(t, field, args, nil)
		if err != nil {
			return nil, located(err, field)
		}
		statements = append(statements, statement)
	}
	return statements, nil
}

// located puts the field's path on an error that has none.
func located(err error, field *request.Field) error {
	failed := qerr.From(err)
	if failed.Path == "$" && failed.Code != qerr.NotFound {
		return failed.At(field.Path + ".args")
	}
	return failed
}
