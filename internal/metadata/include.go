package metadata

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxIncludeDepth bounds how deep one file may include another; only a cycle gets there.
const maxIncludeDepth = 16

// brokenTag marks the place of an include that could not be read.
const brokenTag = "!broken"

// reader parses YAML files and remembers which file each included node came from,
// so that a fault found later can name the file a person has to open.
type reader struct {
	fsys   fs.FS
	origin map[*yaml.Node]string
}

func newReader(fsys fs.FS) *reader {
	return &reader{fsys: fsys, origin: map[*yaml.Node]string{}}
}

// read returns the file's root node with every include replaced, or nil where the
// file is empty.
func (r *reader) read(file string) (*yaml.Node, error) {
	return r.readAt(file, 0)
}

// readOptional is read for a file that need not exist.
func (r *reader) readOptional(file string) (*yaml.Node, error) {
	node, err := r.read(file)
	if errors.Is(err, fs.ErrNotExist) && !r.exists(file) {
		return nil, nil
	}
	return node, err
}

func (r *reader) exists(file string) bool {
	_, err := fs.Stat(r.fsys, file)
	return err == nil
}

func (r *reader) readAt(file string, depth int) (*yaml.Node, error) {
	if depth > maxIncludeDepth {
		return nil, fmt.Errorf("%s: included more than %d deep; the includes form a circle", file, maxIncludeDepth)
	}
	text, err := fs.ReadFile(r.fsys, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	r.origin[root] = file
	return root, r.resolve(root, file, depth)
}

// resolve replaces the includes below node in place. Each broken include is a fault
// of its own, so that one missing file does not hide the next.
func (r *reader) resolve(node *yaml.Node, file string, depth int) error {
	target, ok := includeTarget(node)
	if ok {
		return r.include(node, path.Join(path.Dir(file), target), depth)
	}
	var faults []error
	for _, child := range node.Content {
		faults = append(faults, r.resolve(child, file, depth))
	}
	return errors.Join(faults...)
}

func (r *reader) include(node *yaml.Node, file string, depth int) error {
	if !strings.HasSuffix(file, ".yaml") {
		text, err := fs.ReadFile(r.fsys, file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		*node = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: string(text)}
		return nil
	}
	included, err := r.readAt(file, depth+1)
	switch {
	case err != nil && included == nil:
		included = &yaml.Node{Kind: yaml.ScalarNode, Tag: brokenTag}
	case included == nil:
		included = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	*node = *included
	r.origin[node] = file
	return err
}

// includeTarget recognises both of Hasura's forms: the tag `!include f.yaml` and the
// quoted string "!include f.yaml".
func includeTarget(node *yaml.Node) (string, bool) {
	if node.Kind != yaml.ScalarNode {
		return "", false
	}
	if node.Tag == "!include" {
		return node.Value, true
	}
	_, target, ok := strings.Cut(node.Value, "!include ")
	return strings.Trim(target, `"`), ok && node.Tag == "!!str"
}
