package metadata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// field is one key of an object that is written in an order of its own.
type field struct {
	key   string
	value any
}

// lists are a table's relationships and permissions in the order and form in which they
// are written; an empty list has a nil value.
func (t Table) lists() []field {
	return []field{
		{"object_relationships", related(t.ObjectRelationships)},
		{"array_relationships", related(t.ArrayRelationships)},
		{"insert_permissions", written(t.InsertPermissions, func(p Insert) []field {
			return []field{{"check", p.Check.plain()}, {"set", presets(p.Set)}, {"columns", p.Columns.plain()}}
		})},
		{"select_permissions", written(t.SelectPermissions, func(p Select) []field {
			return []field{{"columns", p.Columns.plain()}, {"filter", p.Filter.plain()}, {"allow_aggregations", flag(p.AllowAggregations)},
				{"query_root_fields", rootFields(p.QueryRootFields)}, {"subscription_root_fields", rootFields(p.SubscriptionRootFields)}}
		})},
		{"update_permissions", written(t.UpdatePermissions, func(p Update) []field {
			return []field{{"columns", p.Columns.plain()}, {"filter", p.Filter.plain()}, {"check", p.Check.plain()}, {"set", presets(p.Set)}}
		})},
		{"delete_permissions", written(t.DeletePermissions, func(p Delete) []field {
			return []field{{"filter", p.Filter.plain()}}
		})},
	}
}

func related(relationships []Relationship) any {
	if len(relationships) == 0 {
		return nil
	}
	list := make([]any, len(relationships))
	for i, r := range relationships {
		using := []field{}
		if on := r.Using.ForeignKeyConstraintOn; on != nil {
			using = append(using, field{"foreign_key_constraint_on", on.plain()})
		}
		if manual := r.Using.Manual; manual != nil {
			mapping := map[string]any{}
			for own, theirs := range manual.ColumnMapping {
				mapping[own] = theirs
			}
			remote := []field{{"remote_table", tableFields(manual.RemoteTable)}, {"column_mapping", mapping}}
			if manual.InsertionOrder != "" {
				remote = append(remote, field{"insertion_order", manual.InsertionOrder})
			}
			using = append(using, field{"manual_configuration", remote})
		}
		list[i] = []field{{"name", r.Name}, {"using", using}}
		if r.Comment != "" {
			list[i] = append(list[i].([]field), field{"comment", r.Comment})
		}
	}
	return list
}

// plain is the foreign key as metadata writes it: a column, a list of them, or both with
// the table that has them.
func (f ForeignKeyOn) plain() any {
	columns := Columns{Names: f.Columns}.plain()
	switch {
	case f.Table != nil:
		return []field{{"columns", columns}, {"table", tableFields(*f.Table)}}
	case len(f.Columns) == 1:
		return f.Columns[0]
	}
	return columns
}

func tableFields(t TableName) []field { return []field{{"schema", t.Schema}, {"name", t.Name}} }

func written[T any](permissions []Permission[T], fields func(T) []field) any {
	if len(permissions) == 0 {
		return nil
	}
	list := make([]any, len(permissions))
	for i, p := range permissions {
		kept := slices.DeleteFunc(fields(p.Permission), func(f field) bool { return f.value == nil })
		list[i] = []field{{"role", p.Role}, {"permission", kept}}
	}
	return list
}

func (b BoolExp) plain() any {
	if b == nil {
		return map[string]any{}
	}
	return map[string]any(b)
}

func (c Columns) plain() any {
	if c.All {
		return "*"
	}
	names := []any{}
	for _, name := range c.Names {
		names = append(names, name)
	}
	return names
}

func flag(set bool) any {
	if !set {
		return nil
	}
	return true
}

func presets(set map[string]any) any {
	if len(set) == 0 {
		return nil
	}
	return set
}

// Fragment is a metadata document that holds these tables alone, with their names,
// relationships and permissions, to be merged into another.
func Fragment(tables []Table) (json.RawMessage, error) {
	entries := []any{}
	for _, t := range tables {
		entries = append(entries, t.Entry())
	}
	source := map[string]any{"name": defaultSource, "kind": "postgres", "tables": entries}
	return encode(map[string]any{"version": 3, "sources": []any{source}})
}

