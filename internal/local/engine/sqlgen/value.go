package sqlgen

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/catalog"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// value passes a client's value as a parameter of the type. It goes as text and
// Postgres reads it, so that Postgres decides what is valid and says so.
func (b *builder) value(value any, t catalog.Type) (string, error) {
	if value == nil {
		return "NULL::" + t.SQL(), nil
	}
	text, err := textOf(value, t)
	if err != nil {
		return "", err
	}
	return "(" + b.text(text) + ")::" + t.SQL(), nil
}

// values passes a list as one parameter, an array of the type.
func (b *builder) values(list []any, t catalog.Type) (string, error) {
	texts := make([]string, 0, len(list))
	for _, item := range list {
		text, err := textOf(item, t)
		if err != nil {
			return "", err
		}
		texts = append(texts, text)
	}
	return fmt.Sprintf("(%s::text[])::%s[]", b.param(texts), t.SQL()), nil
}

// permissionValue is value for a permission or preset: a string may name a session
// variable.
func (b *builder) permissionValue(value any, t catalog.Type) (string, error) {
	if name, ok := isSessionVariable(value); ok {
		variable, err := b.sessionVariable(name)
		return variable + "::" + t.SQL(), err
	}
	return b.value(value, t)
}

// textOf writes a value in the form that Postgres' input function of the type reads.
func textOf(value any, t catalog.Type) (string, error) {
	if t.IsJSON() {
		return jsonOf(value)
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	case []any:
		if t.Elem != nil {
			return arrayOf(value, *t.Elem)
		}
	case map[string]any:
	case nil:
		return "", qerr.New(qerr.ValidationFailed, "unexpected null value for type '%s'", t.Scalar())
	default: // bool, and the numbers of YAML
		return fmt.Sprint(value), nil
	}
	return "", qerr.New(qerr.ParseFailed, "a value of type '%s' cannot be a list or an object", t.Scalar())
}

func jsonOf(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", qerr.New(qerr.ParseFailed, "the value cannot be written as JSON: %v", err)
	}
	return string(text), nil
}

// arrayOf writes a list as a Postgres array literal.
func arrayOf(list []any, elem catalog.Type) (string, error) {
	parts := make([]string, 0, len(list))
	for _, item := range list {
		nested, isList := item.([]any)
		switch {
		case item == nil:
			parts = append(parts, "NULL")
		case isList && !elem.IsJSON():
			part, err := arrayOf(nested, elem)
			if err != nil {
				return "", err
			}
			parts = append(parts, part)
		default:
			text, err := textOf(item, elem)
			if err != nil {
				return "", err
			}
			parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)+`"`)
		}
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}
