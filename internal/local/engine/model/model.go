// Package model joins metadata to the catalog: the tables, relationships and rights
// that really exist, under the names GraphQL gives them. What metadata asks for and
// the database does not have is left out and listed as an inconsistency. It knows
// neither SQL nor HTTP.
package model

import (
	"regexp"
	"sort"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/metadata"
)

// AdminRole may do everything, on every tracked table.
const AdminRole = "admin"

// Model is what the engine serves.
type Model struct {
	Catalog         *catalog.Catalog
	Tables          []*Table // in metadata order
	Functions       []*Function
	Actions         []metadata.Action
	Types           metadata.CustomTypes
	Roles           []string // named in any permission, sorted, without admin
	Inconsistencies []Inconsistency

	byName map[metadata.TableName]*Table
}

// Table is one tracked table that exists.
type Table struct {
	*catalog.Table
	GraphQL        string // the base of its root fields and types
	RootFields     metadata.TableRootFields
	Relationships  []*Relationship
	ComputedFields []*ComputedField
	Triggers       []metadata.EventTrigger

	selects map[string]*SelectRight
	inserts map[string]*InsertRight
	updates map[string]*UpdateRight
	deletes map[string]*DeleteRight

	fieldOf, columnOf map[string]string // column → GraphQL name, and back, of renamed columns
}

// Relationship joins the table that holds it to another.
type Relationship struct {
	Name  string
	Array bool
	To    *Table
	Pairs []Pair
	// Required says that every own column is not null and bound by a foreign key, so
	// that the other row must exist.
	Required bool
	// AfterParent says that a nested insert writes the other row after this one, which
	// holds no reference to it.
	AfterParent bool
}

// Pair is one equality of a join: own column = remote column.
type Pair struct{ Own, Remote string }

// Inconsistency is one object of the metadata that the engine left out.
type Inconsistency struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	Reason     string `json:"reason"`
	Definition any    `json:"definition"`
}

var graphqlName = regexp.MustCompile(`^[_A-Za-z][_0-9A-Za-z]*$`)

// IsGraphQLName reports whether a name can stand in a GraphQL document. What is named
// otherwise, Hasura leaves out of its schema.
func IsGraphQLName(name string) bool { return graphqlName.MatchString(name) }

// Table returns the tracked table of that name, or nil.
func (m *Model) Table(name metadata.TableName) *Table { return m.byName[name] }

// HasRole reports whether metadata names the role. Hasura answers another role with a
// schema in which nothing exists.
func (m *Model) HasRole(role string) bool {
	if role == AdminRole {
		return true
	}
	i := sort.SearchStrings(m.Roles, role)
	return i < len(m.Roles) && m.Roles[i] == role
}

// Report adds an inconsistency.
func (m *Model) Report(kind, name, reason string, definition any) {
	m.Inconsistencies = append(m.Inconsistencies, Inconsistency{Type: kind, Name: name, Reason: reason, Definition: definition})
}

// Relationship returns the named relationship, or nil.
func (t *Table) Relationship(name string) *Relationship {
	for _, relationship := range t.Relationships {
		if relationship.Name == name {
			return relationship
		}
	}
	return nil
}

// Constraints returns the primary key and unique constraints, as on_conflict names them.
func (t *Table) Constraints() []catalog.Constraint {
	var all []catalog.Constraint
	if t.PrimaryKey != nil {
		all = append(all, *t.PrimaryKey)
	}
	return append(all, t.Uniques...)
}
