// Package nested inserts rows together with the rows of their relationships, level by
// level: what a row refers to goes before it, what refers to it after. Each level is a
// statement of its own, checked by the insert permission of its own table. It owns the
// order and how keys pass from row to row; the statements are sqlgen's, and running
// them, inside one transaction, is the caller's.
package nested

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/nself/tenancy/internal/local/engine/model"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/local/engine/sdl"
	"github.com/nself/tenancy/internal/local/engine/sqlgen"
)

// Insertion is one field insert_t or insert_t_one under way.
type Insertion struct {
	Model   *model.Model
	Session sqlgen.Session
	// Run runs a statement in the operation's transaction and returns its JSON.
	Run func(sqlgen.Statement) (json.RawMessage, error)
}

// Wanted reports whether the field inserts through a relationship.
func Wanted(root sdl.Root, field *request.Field) bool {
	if root.Kind != sdl.Insert && root.Kind != sdl.InsertOne {
		return false
	}
	objects, _ := objectsOf(root, field)
	return nests(root.Table, objects)
}

func objectsOf(root sdl.Root, field *request.Field) (objects []any, path string) {
	if root.Kind == sdl.InsertOne {
		return []any{field.Args["object"]}, field.Path + ".args.object"
	}
	objects, _ = field.Args["objects"].([]any)
	return objects, field.Path + ".args.objects"
}

// Answer inserts everything and returns the field's JSON.
func (n Insertion) Answer(root sdl.Root, field *request.Field) (json.RawMessage, error) {
	objects, path := objectsOf(root, field)
	rows, affected, err := n.many(sqlgen.Rows{Table: root.Table, Objects: objects, Conflict: field.Args["on_conflict"], Path: path})
	if err != nil {
		return nil, err
	}
	statement, err := sqlgen.Returned(n.Model, n.Session, root, field, sqlgen.Written{Rows: rows, Affected: affected})
	if err != nil {
		return nil, err
	}
	return n.Run(statement)
}

// many inserts the rows of one list: in one statement where none of them nests.
func (n Insertion) many(rows sqlgen.Rows) ([]map[string]any, int, error) {
	if !nests(rows.Table, rows.Objects) {
		for i, object := range rows.Objects {
			if err := check(rows.Table, object, rows.Given, fmt.Sprintf("%s[%d]", rows.Path, i)); err != nil {
				return nil, 0, err
			}
		}
		written, err := n.write(rows)
		return written, len(written), err
	}
	var all []map[string]any
	total := 0
	for i, object := range rows.Objects {
		one := rows
		one.Objects, one.Path = []any{object}, fmt.Sprintf("%s[%d]", rows.Path, i)
		row, affected, err := n.single(one)
		if err != nil {
			return nil, 0, err
		}
		total += affected
		if row != nil {
			all = append(all, row)
		}
	}
	return all, total, nil
}

// single inserts one row and all that hangs on it. The row is nil where a conflict left
// it unwritten.
func (n Insertion) single(rows sqlgen.Rows) (map[string]any, int, error) {
	if err := check(rows.Table, rows.Objects[0], rows.Given, rows.Path); err != nil {
		return nil, 0, err
	}
	before, after := relatives(rows.Table, rows.Objects[0])
	total := 0
	rows.Given = maps.Clone(rows.Given)
	for _, relative := range before {
		determined, affected, err := n.referred(relative, rows.Path)
		if err != nil {
			return nil, 0, err
		}
		if rows.Given == nil {
			rows.Given = map[string]any{}
		}
		maps.Copy(rows.Given, determined)
		total += affected
	}
	written, err := n.write(rows)
	if err != nil {
		return nil, 0, err
	}
	total += len(written)
	if len(written) == 0 {
		if len(after) > 0 {
			return nil, 0, qerr.New(qerr.NotSupported, "cannot proceed to insert array relations since insert to table %q affects zero rows", title(rows.Table)).At(rows.Path)
		}
		return nil, total, nil
	}
	for _, relative := range after {
		affected, err := n.referring(relative, written[0], rows.Path)
		if err != nil {
			return nil, 0, err
		}
		total += affected
	}
	return written[0], total, nil
}

// referred inserts the row that an object relationship points at, and returns the
// columns that point at it.
func (n Insertion) referred(relative relative, path string) (map[string]any, int, error) {
	path += "." + relative.by.Name
	row, affected, err := n.single(sqlgen.Rows{Table: relative.by.To, Objects: relative.objects, Conflict: relative.conflict, Path: path + ".data"})
	if err != nil {
		return nil, 0, err
	}
	if row == nil {
		return nil, 0, qerr.New(qerr.NotSupported, "cannot proceed to insert object relation %q since insert to table %q affects zero rows",
			relative.by.Name, title(relative.by.To)).At(path)
	}
	determined := map[string]any{}
	for _, pair := range relative.by.Pairs {
		determined[pair.Own] = row[pair.Remote]
	}
	return determined, affected, nil
}

// referring inserts the rows that point at the row just written.
func (n Insertion) referring(relative relative, row map[string]any, path string) (int, error) {
	given := map[string]any{}
	for _, pair := range relative.by.Pairs {
		given[pair.Remote] = row[pair.Own]
	}
	_, affected, err := n.many(sqlgen.Rows{
		Table: relative.by.To, Objects: relative.objects, Conflict: relative.conflict, Given: given,
		Path: path + "." + relative.by.Name + ".data",
	})
	return affected, err
}

// write runs the statement of one level and returns the rows that it wrote.
func (n Insertion) write(rows sqlgen.Rows) ([]map[string]any, error) {
	statement, err := sqlgen.InsertRows(n.Model, n.Session, rows)
	if err != nil {
		return nil, err
	}
	text, err := n.Run(statement)
	if err != nil {
		return nil, err
	}
	var written []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return written, decoder.Decode(&written)
}
