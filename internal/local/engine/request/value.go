package request

import (
	"encoding/json"
	"sort"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// variableText is a string out of the variables' JSON: unlike one written in the
// document it may name an enum value.
type variableText string

// variable is a variable of the chosen operation with its value, absent{} where it has
// none.
type variable struct {
	definition *ast.VariableDefinition
	value      any
}

// coerceVariables fits the given variables to their declarations.
func coerceVariables(schema *ast.Schema, operation *ast.OperationDefinition, given map[string]any) (map[string]variable, error) {
	variables := map[string]variable{}
	for _, definition := range operation.VariableDefinitions {
		name := definition.Variable
		var value any = absent{}
		if raw, ok := given[name]; ok {
			value = markText(raw)
		}
		path := "$.variableValues." + name
		_, missing := value.(absent)
		if missing && definition.DefaultValue == nil && definition.Type.NonNull {
			return nil, qerr.New(qerr.ValidationFailed, "expecting a value for non-nullable variable: \"%s\"", name).At("$.variableValues")
		}
		if value == nil && definition.Type.NonNull {
			return nil, qerr.New(qerr.ValidationFailed, "null value found for non-nullable type: \"%s\"", definition.Type).At(path)
		}
		values := map[string]any{}
		if err := fill(schema, values, slot{name, definition.Type, definition.DefaultValue}, value, path); err != nil {
			return nil, err
		}
		coerced, ok := values[name]
		if !ok {
			coerced = absent{}
		}
		variables[name] = variable{definition, markText(coerced)}
	}
	return variables, unexpectedVariables(variables, given)
}

func unexpectedVariables(variables map[string]variable, given map[string]any) error {
	var extra []string
	for name := range given {
		if _, declared := variables[name]; !declared {
			extra = append(extra, "'"+name+"'")
		}
	}
	if len(extra) == 0 {
		return nil
	}
	sort.Strings(extra)
	return qerr.New(qerr.ValidationFailed, "unexpected variables: [%s]", strings.Join(extra, ", ")).At("$.variableValues")
}

// literal turns a value of the document into plain form, its variables put in place.
// The result is absent{} for a variable that was not given.
func (r *resolver) literal(value *ast.Value, s slot, path string) (any, error) {
	switch value.Kind {
	case ast.Variable:
		return r.variable(value.Raw, s, path)
	case ast.ListValue:
		return r.literalList(value, s, path)
	case ast.ObjectValue:
		return r.literalObject(value, s, path)
	}
	return constant(value), nil
}

func (r *resolver) literalList(value *ast.Value, s slot, path string) (any, error) {
	list := []any{}
	item := slot{name: s.name}
	if s.typ != nil {
		item.typ = s.typ.Elem
	}
	for _, child := range value.Children {
		element, err := r.literal(child.Value, item, path)
		if err != nil {
			return nil, err
		}
		if _, missing := element.(absent); missing {
			element = nil
		}
		list = append(list, element)
	}
	return list, nil
}

func (r *resolver) literalObject(value *ast.Value, s slot, path string) (any, error) {
	object := map[string]any{}
	var fields ast.FieldList
	if s.typ != nil {
		if definition := r.schema.Types[s.typ.Name()]; definition != nil {
			fields = definition.Fields
		}
	}
	for _, child := range value.Children {
		inner := slot{name: child.Name}
		if field := fields.ForName(child.Name); field != nil {
			inner.typ, inner.fallback = field.Type, field.DefaultValue
		}
		element, err := r.literal(child.Value, inner, path+"."+child.Name)
		if err != nil {
			return nil, err
		}
		if _, missing := element.(absent); !missing {
			object[child.Name] = element
		}
	}
	return object, nil
}

// variable checks that the declared type fits the place; a place inside a custom
// scalar has no type and takes any.
func (r *resolver) variable(name string, s slot, path string) (any, error) {
	found, ok := r.variables[name]
	if !ok {
		return nil, qerr.New(qerr.ValidationFailed, "unbound variable \"%s\"", name).At(path)
	}
	declared := found.definition.Type
	if s.typ != nil && !fits(s.typ, declared, s.fallback != nil || found.definition.DefaultValue != nil) {
		return nil, qerr.New(qerr.ValidationFailed, "variable '%s' is declared as '%s', but used where '%s' is expected", name, declared, s.typ).At(path)
	}
	return found.value, nil
}

// fits is the rule of variable usage: the place may be wider than the variable, and a
// default on either side makes up for a nullable variable.
func fits(place, declared *ast.Type, hasDefault bool) bool {
	if place.NonNull && !declared.NonNull && !hasDefault {
		return false
	}
	switch {
	case place.Elem != nil && declared.Elem != nil:
		return fits(place.Elem, declared.Elem, false)
	case place.Elem != nil || declared.Elem != nil:
		return false
	}
	return place.NamedType == declared.NamedType
}

// constant is a literal without variables in plain form.
func constant(value *ast.Value) any {
	switch value.Kind {
	case ast.IntValue, ast.FloatValue:
		return json.Number(value.Raw)
	case ast.BooleanValue:
		return value.Raw == "true"
	case ast.EnumValue:
		return enumName(value.Raw)
	case ast.StringValue, ast.BlockValue:
		return value.Raw
	case ast.ListValue:
		list := []any{}
		for _, child := range value.Children {
			list = append(list, constant(child.Value))
		}
		return list
	case ast.ObjectValue:
		object := map[string]any{}
		for _, child := range value.Children {
			object[child.Name] = constant(child.Value)
		}
		return object
	}
	return nil
}

// markText marks every string of a variable as such.
func markText(value any) any {
	return mapText(value, func(text string) any { return variableText(text) })
}

// plain removes the marks: the value of a custom scalar, as the client wrote it.
func plain(value any) any {
	return mapText(value, func(text string) any { return text })
}

func mapText(value any, change func(string) any) any {
	switch value := value.(type) {
	case string:
		return change(value)
	case variableText:
		return change(string(value))
	case enumName:
		return change(string(value))
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = mapText(item, change)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(value))
		for name, item := range value {
			object[name] = mapText(item, change)
		}
		return object
	}
	return value
}
