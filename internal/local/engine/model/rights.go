package model

import (
	"slices"

	"github.com/nself/tenancy/internal/metadata"
)

// Set is a set of column names.
type Set map[string]bool

// SelectRight is what a role may read of a table.
type SelectRight struct {
	Columns      Set
	Computed     Set // scalar computed fields
	Filter       metadata.BoolExp
	Limit        *int
	Aggregations bool
	RootFields   []string // select, select_by_pk, select_aggregate; nil for all
	// Redact holds, for the columns and computed fields of an inherited role that some
	// of its set lack, in which rows they may be seen; elsewhere they are null.
	Redact map[string]metadata.BoolExp
}

// Opens reports whether the right comes with the root field.
func (r *SelectRight) Opens(rootField string) bool {
	return r.RootFields == nil || slices.Contains(r.RootFields, rootField)
}

// InsertRight is what a role may insert. Presets are columns that the role cannot
// write and that take the given value.
type InsertRight struct {
	Columns     Set
	Check       metadata.BoolExp
	Presets     map[string]any
	BackendOnly bool
}

// UpdateRight is what a role may change. A nil Check asks nothing of the new row.
type UpdateRight struct {
	Columns     Set
	Filter      metadata.BoolExp
	Check       metadata.BoolExp
	Presets     map[string]any
	BackendOnly bool
}

// DeleteRight is what a role may delete.
type DeleteRight struct {
	Filter      metadata.BoolExp
	BackendOnly bool
}

// Caller is as whom a schema is seen. Backend is the admin secret together with
// x-hasura-use-backend-only-permissions.
type Caller struct {
	Role    string
	Backend bool
}

// Admin reports whether no permission binds the caller.
func (c Caller) Admin() bool { return c.Role == AdminRole }

// Select returns the caller's right to read the table, or nil.
func (t *Table) Select(c Caller) *SelectRight {
	if c.Admin() {
		return &SelectRight{Columns: t.all(false), Computed: t.allComputed(), Aggregations: true}
	}
	return t.selects[c.Role]
}

// Insert returns the caller's right to insert, or nil.
func (t *Table) Insert(c Caller) *InsertRight {
	if c.Admin() {
		return &InsertRight{Columns: t.all(true)}
	}
	right := t.inserts[c.Role]
	if right == nil || right.BackendOnly && !c.Backend {
		return nil
	}
	return right
}

// Update returns the caller's right to update, or nil.
func (t *Table) Update(c Caller) *UpdateRight {
	if c.Admin() {
		return &UpdateRight{Columns: t.all(true)}
	}
	right := t.updates[c.Role]
	if right == nil || right.BackendOnly && !c.Backend {
		return nil
	}
	return right
}

// Delete returns the caller's right to delete, or nil.
func (t *Table) Delete(c Caller) *DeleteRight {
	if c.Admin() {
		return &DeleteRight{}
	}
	right := t.deletes[c.Role]
	if right == nil || right.BackendOnly && !c.Backend {
		return nil
	}
	return right
}

// all is every column that GraphQL can name; writable leaves out those that compute
// themselves.
func (t *Table) all(writable bool) Set {
	set := Set{}
	for _, column := range t.Columns {
		if IsGraphQLName(t.NameOf(column.Name)) && IsGraphQLName(column.Type.Scalar()) && (!writable || !column.Computed) {
			set[column.Name] = true
		}
	}
	return set
}

// HasPrimaryKey reports whether every column of the primary key is in the set.
func (t *Table) HasPrimaryKey(columns Set) bool {
	if t.PrimaryKey == nil {
		return false
	}
	for _, column := range t.PrimaryKey.Columns {
		if !columns[column] {
			return false
		}
	}
	return true
}
