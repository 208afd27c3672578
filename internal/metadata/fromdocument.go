package metadata

import (
	"errors"
	"fmt"
)

// FromDocument reads the JSON document of a running Hasura: the answer of
// export_metadata in either version, or Metadata.JSON. It is lenient, as the metadata
// may be anybody's and of a later release: keys without a field here are ignored, and
// an entry that cannot be read is left out and named in Unread. Tables and Functions are
// those of the source "default", which must be of a Postgres kind to be read; Sources
// tells of all. The error is for a document that is no metadata of Hasura v2 at all.
func FromDocument(document []byte) (*Metadata, error) {
	plain, err := decodeDocument(document)
	if err != nil {
		return nil, fmt.Errorf("the metadata document is not JSON: %w", err)
	}
	object, _ := plain.(map[string]any)
	if inner, ok := object["metadata"].(map[string]any); ok {
		object = inner
	}
	if _, ok := object["sources"].([]any); !ok {
		return nil, fmt.Errorf("the metadata document has no list \"sources\": it must be the metadata (version 3) that Hasura v2 exports, not version %v", object["version"])
	}
	m := &Metadata{}
	if m.JSON, err = encode(object); err != nil {
		return nil, err
	}
	object, _ = yamlNumbers(object).(map[string]any)
	for i, source := range listAt(object, "sources") {
		m.addSource(fmt.Sprintf("sources[%d]", i), source)
	}
	for i, entry := range listAt(object, "actions") {
		m.addAction(fmt.Sprintf("actions[%d]", i), entry)
	}
	types, _ := object["custom_types"].(map[string]any)
	m.addTypes(types)
	m.InheritedRoles = entries[InheritedRole](m, "inherited_roles", object)
	m.RemoteSchemas = entries[RemoteSchema](m, "remote_schemas", object)
	return m, nil
}

func (m *Metadata) addSource(where string, entry any) {
	source, ok := entry.(map[string]any)
	if !ok {
		m.unread(where, fmt.Errorf("is no object"))
		return
	}
	name, _ := source["name"].(string)
	kind, _ := source["kind"].(string)
	m.Sources = append(m.Sources, Source{Name: name, Kind: kind, Tables: len(listAt(source, "tables"))})
	if name != defaultSource {
		return
	}
	if kind != "postgres" && kind != "pg" && kind != "citus" && kind != "cockroach" {
		m.unread(where, fmt.Errorf("the source %q is of kind %q, and only those of Postgres are read", name, kind))
		return
	}
	m.Tables = entries[Table](m, where+".tables", source)
	m.Functions = entries[Function](m, where+".functions", source)
	for i := range m.Tables {
		m.Tables[i].setDefaults()
		m.Tables[i].inPublic()
	}
	for i := range m.Functions {
		m.Functions[i].Function.inPublic()
	}
}

// addAction reads an action, whose signature a document holds inside its definition.
func (m *Metadata) addAction(where string, entry any) {
	var given actionYAML
	var signed struct {
		Definition struct {
			Type      string     `yaml:"type"`
			Output    string     `yaml:"output_type"`
			Arguments []Argument `yaml:"arguments"`
		} `yaml:"definition"`
	}
	if err := errors.Join(m.decode(entry, &given), m.decode(entry, &signed)); err != nil {
		m.unread(where+nameOf(entry), err)
		return
	}
	signature := signed.Definition
	action := Action{
		Name: given.Name, Query: signature.Type == "query", Output: signature.Output,
		Arguments: signature.Arguments, Kind: "synchronous", TimeoutSec: defaultActionTimeout,
	}
	given.fill(&action)
	m.Actions = append(m.Actions, action)
}

func (m *Metadata) addTypes(types map[string]any) {
	m.CustomTypes = CustomTypes{
		Objects:      entries[CustomType](m, "custom_types.objects", types),
		InputObjects: entries[CustomType](m, "custom_types.input_objects", types),
		Enums:        entries[CustomEnum](m, "custom_types.enums", types),
		Scalars:      entries[CustomScalar](m, "custom_types.scalars", types),
	}
}

// inPublic completes names that leave out their schema, which is then public.
func (t *Table) inPublic() {
	t.Table.inPublic()
	for i := range t.ComputedFields {
		t.ComputedFields[i].Definition.Function.inPublic()
	}
	for _, list := range [][]Relationship{t.ObjectRelationships, t.ArrayRelationships} {
		for _, relationship := range list {
			if key := relationship.Using.ForeignKeyConstraintOn; key != nil && key.Table != nil {
				key.Table.inPublic()
			}
			if manual := relationship.Using.Manual; manual != nil {
				manual.RemoteTable.inPublic()
			}
		}
	}
}

func (n *TableName) inPublic() {
	if n.Schema == "" {
		n.Schema = "public"
	}
}
