package metadata

import (
	"errors"
	"fmt"
	"io/fs"

	"go.yaml.in/yaml/v3"
)

// Load reads the metadata directory at the root of fsys as Hasura's CLI does: includes
// resolved, actions.graphql joined with actions.yaml. Keys that this package has no
// field for are faults, so that a typo cannot silently open or close anything. The
// error joins every fault found, each naming its file.
func Load(fsys fs.FS) (*Metadata, error) {
	r := newReader(fsys)
	loaded := &Metadata{}
	document, documentErr := readPassedOn(r)
	sources, sourcesErr := loaded.readSources(r)
	sdl, types, sdlErr := readSDL(fsys)
	file, plain, yamlErr := readActionsYAML(r)
	if err := errors.Join(documentErr, sourcesErr, sdlErr, yamlErr, loaded.readRoles(r), loaded.readRemoteSchemas(r)); err != nil {
		return nil, err
	}
	document["sources"] = sources
	if len(sdl) > 0 {
		document["actions"] = actionsDocument(sdl, plain)
	}
	if len(types.names()) > 0 {
		document["custom_types"] = typesDocument(types, plain)
	}
	if err := file.join(sdl, &types); err != nil {
		return nil, err
	}
	text, err := encode(document)
	if err != nil {
		return nil, err
	}
	loaded.Actions, loaded.CustomTypes, loaded.JSON = sdl, types, text
	return loaded, nil
}

// readSources adds the tables and functions of the source named "default", and returns
// every source in plain form.
func (m *Metadata) readSources(r *reader) (any, error) {
	root, err := r.read(databasesFile)
	if root == nil {
		return []any{}, err
	}
	faults := []error{err}
	plain, err := plainOf(root)
	if err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", databasesFile, err))
	}
	for _, source := range root.Content {
		m.Sources = append(m.Sources, sourceOf(source))
		if m.Sources[len(m.Sources)-1].Name != defaultSource {
			continue
		}
		tables, tablesErr := readList(r, child(source, "tables"), readTable)
		functions, functionsErr := readList(r, child(source, "functions"), readFunction)
		m.Tables, m.Functions = append(m.Tables, tables...), append(m.Functions, functions...)
		faults = append(faults, tablesErr, functionsErr)
	}
	return plain, errors.Join(append(faults, duplicateTables(m.Tables), duplicateFunctions(m.Functions))...)
}

func sourceOf(node *yaml.Node) Source {
	source := Source{}
	for key, into := range map[string]*string{"name": &source.Name, "kind": &source.Kind} {
		if value := child(node, key); value != nil {
			*into = value.Value
		}
	}
	if tables := child(node, "tables"); tables != nil {
		source.Tables = len(tables.Content)
	}
	return source
}

// readList reads each entry of a list that need not be there. A broken include was
// reported where it was met.
func readList[T any](r *reader, list *yaml.Node, read func(r *reader, node *yaml.Node, file string) (T, error)) ([]T, error) {
	if list == nil {
		return nil, nil
	}
	var entries []T
	var faults []error
	for _, node := range list.Content {
		if node.Tag == brokenTag {
			continue
		}
		entry, err := read(r, node, r.fileOf(list, node))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		entries = append(entries, entry)
	}
	return entries, errors.Join(faults...)
}

// fileOf returns the file of the innermost of the nodes that has one.
func (r *reader) fileOf(nodes ...*yaml.Node) string {
	file := databasesFile
	for _, node := range nodes {
		if own, ok := r.origin[node]; ok {
			file = own
		}
	}
	return file
}

func readTable(r *reader, node *yaml.Node, file string) (Table, error) {
	var table Table
	if err := r.strict(node, file, "table", &table); err != nil {
		return table, err
	}
	table.setDefaults()
	return table, checkTable(file, table)
}

// setDefaults puts in what Hasura takes where metadata says nothing.
func (t *Table) setDefaults() {
	for i := range t.EventTriggers {
		if t.EventTriggers[i].RetryConf.TimeoutSec == 0 {
			t.EventTriggers[i].RetryConf.TimeoutSec = defaultEventTimeout
		}
	}
}

func readFunction(r *reader, node *yaml.Node, file string) (Function, error) {
	var function Function
	if err := r.strict(node, file, "function", &function); err != nil {
		return function, err
	}
	return function, checkFunction(file, function)
}

// child returns the value of a mapping's key, or nil.
func child(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
