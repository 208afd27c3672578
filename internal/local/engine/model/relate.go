package model

import (
	"fmt"
	"slices"
	"sort"

	"github.com/nself/tenancy/internal/metadata"
)

func (m *Model) relate(table *Table, source metadata.Table) {
	for _, declared := range source.ObjectRelationships {
		m.addRelationship(table, declared, false)
	}
	for _, declared := range source.ArrayRelationships {
		m.addRelationship(table, declared, true)
	}
	sort.Slice(table.Relationships, func(i, j int) bool { return table.Relationships[i].Name < table.Relationships[j].Name })
}

func (m *Model) addRelationship(table *Table, declared metadata.Relationship, array bool) {
	relationship, err := m.resolve(table, declared, array)
	if err == nil && (!IsGraphQLName(declared.Name) || table.Field(declared.Name) != nil) {
		err = fmt.Errorf("%q is no valid name for a field, or is that of a column", declared.Name)
	}
	if err != nil {
		kind := "object_relation"
		if array {
			kind = "array_relation"
		}
		name := fmt.Sprintf("%s %s in table %q", kind, declared.Name, table.Name.Schema+"."+table.Name.Name)
		m.Report(kind, name, err.Error(), declared)
		return
	}
	table.Relationships = append(table.Relationships, relationship)
}

func (m *Model) resolve(table *Table, declared metadata.Relationship, array bool) (*Relationship, error) {
	relationship := &Relationship{Name: declared.Name, Array: array}
	var target metadata.TableName
	using := declared.Using
	switch {
	case using.Manual != nil:
		target = using.Manual.RemoteTable
		relationship.AfterParent = using.Manual.InsertionOrder == "after_parent"
		for own, remote := range using.Manual.ColumnMapping {
			relationship.Pairs = append(relationship.Pairs, Pair{own, remote})
		}
	case using.ForeignKeyConstraintOn.Table != nil:
		target = *using.ForeignKeyConstraintOn.Table
		relationship.AfterParent = true
		relationship.Pairs = m.keyOfOther(table, *using.ForeignKeyConstraintOn)
	default:
		target, relationship.Pairs = keyOfOwn(table, using.ForeignKeyConstraintOn.Columns)
		relationship.Required = allRequired(table, relationship.Pairs)
	}
	if len(relationship.Pairs) == 0 {
		return nil, fmt.Errorf("no foreign constraint exists on the given column(s)")
	}
	sort.Slice(relationship.Pairs, func(i, j int) bool { return relationship.Pairs[i].Own < relationship.Pairs[j].Own })
	relationship.To = m.byName[target]
	if relationship.To == nil {
		return nil, fmt.Errorf("table %q is not tracked or does not exist", target.Schema+"."+target.Name)
	}
	return relationship, checkPairs(table, relationship)
}

func checkPairs(table *Table, relationship *Relationship) error {
	for _, pair := range relationship.Pairs {
		if table.Column(pair.Own) == nil {
			return fmt.Errorf("column %q does not exist in table %q", pair.Own, table.Name.Name)
		}
		if relationship.To.Column(pair.Remote) == nil {
			return fmt.Errorf("column %q does not exist in table %q", pair.Remote, relationship.To.Name.Name)
		}
	}
	return nil
}

// keyOfOwn finds the foreign key on the table's own columns.
func keyOfOwn(table *Table, columns []string) (metadata.TableName, []Pair) {
	for _, key := range table.ForeignKeys {
		if !sameSet(key.Columns, columns) {
			continue
		}
		var pairs []Pair
		for i, column := range key.Columns {
			pairs = append(pairs, Pair{column, key.TargetColumns[i]})
		}
		return key.Target, pairs
	}
	return metadata.TableName{}, nil
}

// keyOfOther finds the other table's foreign key that points here.
func (m *Model) keyOfOther(table *Table, on metadata.ForeignKeyOn) []Pair {
	other := m.byName[*on.Table]
	if other == nil {
		return nil
	}
	for _, key := range other.ForeignKeys {
		if key.Target != table.Name || !sameSet(key.Columns, on.Columns) {
			continue
		}
		var pairs []Pair
		for i, column := range key.Columns {
			pairs = append(pairs, Pair{key.TargetColumns[i], column})
		}
		return pairs
	}
	return nil
}

func sameSet(a, b []string) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func allRequired(table *Table, pairs []Pair) bool {
	for _, pair := range pairs {
		column := table.Column(pair.Own)
		if column == nil || column.Nullable {
			return false
		}
	}
	return len(pairs) > 0
}
