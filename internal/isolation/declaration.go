package isolation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Union is the list with the tables of another added; of a table both have, the other's
// declaration stands.
func (l List) Union(other List) List {
	joined := slices.Clone(l)
	for _, t := range other {
		at := slices.IndexFunc(joined, func(known Table) bool { return known.Name == t.Name })
		if at < 0 {
			joined = append(joined, t)
			continue
		}
		joined[at] = t
	}
	return joined
}

// declare returns the list's file with the tables added that it does not have; what it
// has, comments included, stays as it is. An empty file becomes a list.
func declare(file []byte, tables List) ([]byte, error) {
	known, err := Parse(file)
	if err != nil {
		return nil, err
	}
	var added List
	for _, t := range tables {
		if _, declared := known.Find(t.Name); !declared {
			added = append(added, t)
		}
	}
	if len(added) == 0 {
		return file, nil
	}
	entries, err := added.entries()
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		file = append(bytes.TrimSuffix(bytes.TrimRight(file, "\n"), []byte("tables: []")), "tables:\n"...)
	}
	grown := append(bytes.TrimRight(file, "\n"), '\n')
	grown = append(grown, entries...)
	if _, err := Parse(grown); err != nil {
		return nil, fmt.Errorf("the list would not be readable with %s at its end; add it by hand: %w", added[0].Name, err)
	}
	return grown, nil
}

// entries writes the tables as items of the list, indented below its key.
func (l List) entries() ([]byte, error) {
	var root yaml.Node
	if err := root.Encode(l); err != nil {
		return nil, fmt.Errorf("the declaration cannot be written: %w", err)
	}
	onOneLine(&root)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&root); err != nil {
		return nil, fmt.Errorf("the declaration cannot be written: %w", err)
	}
	text := "  " + strings.ReplaceAll(strings.TrimRight(out.String(), "\n"), "\n", "\n  ") + "\n"
	return []byte(text), encoder.Close()
}

// onOneLine writes lists of words on one line, as a person would.
func onOneLine(node *yaml.Node) {
	words := len(node.Content) > 0
	for _, child := range node.Content {
		onOneLine(child)
		words = words && child.Kind == yaml.ScalarNode
	}
	if words && node.Kind == yaml.SequenceNode {
		node.Style = yaml.FlowStyle
	}
}
