package model

import (
	"fmt"
	"sort"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/metadata"
)

// Checker decides whether a permission's expression fits its table; the SQL compiler
// provides it, as it alone knows every operator.
type Checker func(table *Table, expression metadata.BoolExp) error

// Build joins the metadata to the catalog.
func Build(meta *metadata.Metadata, cat *catalog.Catalog, check func(*Model) Checker) *Model {
	m := &Model{Catalog: cat, Types: meta.CustomTypes, byName: map[metadata.TableName]*Table{}}
	sources := map[*Table]metadata.Table{}
	names := map[string]bool{}
	for _, source := range meta.Tables {
		table := m.track(source, names)
		if table != nil {
			sources[table] = source
		}
	}
	for _, table := range m.Tables {
		m.relate(table, sources[table])
	}
	for _, table := range m.Tables {
		m.compute(table, sources[table])
	}
	checker := check(m)
	for _, table := range m.Tables {
		m.permit(table, sources[table], checker)
	}
	m.addFunctions(meta.Functions)
	m.addActions(meta.Actions)
	m.inherit(meta.InheritedRoles)
	m.collectRoles(meta)
	m.reportElsewhere(meta)
	return m
}

func (m *Model) track(source metadata.Table, names map[string]bool) *Table {
	found := m.Catalog.Tables[source.Table]
	title := source.Table.Schema + "." + source.Table.Name
	if found == nil {
		m.Report("table", title, fmt.Sprintf("no such table/view exists in source: %q", title), source.Table)
		return nil
	}
	name := qualified(source.Table, source.Configuration.CustomName)
	switch {
	case !IsGraphQLName(name):
		m.Report("table", title, fmt.Sprintf("%q is not a valid GraphQL identifier", name), source.Table)
		return nil
	case names[name]:
		m.Report("table", title, fmt.Sprintf("another table already has the GraphQL name %q", name), source.Table)
		return nil
	}
	names[name] = true
	table := &Table{
		Table: found, GraphQL: name, Triggers: source.EventTriggers, RootFields: source.Configuration.CustomRootFields,
		selects: map[string]*SelectRight{}, inserts: map[string]*InsertRight{},
		updates: map[string]*UpdateRight{}, deletes: map[string]*DeleteRight{},
	}
	table.rename(source.Configuration.ColumnNames())
	m.Tables = append(m.Tables, table)
	m.reportUnserved(title, source)
	m.byName[source.Table] = table
	return table
}

func (m *Model) collectRoles(meta *metadata.Metadata) {
	roles := map[string]bool{}
	for _, table := range meta.Tables {
		addRoles(roles, table.SelectPermissions)
		addRoles(roles, table.InsertPermissions)
		addRoles(roles, table.UpdatePermissions)
		addRoles(roles, table.DeletePermissions)
	}
	for _, action := range meta.Actions {
		for _, role := range action.Roles {
			roles[role] = true
		}
	}
	for _, function := range meta.Functions {
		for _, permission := range function.Permissions {
			roles[permission.Role] = true
		}
	}
	for _, role := range meta.InheritedRoles {
		roles[role.Name] = true
	}
	for role := range roles {
		m.Roles = append(m.Roles, role)
	}
	sort.Strings(m.Roles)
}

func addRoles[T any](roles map[string]bool, permissions []metadata.Permission[T]) {
	for _, permission := range permissions {
		roles[permission.Role] = true
	}
}
