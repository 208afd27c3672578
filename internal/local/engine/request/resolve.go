package request

import (
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

type resolver struct {
	schema    *ast.Schema
	variables map[string]variable
}

// collected is one response key: the first field of that key, and the selection sets
// of all of them.
type collected struct {
	field *ast.Field
	sets  []ast.SelectionSet
}

// selections resolves the selection sets on parent as one.
func (r *resolver) selections(parent *ast.Definition, sets []ast.SelectionSet, path string) ([]*Field, error) {
	path += ".selectionSet"
	var order []string
	byAlias := map[string]*collected{}
	for _, set := range sets {
		if err := r.collect(set, path, func(field *ast.Field) {
			entry := byAlias[field.Alias]
			if entry == nil {
				entry = &collected{field: field}
				byAlias[field.Alias] = entry
				order = append(order, field.Alias)
			}
			if len(field.SelectionSet) > 0 {
				entry.sets = append(entry.sets, field.SelectionSet)
			}
		}); err != nil {
			return nil, err
		}
	}
	fields := make([]*Field, 0, len(order))
	for _, alias := range order {
		field, err := r.field(parent, byAlias[alias], path)
		if err != nil {
			return nil, err
		}
		fields = append(fields, field)
	}
	return fields, nil
}

// collect calls add for each field of the set that its directives let through. There
// are no interfaces and no unions, so a fragment that validated applies.
func (r *resolver) collect(set ast.SelectionSet, path string, add func(*ast.Field)) error {
	for _, selection := range set {
		var inner ast.SelectionSet
		var directives ast.DirectiveList
		switch selection := selection.(type) {
		case *ast.Field:
			directives = selection.Directives
		case *ast.InlineFragment:
			directives, inner = selection.Directives, selection.SelectionSet
		case *ast.FragmentSpread:
			directives, inner = selection.Directives, selection.Definition.SelectionSet
		}
		included, err := r.included(directives, path)
		if err != nil {
			return err
		}
		if !included {
			continue
		}
		if field, ok := selection.(*ast.Field); ok {
			add(field)
		} else if err := r.collect(inner, path, add); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) included(directives ast.DirectiveList, path string) (bool, error) {
	for _, directive := range directives {
		if directive.Name != "include" && directive.Name != "skip" {
			continue
		}
		definition := r.schema.Directives[directive.Name]
		args, err := r.arguments(directive.Name, definition.Arguments, directive.Arguments, path)
		if err != nil {
			return false, err
		}
		if args["if"] == (directive.Name == "skip") {
			return false, nil
		}
	}
	return true, nil
}

func (r *resolver) field(parent *ast.Definition, entry *collected, path string) (*Field, error) {
	source := entry.field
	path += "." + source.Name
	field := &Field{Alias: source.Alias, Name: source.Name, Parent: parent.Name, Path: path}
	definition := r.definition(parent, source.Name)
	if definition == nil {
		return nil, qerr.New(qerr.ValidationFailed, "field '%s' not found in type: '%s'", source.Name, parent.Name).At(path)
	}
	field.Type = definition.Type
	var err error
	if field.Args, err = r.arguments(source.Name, definition.Arguments, source.Arguments, path); err != nil {
		return nil, err
	}
	target := r.schema.Types[definition.Type.Name()]
	switch {
	case target.IsLeafType() && len(entry.sets) > 0:
		return nil, qerr.New(qerr.ValidationFailed, "unexpected subselection set for non-object field").At(path)
	case target.IsLeafType():
		return field, nil
	case len(entry.sets) == 0:
		return nil, qerr.New(qerr.ValidationFailed, "missing selection set for '%s'", target.Name).At(path + ".selectionSet")
	}
	field.Fields, err = r.selections(target, entry.sets, path)
	return field, err
}

// definition finds a field, the ones that every type or only the root has included.
func (r *resolver) definition(parent *ast.Definition, name string) *ast.FieldDefinition {
	switch {
	case name == "__typename":
		return &ast.FieldDefinition{Name: name, Type: ast.NonNullNamedType("String", nil)}
	case name == "__schema" && parent == r.schema.Query:
		return &ast.FieldDefinition{Name: name, Type: ast.NonNullNamedType("__Schema", nil)}
	case name == "__type" && parent == r.schema.Query:
		return &ast.FieldDefinition{Name: name, Type: ast.NamedType("__Type", nil), Arguments: ast.ArgumentDefinitionList{
			{Name: "name", Type: ast.NonNullNamedType("String", nil)},
		}}
	}
	return parent.Fields.ForName(name)
}

// arguments coerces what is given for the declared arguments.
func (r *resolver) arguments(field string, declared ast.ArgumentDefinitionList, given ast.ArgumentList, path string) (map[string]any, error) {
	for _, argument := range given {
		if declared.ForName(argument.Name) == nil {
			return nil, qerr.New(qerr.ValidationFailed, "'%s' has no argument named '%s'", field, argument.Name).At(path)
		}
	}
	args := map[string]any{}
	for _, argument := range declared {
		at := path + ".args." + argument.Name
		slot := slot{argument.Name, argument.Type, argument.DefaultValue}
		var value any = absent{}
		if source := given.ForName(argument.Name); source != nil {
			var err error
			if value, err = r.literal(source.Value, slot, at); err != nil {
				return nil, err
			}
		}
		if err := fill(r.schema, args, slot, value, at); err != nil {
			return nil, err
		}
	}
	return args, nil
}
