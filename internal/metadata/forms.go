package metadata

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// UnmarshalYAML accepts "*" or a list of column names.
func (c *Columns) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Value == "*" {
		*c = Columns{All: true}
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf(`line %d: columns must be "*" or a list of column names`, node.Line)
	}
	*c = Columns{}
	return node.Decode(&c.Names)
}

// UnmarshalYAML accepts {schema, name}, or a bare name, which is of the schema public.
func (n *TableName) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str" {
		*n = TableName{Schema: "public", Name: node.Value}
		return nil
	}
	for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
		if key := node.Content[i].Value; key != "schema" && key != "name" {
			return fmt.Errorf("line %d: a table or function has a schema and a name, not %q", node.Line, key)
		}
	}
	type plain TableName
	return node.Decode((*plain)(n))
}

// UnmarshalYAML accepts a name, or {name, comment}.
func (c *CustomName) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode((*string)(c))
	}
	var form struct {
		Name    string `yaml:"name"`
		Comment string `yaml:"comment"`
	}
	if err := node.Decode(&form); err != nil {
		return err
	}
	*c = CustomName(form.Name)
	return nil
}

// Has reports whether the column is opened.
func (c Columns) Has(column string) bool {
	if c.All {
		return true
	}
	for _, name := range c.Names {
		if name == column {
			return true
		}
	}
	return false
}

// UnmarshalYAML accepts a column, a list of columns, or {table, column} and
// {table, columns} for a key of the other table.
func (f *ForeignKeyOn) UnmarshalYAML(node *yaml.Node) error {
	switch node.Kind {
	case yaml.ScalarNode:
		*f = ForeignKeyOn{Columns: []string{node.Value}}
		return nil
	case yaml.SequenceNode:
		*f = ForeignKeyOn{}
		return node.Decode(&f.Columns)
	case yaml.MappingNode:
		return f.unmarshalMapping(node)
	}
	return fmt.Errorf("line %d: foreign_key_constraint_on must be a column, a list of columns, or {table, column}", node.Line)
}

func (f *ForeignKeyOn) unmarshalMapping(node *yaml.Node) error {
	var form struct {
		Table   *TableName `yaml:"table"`
		Column  string     `yaml:"column"`
		Columns []string   `yaml:"columns"`
	}
	if err := node.Decode(&form); err != nil {
		return err
	}
	if form.Column != "" {
		form.Columns = append(form.Columns, form.Column)
	}
	if form.Table == nil || len(form.Columns) == 0 || len(node.Content) != 4 {
		return fmt.Errorf("line %d: foreign_key_constraint_on needs table and exactly one of column and columns", node.Line)
	}
	*f = ForeignKeyOn{Table: form.Table, Columns: form.Columns}
	return nil
}

// UnmarshalYAML keeps nested objects as plain map[string]any, so that a reader of the
// expression meets one map type at every depth.
func (b *BoolExp) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a boolean expression must be an object", node.Line)
	}
	plain := map[string]any{}
	if err := node.Decode(&plain); err != nil {
		return err
	}
	*b = plain
	return nil
}
