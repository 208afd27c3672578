package introspect

import (
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/request"
)

type fieldNode struct {
	schema     *ast.Schema
	definition *ast.FieldDefinition
}

func (n fieldNode) get(field *request.Field) any {
	switch field.Name {
	case "name":
		return n.definition.Name
	case "description":
		return text(n.definition.Description)
	case "args":
		return arguments(n.schema, n.definition.Arguments)
	case "type":
		return typeOf(n.schema, n.definition.Type)
	case "isDeprecated":
		return false
	}
	return nil // deprecationReason
}

func arguments(schema *ast.Schema, definitions ast.ArgumentDefinitionList) []node {
	nodes := []node{}
	for _, definition := range definitions {
		nodes = append(nodes, inputNode{schema, definition.Name, definition.Description, definition.Type, definition.DefaultValue})
	}
	return nodes
}

// inputNode is an argument or a field of an input object.
type inputNode struct {
	schema      *ast.Schema
	name        string
	description string
	typ         *ast.Type
	fallback    *ast.Value
}

func (n inputNode) get(field *request.Field) any {
	switch field.Name {
	case "name":
		return n.name
	case "description":
		return text(n.description)
	case "type":
		return typeOf(n.schema, n.typ)
	case "defaultValue":
		if n.fallback != nil {
			return n.fallback.String()
		}
	case "isDeprecated":
		return false
	}
	return nil // deprecationReason
}

type enumNode struct{ definition *ast.EnumValueDefinition }

func (n enumNode) get(field *request.Field) any {
	switch field.Name {
	case "name":
		return n.definition.Name
	case "description":
		return text(n.definition.Description)
	case "isDeprecated":
		return false
	}
	return nil // deprecationReason
}

type directiveNode struct {
	schema     *ast.Schema
	definition *ast.DirectiveDefinition
}

func (n directiveNode) get(field *request.Field) any {
	switch field.Name {
	case "name":
		return n.definition.Name
	case "description":
		return text(n.definition.Description)
	case "locations":
		return n.definition.Locations
	case "args":
		return arguments(n.schema, n.definition.Arguments)
	case "isRepeatable":
		return n.definition.IsRepeatable
	}
	return nil
}
