package model

import (
	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/metadata"
)

// Field returns the column that GraphQL calls by the name, or nil.
func (t *Table) Field(name string) *catalog.Column {
	column := t.Column(t.columnOf[name])
	if column == nil && t.fieldOf[name] == "" {
		column = t.Column(name)
	}
	return column
}

// NameOf returns what GraphQL calls the column.
func (t *Table) NameOf(column string) string {
	if name := t.fieldOf[column]; name != "" {
		return name
	}
	return column
}

// rename takes over the names that metadata gives to columns that exist.
func (t *Table) rename(names map[string]string) {
	t.fieldOf, t.columnOf = map[string]string{}, map[string]string{}
	for column, name := range names {
		if t.Column(column) != nil {
			t.fieldOf[column], t.columnOf[name] = name, column
		}
	}
}

// qualified is the base of the GraphQL names of a table or function.
func qualified(name metadata.TableName, custom string) string {
	switch {
	case custom != "":
		return custom
	case name.Schema == "public":
		return name.Name
	}
	return name.Schema + "_" + name.Name
}

// Named returns the name that metadata gives a root field, or else the standard one.
func Named(custom metadata.CustomName, standard string) string {
	if custom != "" {
		return string(custom)
	}
	return standard
}
