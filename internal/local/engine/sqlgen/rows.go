package sqlgen

import (
	"encoding/json"
	"fmt"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/local/engine/sdl"
)

// Rows are the rows of one level of a nested insert.
type Rows struct {
	Table    *model.Table
	Objects  []any // as the client gave them
	Conflict any   // on_conflict, nil for none
	// Given are the columns that a related row determines. A preset goes before them.
	Given map[string]any
	Path  string
}

// InsertRows compiles the insert of the rows alone. Its result is the list of the rows
// written, whole, whatever the caller may read.
func InsertRows(m *model.Model, session Session, rows Rows) (Statement, error) {
	w := newBuilder(m, session).writing(rows.Table)
	right := rows.Table.Insert(session.Caller)
	conflict, err := w.onConflict(rows.Table, rows.Conflict)
	if err != nil {
		return Statement{}, err
	}
	check, err := w.insertCheck(rows.Table, right, conflict)
	if err != nil {
		return Statement{}, err
	}
	source, err := w.insertSource(rows.Table, right, rows.Objects, rows.Given)
	if err != nil {
		return Statement{}, err
	}
	mutation := fmt.Sprintf("INSERT INTO %s AS %s %s%s", rows.Table.Quote(), quote(w.target.alias), source, conflict.sql)
	whole := fmt.Sprintf("(SELECT coalesce(json_agg(%s), '[]')::text FROM %s)", w.result.row(), quote(w.result.alias))
	statement := w.assemble(mutation, check, insertFailure, whole)
	statement.Path = rows.Path
	return statement, nil
}

// Written are the rows that a nested insert wrote at its root, and how many it wrote in
// all.
type Written struct {
	Rows     []map[string]any
	Affected int
}

// Returned compiles the answer of a nested insert from the rows it wrote, the related
// ones being read as they now are.
func Returned(m *model.Model, session Session, root sdl.Root, field *request.Field, written Written) (Statement, error) {
	b := newBuilder(m, session)
	if written.Rows == nil {
		written.Rows = []map[string]any{}
	}
	text, err := json.Marshal(written.Rows)
	if err != nil {
		return Statement{}, fmt.Errorf("the rows written cannot be passed on: %w", err)
	}
	rows := b.calling(root.Table, fmt.Sprintf("json_populate_recordset(NULL::%s, (%s)::json)", root.Table.Quote(), b.text(string(text))))
	var answer string
	if root.Kind == sdl.InsertOne {
		var object string
		object, err = b.object(rows, field.Fields)
		answer = fmt.Sprintf("(SELECT %s FROM %s LIMIT 1)", object, rows.source())
	} else {
		answer, err = b.response(rows, field, fmt.Sprintf("'%d'", written.Affected))
	}
	return Statement{SQL: "SELECT " + answer, Args: b.args, Path: field.Path}, err
}
