package isolation

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Grant gives a database role one more privilege on a table that the list of a Hasura
// project directory declares, and returns the list's file; the rest of it, comments
// included, stays. The file is without text where the role has the privilege already.
func Grant(dir string, name Name, role, privilege string) (File, error) {
	return edit(dir, listFile, func(file []byte) ([]byte, error) {
		known, err := Parse(file)
		if err != nil {
			return nil, err
		}
		t, declared := known.Find(name)
		switch {
		case !declared:
			return nil, fmt.Errorf("%s is not declared", name)
		case slices.Contains(t.Grants[role], privilege):
			return nil, nil
		}
		t.Grants = maps.Clone(t.Grants)
		t.Grants[role] = append(slices.Clone(t.Grants[role]), privilege)
		text := addItem(file, grantsOf(file, name, role), privilege)
		if list, err := Parse(text); err != nil || !slices.EqualFunc(list, known.Union(List{t}), sameDeclaration) {
			return nil, fmt.Errorf("the grants of %s on %s cannot be told apart from the rest: add %s to them by hand", role, name, privilege)
		}
		return text, nil
	})
}

func sameDeclaration(a, b Table) bool { return canonicalDeclaration(a) == canonicalDeclaration(b) }

// grantsOf finds the privileges of a role in the file of the list; nil where it does not.
func grantsOf(file []byte, name Name, role string) *yaml.Node {
	var document struct {
		Tables []struct {
			Table  Name                 `yaml:"table"`
			Grants map[string]yaml.Node `yaml:"grants"`
		} `yaml:"tables"`
	}
	if yaml.Unmarshal(file, &document) != nil {
		return nil
	}
	for _, t := range document.Tables {
		if node, found := t.Grants[role]; found && t.Table == name {
			return &node
		}
	}
	return nil
}

// addItem writes a word behind the last one of a list, in the way the list is written.
func addItem(file []byte, list *yaml.Node, word string) []byte {
	if list == nil || len(list.Content) == 0 {
		return file
	}
	last := list.Content[len(list.Content)-1]
	lines := bytes.SplitAfter(file, []byte("\n"))
	line := string(lines[last.Line-1])
	begin := last.Column - 1
	end := begin + len(last.Value)
	if last.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		end += len(`""`)
	}
	switch {
	case end > len(line):
		return file
	case list.Style&yaml.FlowStyle != 0:
		line = line[:end] + ", " + word + line[end:]
	default:
		line = strings.TrimRight(line, "\n") + "\n" + line[:begin] + word + "\n"
	}
	lines[last.Line-1] = []byte(line)
	return bytes.Join(lines, nil)
}