// plainFields turns ordered fields into maps.
func plainFields(value any) any {
	switch value := value.(type) {
	case []field:
		object := map[string]any{}
		for _, f := range value {
			object[f.key] = plainFields(f.value)
		}
		return object
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = plainFields(item)
		}
		return list
	}
	return value
}

// WritePermissions returns the file of a table with the table's permissions in the place
// of those it holds, and its relationships where it has any; the rest of the file, comments
// included, stays. An empty file becomes one that tracks the table.
func WritePermissions(file []byte, t Table) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(file, &document); err != nil {
		return nil, fmt.Errorf("the file of %s.%s cannot be read: %w", t.Table.Schema, t.Table.Name, err)
	}
	if document.Kind == 0 {
		document = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{node([]field{{"table", tableFields(t.Table)}})}}
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("the file of %s.%s is no object", t.Table.Schema, t.Table.Name)
	}
	var holds struct {
		Table TableName `yaml:"table"`
	}
	if err := root.Decode(&holds); err != nil || holds.Table != t.Table {
		return nil, fmt.Errorf("the file of %s.%s holds another table, %s.%s: rename one of the files", t.Table.Schema, t.Table.Name, holds.Table.Schema, holds.Table.Name)
	}
	for _, list := range t.lists() {
		permissions := strings.HasSuffix(list.key, "_permissions")
		if !permissions && list.value == nil {
			continue
		}
		if err := lost(root, list.key); permissions && err != nil {
			return nil, err
		}
		setKey(root, list)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return nil, fmt.Errorf("the file of %s.%s cannot be written: %w", t.Table.Schema, t.Table.Name, err)
	}
	return out.Bytes(), encoder.Close()
}

// writable are the keys of a permission that WritePermissions writes.
var writable = []string{"columns", "filter", "check", "set", "allow_aggregations"}

// lost tells what the permissions under a key hold that would not be written again.
func lost(root *yaml.Node, key string) error {
	var permissions []Permission[map[string]yaml.Node]
	if list := child(root, key); list != nil {
		if err := list.Decode(&permissions); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	var faults []error
	for _, p := range permissions {
		for _, name := range sortedKeys(p.Permission) {
			if !slices.Contains(writable, name) {
				faults = append(faults, fmt.Errorf("%s of %s holds %s, which would be lost: take it out first", key, p.Role, name))
			}
		}
	}
	return errors.Join(faults...)
}

// setKey sets, adds or takes away one key. A new one goes before the event triggers,
// where Hasura's CLI has it.
func setKey(root *yaml.Node, list field) {
	at := len(root.Content)
	for i := 0; i < len(root.Content); i += 2 {
		switch root.Content[i].Value {
		case list.key:
			root.Content = slices.Delete(root.Content, i, i+2)
			at = i
		case "event_triggers":
			at = min(at, i)
		}
	}
	if list.value != nil {
		root.Content = slices.Insert(root.Content, at, node(list.key), node(list.value))
	}
}

// node is a value as YAML: objects of scalars alone on one line.
func node(value any) *yaml.Node {
	switch value := value.(type) {
	case []field:
		object := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, f := range value {
			object.Content = append(object.Content, node(f.key), node(f.value))
		}
		return object
	case map[string]any:
		var fields []field
		for _, key := range sortedKeys(value) {
			fields = append(fields, field{key, value[key]})
		}
		object := node(fields)
		if !slices.ContainsFunc(object.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode }) {
			object.Style = yaml.FlowStyle
		}
		return object
	case []any:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range value {
			list.Content = append(list.Content, node(item))
		}
		return list
	}
	scalar := &yaml.Node{}
	if err := scalar.Encode(value); err != nil {
		scalar.SetString(fmt.Sprint(value))
	}
	return scalar
}

func sortedKeys[V any](object map[string]V) []string { return slices.Sorted(maps.Keys(object)) }
