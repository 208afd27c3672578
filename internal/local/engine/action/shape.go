package action

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/request"
	"github.com/nself/tenancy/internal/metadata"
)

func validateObject(value any, name string, fields []metadata.Argument) string {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Sprintf("got %s for the action webhook response, expecting %s", article(value), name)
	}
	for _, field := range fields {
		if !strings.HasSuffix(field.Type, "!") {
			continue
		}
		given, present := object[field.Name]
		switch {
		case !present:
			return fmt.Sprintf("field %q expected in webhook response, but not found", field.Name)
		case given == nil:
			return fmt.Sprintf("expecting not null value for field %q", field.Name)
		}
	}
	return ""
}

// validateLeaf refuses objects and lists where a built-in scalar or an enum is due. A
// custom or Postgres scalar may be anything.
func validateLeaf(value any, name string, enums []metadata.CustomEnum) string {
	strict := name == "Int" || name == "Float" || name == "String" || name == "Boolean" || name == "ID"
	for _, enum := range enums {
		strict = strict || enum.Name == name
	}
	switch value.(type) {
	case map[string]any, []any:
		if strict {
			return fmt.Sprintf("got %s for the action webhook response, expecting %s", article(value), name)
		}
	}
	return ""
}

func article(value any) string {
	switch value.(type) {
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// shape keeps of a response what the client selected, in its order and under its
// aliases. What the handler left out is null.
func shape(value any, fields []*request.Field) any {
	if fields == nil {
		return value
	}
	switch value := value.(type) {
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = shape(item, fields)
		}
		return list
	case map[string]any:
		return selected{value, fields}
	}
	return value
}

// selected is an object of which only some fields are written.
type selected struct {
	object map[string]any
	fields []*request.Field
}

// MarshalJSON writes the selected fields in the order of the selection.
func (s selected) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, field := range s.fields {
		if i > 0 {
			out.WriteByte(',')
		}
		value := shape(s.object[field.Name], field.Fields)
		if field.Name == "__typename" {
			value = field.Parent
		}
		text, err := encode(value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "%q:", field.Alias)
		out.Write(text)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
