package model

import (
	"fmt"
	"sort"

	"github.com/nself/tenancy/internal/metadata"
)

// Computed returns the named computed field, or nil.
func (t *Table) Computed(name string) *ComputedField {
	for _, field := range t.ComputedFields {
		if field.Name == name {
			return field
		}
	}
	return nil
}

func (m *Model) compute(table *Table, source metadata.Table) {
	for _, declared := range source.ComputedFields {
		field, err := m.computedField(table, declared)
		if err != nil {
			m.Report("computed_field", fmt.Sprintf("computed_field %s in table %q", declared.Name, table.Name), err.Error(), declared)
			continue
		}
		table.ComputedFields = append(table.ComputedFields, field)
	}
	sort.Slice(table.ComputedFields, func(i, j int) bool { return table.ComputedFields[i].Name < table.ComputedFields[j].Name })
}

func (m *Model) computedField(table *Table, declared metadata.ComputedField) (*ComputedField, error) {
	definition := declared.Definition
	found, err := m.find(definition.Function)
	if err != nil {
		return nil, err
	}
	call, err := newCall(found, definition.TableArgument, definition.SessionArgument, table)
	if err != nil {
		return nil, err
	}
	call.ArgsType = declared.Name + "_" + table.GraphQL + "_args"
	field := &ComputedField{Call: call, Name: declared.Name, Comment: declared.Comment}
	switch {
	case !IsGraphQLName(declared.Name) || table.Field(declared.Name) != nil || table.Column(declared.Name) != nil || table.Relationship(declared.Name) != nil:
		return nil, fmt.Errorf("%q is no valid name for a field, or is that of a column or relationship", declared.Name)
	case found.Volatile:
		return nil, fmt.Errorf("the function %q is of type VOLATILE; cannot be added as a computed field", found.Name)
	case found.Table.Name == "" && !found.SetOf && IsGraphQLName(found.Returns.Scalar()):
		return field, nil
	case !found.SetOf || m.byName[found.Table] == nil:
		return nil, fmt.Errorf("the function %q returns neither a scalar nor SETOF a tracked table", found.Name)
	}
	field.To = m.byName[found.Table]
	return field, nil
}

// computed resolves a permission's list of computed fields.
func (t *Table) computed(names []string) (Set, error) {
	set := Set{}
	for _, name := range names {
		field := t.Computed(name)
		switch {
		case field == nil:
			return nil, fmt.Errorf("computed field %q does not exist", name)
		case field.To != nil:
			return nil, fmt.Errorf("select permissions on computed field %q are auto-derived from the permissions on its returning table %q and cannot be specified manually", name, field.To.Name)
		}
		set[name] = true
	}
	return set, nil
}

func (t *Table) allComputed() Set {
	set := Set{}
	for _, field := range t.ComputedFields {
		if field.To == nil {
			set[field.Name] = true
		}
	}
	return set
}
