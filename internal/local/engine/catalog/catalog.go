// Package catalog reads what Postgres knows of its tables: columns, types, keys. It
// owns the mapping from Postgres types to Hasura's GraphQL scalars. It knows nothing
// of metadata or permissions.
package catalog

import (
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
)

// Catalog is one reading of the database.
type Catalog struct {
	Tables    map[metadata.TableName]*Table
	Functions map[metadata.FunctionName][]*Function // several where the name is overloaded
	Scalars   map[string]bool                       // every GraphQL scalar name that a Postgres type has
}

// Table is a table, view, materialized view or foreign table.
type Table struct {
	Name        metadata.TableName
	Comment     string
	Columns     []Column
	PrimaryKey  *Constraint // nil where there is none
	Uniques     []Constraint
	ForeignKeys []ForeignKey
	Writers     []string // roles that hold INSERT, UPDATE or DELETE, and the owner
	// A view may take none of these.
	Insertable, Updatable, Deletable bool
}

// Column is one column. A column of a domain has the domain's base type.
type Column struct {
	Name     string
	Comment  string
	Type     Type
	Nullable bool
	// Computed is a generated column or an identity "always": it takes no value.
	Computed bool
}

// Constraint is a primary key or unique constraint.
type Constraint struct {
	Name    string
	Columns []string
}

// ForeignKey points from Columns to the Target's columns, position by position.
type ForeignKey struct {
	Columns       []string
	Target        metadata.TableName
	TargetColumns []string
}

// Column returns the named column, or nil.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// Quote returns the quoted, schema-qualified name.
func (t *Table) Quote() string { return QuoteTable(t.Name) }

// QuoteTable returns a quoted, schema-qualified name.
func QuoteTable(name metadata.TableName) string {
	return pgx.Identifier{name.Schema, name.Name}.Sanitize()
}

// Type is a Postgres type other than a domain.
type Type struct {
	Schema string
	Name   string // pg_type.typname; an array's begins with _
	Enum   bool
	Elem   *Type // of an array, else nil
}

// SQL returns the type's quoted name, for a cast.
func (t Type) SQL() string { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// scalars names the types whose GraphQL name is not their own. float8 keeps its name:
// only real becomes Float.
var scalars = map[string]string{
	"int2": "smallint", "int4": "Int", "int8": "bigint", "float4": "Float",
	"bool": "Boolean", "text": "String", "varchar": "String",
}

// Scalar returns the name of the type in GraphQL.
func (t Type) Scalar() string {
	if name, ok := scalars[t.Name]; ok && t.Schema == "pg_catalog" {
		return name
	}
	return t.Name
}

// IsText reports whether the type takes the text operators (_like and its kin).
func (t Type) IsText() bool { return t.is("text", "varchar", "bpchar", "citext") }

// IsNumeric reports whether the type can be summed and incremented.
func (t Type) IsNumeric() bool {
	return t.is("int2", "int4", "int8", "float4", "float8", "numeric", "money")
}

// IsJSON reports whether the type is json or jsonb.
func (t Type) IsJSON() bool { return t.is("json", "jsonb") }

// IsJSONB reports whether the type takes the jsonb operators.
func (t Type) IsJSONB() bool { return t.is("jsonb") }

// IsComparable reports whether Hasura offers min and max for the type.
func (t Type) IsComparable() bool {
	return t.Enum || t.IsNumeric() || t.IsText() || t.is("date", "timestamp", "timestamptz", "timetz", "uuid", "ltree")
}

func (t Type) is(names ...string) bool {
	for _, name := range names {
		if t.Name == name {
			return true
		}
	}
	return false
}
