// Package introspect answers __schema and __type from a schema, so that clients and
// code generators work against the stand-in as they do against Hasura.
package introspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/request"
)

// Answer returns the JSON of a root field __schema or __type.
func Answer(schema *ast.Schema, field *request.Field) (json.RawMessage, error) {
	var value any
	if field.Name == "__schema" {
		value = schemaNode{schema}
	} else {
		name, _ := field.Args["name"].(string)
		if definition := schema.Types[name]; definition != nil {
			value = typeNode{schema: schema, definition: definition}
		}
	}
	var out bytes.Buffer
	err := write(&out, value, field.Fields)
	return out.Bytes(), err
}

// node is one object of the introspection schema.
type node interface {
	// get returns the value of a field: a node, a []node, or what JSON can hold.
	get(field *request.Field) any
}

func write(out *bytes.Buffer, value any, fields []*request.Field) error {
	switch value := value.(type) {
	case node:
		return writeNode(out, value, fields)
	case []node:
		out.WriteByte('[')
		for i, item := range value {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := writeNode(out, item, fields); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	}
	text, err := json.Marshal(value)
	out.Write(text)
	return err
}

func writeNode(out *bytes.Buffer, n node, fields []*request.Field) error {
	out.WriteByte('{')
	for i, field := range fields {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(out, "%q:", field.Alias)
		var value any = field.Parent
		if field.Name != "__typename" {
			value = n.get(field)
		}
		if err := write(out, value, field.Fields); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

// text is a description: null where there is none.
func text(description string) any {
	if description == "" {
		return nil
	}
	return description
}

type schemaNode struct{ schema *ast.Schema }

func (n schemaNode) get(field *request.Field) any {
	switch field.Name {
	case "types":
		types := []node{}
		for _, name := range slices.Sorted(maps.Keys(n.schema.Types)) {
			types = append(types, typeNode{schema: n.schema, definition: n.schema.Types[name]})
		}
		return types
	case "queryType":
		return n.root(n.schema.Query)
	case "mutationType":
		return n.root(n.schema.Mutation)
	case "directives":
		directives := []node{}
		for _, name := range slices.Sorted(maps.Keys(n.schema.Directives)) {
			directives = append(directives, directiveNode{n.schema, n.schema.Directives[name]})
		}
		return directives
	}
	return nil // subscriptionType and description
}

func (n schemaNode) root(definition *ast.Definition) any {
	if definition == nil {
		return nil
	}
	return typeNode{schema: n.schema, definition: definition}
}

// typeNode is a named type, or a list or non-null around another.
type typeNode struct {
	schema     *ast.Schema
	definition *ast.Definition // nil for a wrapper
	kind       string          // LIST or NON_NULL
	of         *ast.Type
}

func typeOf(schema *ast.Schema, t *ast.Type) node {
	switch {
	case t.NonNull:
		inner := *t
		inner.NonNull = false
		return typeNode{schema: schema, kind: "NON_NULL", of: &inner}
	case t.Elem != nil:
		return typeNode{schema: schema, kind: "LIST", of: t.Elem}
	}
	return typeNode{schema: schema, definition: schema.Types[t.NamedType]}
}

func (n typeNode) get(field *request.Field) any {
	if n.definition == nil {
		switch field.Name {
		case "kind":
			return n.kind
		case "ofType":
			return typeOf(n.schema, n.of)
		}
		return nil
	}
	switch field.Name {
	case "kind":
		return string(n.definition.Kind)
	case "name":
		return n.definition.Name
	case "description":
		return text(n.definition.Description)
	case "fields":
		return n.fields()
	case "inputFields":
		return n.inputFields()
	case "enumValues":
		return n.enumValues()
	case "interfaces":
		if n.definition.Kind == ast.Object {
			return []node{}
		}
	case "isOneOf":
		if n.definition.Kind == ast.InputObject {
			return false
		}
	}
	return nil // possibleTypes, specifiedByURL, ofType
}

func (n typeNode) fields() any {
	if n.definition.Kind != ast.Object {
		return nil
	}
	fields := []node{}
	for _, definition := range n.definition.Fields {
		if len(definition.Name) < 2 || definition.Name[:2] != "__" {
			fields = append(fields, fieldNode{n.schema, definition})
		}
	}
	return fields
}

func (n typeNode) inputFields() any {
	if n.definition.Kind != ast.InputObject {
		return nil
	}
	fields := []node{}
	for _, definition := range n.definition.Fields {
		fields = append(fields, inputNode{n.schema, definition.Name, definition.Description, definition.Type, definition.DefaultValue})
	}
	return fields
}

func (n typeNode) enumValues() any {
	if n.definition.Kind != ast.Enum {
		return nil
	}
	values := []node{}
	for _, definition := range n.definition.EnumValues {
		values = append(values, enumNode{definition})
	}
	return values
}
