// Package isolation holds the declared list of tenant tables and renders both walls
// from it: the row-level security, grants and triggers of Postgres, and the permissions
// of Hasura. It also compares list, database and metadata with each other, and plans how
// a table of the customer's joins the list. It owns no rows but the list's own copy in
// the database (nself.tenant_tables), knows nothing of HTTP, and decides no single
// request: Postgres and Hasura do.
package isolation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/metadata"
)

// Rows says whose rows a table holds.
type Rows string

// The kinds of rows. An empty Rows is OfTenant.
const (
	OfTenant  Rows = "tenant"  // each row belongs to the tenant its tenant column names
	OfMembers Rows = "members" // people: each row belongs to every tenant it is a member of, and to the one its tenant column names
	Shared    Rows = "shared"  // the same for all tenants: no wall, and nobody but the operator writes
)

// List is the declared list, in the order of its file.
type List []Table

// Table is one declared table: everything that the two walls need to know of it.
type Table struct {
	Name        Name              `yaml:"table" json:"table"`
	Rows        Rows              `yaml:"rows,omitempty" json:"rows,omitempty"`
	Column      string            `yaml:"column,omitempty" json:"column,omitempty"`     // the tenant column; empty: tenant_id
	Nullable    string            `yaml:"nullable,omitempty" json:"nullable,omitempty"` // why the tenant column may be null; empty: it may not
	Global      map[string]string `yaml:"global,omitempty" json:"global,omitempty"`     // the keys without the tenant column, by index, each with its reason
	Outlives    string            `yaml:"outlives,omitempty" json:"outlives,omitempty"` // why rows stay when their tenant goes; empty: they reference it and go with it
	Grants      Grants            `yaml:"grants" json:"grants"`
	Policies    []Policy          `yaml:"policies,omitempty" json:"policies,omitempty"` // empty: the standard ones of Rows
	Permissions []Permission      `yaml:"permissions,omitempty" json:"permissions,omitempty"`
}

// Name is a table's name, written "schema.table".
type Name metadata.TableName

// String writes the name as the list does.
func (n Name) String() string { return n.Schema + "." + n.Name }

// MarshalText writes the name as the list does.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads "schema.table". Neither part may be empty or hold a dot.
func (n *Name) UnmarshalText(text []byte) error {
	schema, table, found := strings.Cut(string(text), ".")
	if !found || schema == "" || table == "" || strings.Contains(table, ".") || strings.ContainsFunc(string(text), unicode.IsControl) {
		return fmt.Errorf("%q is no table: write schema.table", text)
	}
	n.Schema, n.Name = schema, table
	return nil
}

// Grants are the privileges of each database role: select, insert, update, delete, trigger.
type Grants map[string][]string

// Policy is one policy, as CREATE POLICY has it.
type Policy struct {
	Name  string   `yaml:"name" json:"name"`
	For   string   `yaml:"for,omitempty" json:"for,omitempty"` // select|insert|update|delete; empty: all
	To    []string `yaml:"to" json:"to"`
	Using Bound    `yaml:"using,omitempty" json:"using,omitempty"`
	Check Bound    `yaml:"check,omitempty" json:"check,omitempty"`
}

// Permission is what Hasura lets some roles do. Every condition of the wall is added by
// the rendering; Where only narrows further.
type Permission struct {
	Roles        []string         `yaml:"roles" json:"roles"`
	Select       []string         `yaml:"select,omitempty" json:"select,omitempty"`
	Aggregations bool             `yaml:"aggregations,omitempty" json:"aggregations,omitempty"`
	Insert       []string         `yaml:"insert,omitempty" json:"insert,omitempty"`
	Update       []string         `yaml:"update,omitempty" json:"update,omitempty"`
	Delete       bool             `yaml:"delete,omitempty" json:"delete,omitempty"`
	Where        metadata.BoolExp `yaml:"where,omitempty" json:"where,omitempty"`
}

// TenantColumn is the column that names the tenant; "" of a shared table.
func (t Table) TenantColumn() string {
	switch {
	case t.Rows == Shared:
		return ""
	case t.Column == "":
		return "tenant_id"
	}
	return t.Column
}

// Walled reports whether the table has a wall at all: every one but the shared.
func (t Table) Walled() bool { return t.Rows != Shared }

// Find returns the declared table of this name.
func (l List) Find(name Name) (Table, bool) {
	at := slices.IndexFunc(l, func(t Table) bool { return t.Name == name })
	if at < 0 {
		return Table{}, false
	}
	return l[at], true
}

// document is the file of the list.
type document struct {
	Tables List `yaml:"tables"`
}

// Ours is the list of this project's own tables.
func Ours() (List, error) { return Parse(hasura.TenantTables) }

// Parse reads the list's YAML and reports everything wrong with it at once. Keys it does
// not know are refused.
func Parse(text []byte) (List, error) {
	var doc document
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the list of tenant tables cannot be read: %w", err)
	}
	return doc.Tables, doc.Tables.Validate()
}
