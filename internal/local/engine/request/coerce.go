package request

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// slot is a place for a value: an argument or a field of an input object.
type slot struct {
	name     string
	typ      *ast.Type
	fallback *ast.Value
}

// absent stands for a value that was not given, as opposed to null.
type absent struct{}

// enumName is a bare word of the document: an enum value and never a string.
type enumName string

// fill coerces the value of one slot into values, and leaves an absent one out.
func fill(schema *ast.Schema, values map[string]any, s slot, value any, path string) error {
	if _, missing := value.(absent); missing {
		switch {
		case s.fallback != nil:
			value = constant(s.fallback)
		case s.typ.NonNull:
			return qerr.New(qerr.ValidationFailed, "missing required field '%s'", s.name).At(path)
		default:
			return nil
		}
	}
	coerced, err := coerce(schema, s.typ, value, path)
	if err != nil {
		return err
	}
	values[s.name] = coerced
	return nil
}

// coerce fits a value to a type, by GraphQL's rules for input.
func coerce(schema *ast.Schema, t *ast.Type, value any, path string) (any, error) {
	if value == nil {
		if t.NonNull {
			return nil, qerr.New(qerr.ValidationFailed, "unexpected null value for type '%s'", t.Name()).At(path)
		}
		return nil, nil
	}
	if t.Elem != nil {
		return coerceList(schema, t, value, path)
	}
	definition := schema.Types[t.NamedType]
	switch definition.Kind {
	case ast.InputObject:
		return coerceObject(schema, definition, value, path)
	case ast.Enum:
		return coerceEnum(definition, value, path)
	}
	return coerceScalar(definition.Name, value, path)
}

func coerceList(schema *ast.Schema, t *ast.Type, value any, path string) (any, error) {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	coerced := make([]any, 0, len(list))
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !ok {
			at = path
		}
		one, err := coerce(schema, t.Elem, item, at)
		if err != nil {
			return nil, err
		}
		coerced = append(coerced, one)
	}
	return coerced, nil
}

func coerceObject(schema *ast.Schema, definition *ast.Definition, value any, path string) (any, error) {
	object, ok := value.(map[string]any)
	if !ok {
		return nil, mismatch(definition.Name, "an object", value, path)
	}
	for name := range object {
		if definition.Fields.ForName(name) == nil {
			return nil, qerr.New(qerr.ValidationFailed, "field '%s' not found in type: '%s'", name, definition.Name).At(path + "." + name)
		}
	}
	coerced := map[string]any{}
	for _, field := range definition.Fields {
		given, ok := object[field.Name]
		if !ok {
			given = absent{}
		}
		if err := fill(schema, coerced, slot{field.Name, field.Type, field.DefaultValue}, given, path+"."+field.Name); err != nil {
			return nil, err
		}
	}
	return coerced, nil
}

func coerceEnum(definition *ast.Definition, value any, path string) (any, error) {
	var name string
	switch value := value.(type) {
	case enumName:
		name = string(value)
	case variableText:
		name = string(value)
	default:
		return nil, mismatch(definition.Name, "an enum value", value, path)
	}
	if definition.EnumValues.ForName(name) != nil {
		return name, nil
	}
	var known []string
	for _, value := range definition.EnumValues {
		known = append(known, "'"+value.Name+"'")
	}
	return nil, qerr.New(qerr.ValidationFailed, "expected one of the values [%s] for type '%s', but found '%s'",
		strings.Join(known, ", "), definition.Name, name).At(path)
}

func coerceScalar(name string, value any, path string) (any, error) {
	text, isText := textOf(value)
	number, isNumber := value.(json.Number)
	switch name {
	case "Int":
		if !isNumber {
			return nil, mismatch(name, "a 32-bit integer", value, path)
		}
		return int32Of(number, path)
	case "Float":
		if !isNumber {
			return nil, mismatch(name, "a float", value, path)
		}
		return number, nil
	case "String":
		if !isText {
			return nil, mismatch(name, "a string", value, path)
		}
		return text, nil
	case "Boolean":
		if _, ok := value.(bool); !ok {
			return nil, mismatch(name, "a boolean", value, path)
		}
		return value, nil
	case "ID":
		if isNumber {
			return number.String(), nil
		}
		if !isText {
			return nil, mismatch(name, "a String or a 32-bit integer", value, path)
		}
		return text, nil
	}
	return plain(value), nil
}

// int32Of accepts 7 and 7.0, as JSON has one kind of number.
func int32Of(number json.Number, path string) (any, error) {
	value, err := strconv.ParseFloat(number.String(), 64)
	if n := int32(value); err == nil && float64(n) == value {
		return json.Number(strconv.FormatInt(int64(n), 10)), nil
	}
	return nil, qerr.New(qerr.ParseFailed, "The value %s lies outside the bounds or is not an integer. Maybe it is a float, or is there integer overflow?", number).At(path)
}

func textOf(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case variableText:
		return string(value), true
	}
	return "", false
}

func mismatch(name, expected string, value any, path string) error {
	return qerr.New(qerr.ValidationFailed, "expected %s for type '%s', but found %s", expected, name, describe(value)).At(path)
}

func describe(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string, variableText:
		return "a string"
	case json.Number:
		return "a number"
	case enumName:
		return "an enum value"
	case []any:
		return "a list"
	}
	return "an object"
}
