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
	document, documentErr := readPassedOn(r)
	tables, sources, tablesErr := readSources(r)
	sdl, types, sdlErr := readSDL(fsys)
	file, plain, yamlErr := readActionsYAML(r)
	if err := errors.Join(documentErr, tablesErr, sdlErr, yamlErr); err != nil {
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
	return &Metadata{Tables: tables, Actions: sdl, CustomTypes: types, JSON: text}, nil
}

// readSources returns the tables of the source named "default", and every source in
// plain form.
func readSources(r *reader) ([]Table, any, error) {
	root, err := r.read(databasesFile)
	if root == nil {
		return nil, []any{}, err
	}
	faults := []error{err}
	plain, err := plainOf(root)
	if err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", databasesFile, err))
	}
	var tables []Table
	for _, source := range root.Content {
		if name := child(source, "name"); name == nil || name.Value != "default" {
			continue
		}
		list := child(source, "tables")
		if list == nil {
			continue
		}
		for _, node := range list.Content {
			if node.Tag == brokenTag {
				continue // reported above
			}
			table, err := readTable(r, node, list)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			tables = append(tables, table)
		}
	}
	return tables, plain, errors.Join(append(faults, duplicateTables(tables))...)
}

func readTable(r *reader, node, list *yaml.Node) (Table, error) {
	file := databasesFile
	for _, origin := range []*yaml.Node{list, node} {
		if own, ok := r.origin[origin]; ok {
			file = own
		}
	}
	var table Table
	if err := r.strict(node, file, "table", &table); err != nil {
		return table, err
	}
	for i := range table.EventTriggers {
		if table.EventTriggers[i].RetryConf.TimeoutSec == 0 {
			table.EventTriggers[i].RetryConf.TimeoutSec = defaultEventTimeout
		}
	}
	return table, checkTable(file, table)
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
