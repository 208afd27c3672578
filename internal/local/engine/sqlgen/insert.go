package sqlgen

import (
	"fmt"
	"maps"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/request"
)

const insertFailure = "check constraint of an insert/update permission has failed"

// insert compiles insert_t and insert_t_one. A row that leaves out a column which
// another row sets takes the column's default.
func (b *builder) insert(t *model.Table, field *request.Field, one bool) (Statement, error) {
	w := b.writing(t)
	right := t.Insert(b.session.Caller)
	objects, _ := field.Args["objects"].([]any)
	if one {
		objects = []any{field.Args["object"]}
	}
	conflict, err := w.onConflict(t, field.Args["on_conflict"])
	if err != nil {
		return Statement{}, err
	}
	check, err := w.insertCheck(t, right, conflict)
	if err != nil {
		return Statement{}, err
	}
	source, err := w.insertSource(t, right, objects, nil)
	if err != nil {
		return Statement{}, err
	}
	mutation := fmt.Sprintf("INSERT INTO %s AS %s %s%s", t.Quote(), quote(w.target.alias), source, conflict.sql)
	statement, err := w.finish(mutation, check, insertFailure, field, one)
	statement.Path += ".args.objects"
	if one {
		statement.Path = field.Path + ".args.object"
	}
	return statement, err
}

// insertSource writes the columns and the rows of values. given are columns that every
// row has, unless a preset goes before them.
func (w writing) insertSource(t *model.Table, right *model.InsertRight, objects []any, given map[string]any) (string, error) {
	if len(objects) == 0 {
		column := anyColumn(t)
		return fmt.Sprintf("(%s) SELECT NULL::%s WHERE false", quote(column.Name), column.Type.SQL()), nil
	}
	rowsGiven := make([]map[string]any, 0, len(objects))
	for _, object := range objects {
		rowsGiven = append(rowsGiven, rowOf(t, object, given))
	}
	columns := insertColumns(t, right, rowsGiven)
	var quoted, rows []string
	for _, column := range columns {
		quoted = append(quoted, quote(column))
	}
	for _, row := range rowsGiven {
		values, err := w.insertValues(t, right, columns, row)
		if err != nil {
			return "", err
		}
		rows = append(rows, "("+strings.Join(values, ", ")+")")
	}
	return fmt.Sprintf("(%s) VALUES %s", strings.Join(quoted, ", "), strings.Join(rows, ", ")), nil
}

// rowOf returns a client's object by column, its relationships left out.
func rowOf(t *model.Table, object any, given map[string]any) map[string]any {
	row := map[string]any{}
	maps.Copy(row, given)
	fields, _ := object.(map[string]any)
	for name, value := range fields {
		if column := t.Field(name); column != nil {
			row[column.Name] = value
		}
	}
	return row
}

// insertColumns are the columns that any row or preset sets; one at least, as a list
// of rows of nothing but defaults must name one.
func insertColumns(t *model.Table, right *model.InsertRight, rows []map[string]any) []string {
	set := map[string]bool{}
	for _, row := range rows {
		for name := range row {
			set[name] = true
		}
	}
	for name := range right.Presets {
		set[name] = true
	}
	if len(set) == 0 {
		return []string{anyColumn(t).Name}
	}
	return sortedKeys(set)
}

// anyColumn returns a column that takes values, where there is one.
func anyColumn(t *model.Table) catalog.Column {
	for _, column := range t.Columns {
		if !column.Computed {
			return column
		}
	}
	return t.Columns[0]
}

func (w writing) insertValues(t *model.Table, right *model.InsertRight, columns []string, object map[string]any) ([]string, error) {
	var values []string
	for _, name := range columns {
		value := "DEFAULT"
		var err error
		if preset, ok := right.Presets[name]; ok {
			value, err = w.permissionValue(preset, t.Column(name).Type)
		} else if given, ok := object[name]; ok {
			value, err = w.value(given, t.Column(name).Type)
		}
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// conflictAction is a compiled on_conflict.
type conflictAction struct {
	sql     string
	updates bool // rows in conflict are updated, and so bound by the update permission
}

func (w writing) onConflict(t *model.Table, given any) (conflictAction, error) {
	object, ok := given.(map[string]any)
	if !ok {
		return conflictAction{}, nil
	}
	constraint, _ := object["constraint"].(string)
	on := " ON CONFLICT ON CONSTRAINT " + quote(constraint)
	columns, _ := object["update_columns"].([]any)
	right := t.Update(w.session.Caller)
	if len(columns) == 0 || right == nil {
		return conflictAction{sql: on + " DO NOTHING"}, nil
	}
	var sets []string
	for _, column := range columns {
		name, _ := column.(string)
		if known := t.Field(name); known != nil && right.Columns[known.Name] {
			name = known.Name
			sets = append(sets, quote(name)+" = EXCLUDED."+quote(name))
		}
	}
	presets, err := w.presets(t, right)
	if err != nil {
		return conflictAction{}, err
	}
	sets = append(sets, presets...)
	if len(sets) == 0 {
		return conflictAction{sql: on + " DO NOTHING"}, nil
	}
	where, err := w.where(w.target, object["where"])
	if err != nil {
		return conflictAction{}, err
	}
	filter, err := w.filter(w.target, right.Filter)
	sql := fmt.Sprintf("%s DO UPDATE SET %s WHERE %s", on, strings.Join(sets, ", "), and(filter, where))
	return conflictAction{sql: sql, updates: true}, err
}

// insertCheck is the insert permission's check, and for rows that an upsert updated
// the update permission's. A row that this statement inserted has no xmax.
func (w writing) insertCheck(t *model.Table, right *model.InsertRight, conflict conflictAction) (string, error) {
	check, err := w.filter(w.target, right.Check)
	if err != nil || !conflict.updates {
		return check, err
	}
	updated, err := w.filter(w.target, t.Update(w.session.Caller).Check)
	if err != nil || check == "TRUE" && updated == "TRUE" {
		return "TRUE", err
	}
	return fmt.Sprintf("CASE WHEN %s = 0 THEN %s ELSE %s END", quote(w.target.alias, "xmax"), check, updated), nil
}
