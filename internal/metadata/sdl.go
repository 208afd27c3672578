package metadata

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

const sdlFile = "actions.graphql"

// readSDL parses actions.graphql into actions (without handlers) and custom types, each in
// the order in which the file names them.
func readSDL(fsys fs.FS) ([]Action, CustomTypes, error) {
	var types CustomTypes
	text, err := fs.ReadFile(fsys, sdlFile)
	if err != nil {
		return nil, types, fmt.Errorf("%s: %w", sdlFile, err)
	}
	doc, err := parser.ParseSchema(&ast.Source{Name: sdlFile, Input: string(text)})
	if err != nil {
		return nil, types, err
	}
	definitions := append(append([]*ast.Definition{}, doc.Definitions...), doc.Extensions...)
	sort.SliceStable(definitions, func(i, j int) bool {
		return definitions[i].Position.Start < definitions[j].Position.Start
	})
	extensions := map[*ast.Definition]bool{}
	for _, extension := range doc.Extensions {
		extensions[extension] = true
	}
	var actions []Action
	var faults []error
	if len(doc.Schema)+len(doc.SchemaExtension)+len(doc.Directives) > 0 {
		faults = append(faults, fmt.Errorf("%s: schema and directive definitions do not belong here", sdlFile))
	}
	for _, definition := range definitions {
		if definition.Kind == ast.Object && (definition.Name == "Query" || definition.Name == "Mutation") {
			actions = append(actions, actionsOf(definition)...)
			continue
		}
		faults = append(faults, types.add(definition, extensions[definition]))
	}
	return actions, types, errors.Join(append(faults, duplicateNames(actions, types))...)
}

func actionsOf(definition *ast.Definition) []Action {
	var actions []Action
	for _, field := range definition.Fields {
		action := Action{
			Name: field.Name, Query: definition.Name == "Query",
			Comment: field.Description, Output: field.Type.String(),
		}
		for _, argument := range field.Arguments {
			action.Arguments = append(action.Arguments, Argument{argument.Name, argument.Type.String(), argument.Description})
		}
		actions = append(actions, action)
	}
	return actions
}

func (t *CustomTypes) add(definition *ast.Definition, extension bool) error {
	if extension {
		return fmt.Errorf("%s:%d: only Query and Mutation can be extended, not %s", sdlFile, definition.Position.Line, definition.Name)
	}
	switch definition.Kind {
	case ast.Object:
		t.Objects = append(t.Objects, customType(definition))
	case ast.InputObject:
		t.InputObjects = append(t.InputObjects, customType(definition))
	case ast.Enum:
		enum := CustomEnum{Name: definition.Name, Description: definition.Description}
		for _, value := range definition.EnumValues {
			enum.Values = append(enum.Values, EnumValue{Value: value.Name, Description: value.Description})
		}
		t.Enums = append(t.Enums, enum)
	case ast.Scalar:
		t.Scalars = append(t.Scalars, CustomScalar{Name: definition.Name, Description: definition.Description})
	default:
		kind := strings.ToLower(string(definition.Kind))
		return fmt.Errorf("%s:%d: Hasura's custom types know no %s (%s)", sdlFile, definition.Position.Line, kind, definition.Name)
	}
	return nil
}

func customType(definition *ast.Definition) CustomType {
	custom := CustomType{Name: definition.Name, Description: definition.Description}
	for _, field := range definition.Fields {
		custom.Fields = append(custom.Fields, Argument{field.Name, field.Type.String(), field.Description})
	}
	return custom
}

func duplicateNames(actions []Action, types CustomTypes) error {
	var faults []error
	seen := map[string]bool{}
	note := func(what, name string) {
		if seen[what+name] {
			faults = append(faults, fmt.Errorf("%s: %s %s is defined twice", sdlFile, what, name))
		}
		seen[what+name] = true
	}
	for _, action := range actions {
		note("action", action.Name)
	}
	for _, name := range types.names() {
		note("type", name)
	}
	return errors.Join(faults...)
}

func (t *CustomTypes) names() []string {
	var names []string
	for _, object := range t.Objects {
		names = append(names, object.Name)
	}
	for _, input := range t.InputObjects {
		names = append(names, input.Name)
	}
	for _, enum := range t.Enums {
		names = append(names, enum.Name)
	}
	for _, scalar := range t.Scalars {
		names = append(names, scalar.Name)
	}
	return names
}
