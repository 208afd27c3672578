package metadata

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

var unmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

// strict decodes a node into out, a pointer to a struct, and reports every key that
// out has no field for along with every value of the wrong type. A misspelt key that
// is silently ignored would be a permission that is silently absent.
func (r *reader) strict(node *yaml.Node, file, where string, out any) error {
	faults := r.unknownKeys(node, reflect.TypeOf(out).Elem(), file, where)
	var wrong *yaml.TypeError
	switch err := node.Decode(out); {
	case errors.As(err, &wrong):
		for _, text := range wrong.Errors {
			faults = append(faults, fmt.Errorf("%s: %s: %s", file, where, text))
		}
	case err != nil:
		faults = append(faults, fmt.Errorf("%s: %s: %w", file, where, err))
	}
	return errors.Join(faults...)
}

func (r *reader) unknownKeys(node *yaml.Node, t reflect.Type, file, where string) []error {
	if own, ok := r.origin[node]; ok {
		file = own
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler):
		return nil
	case t.Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		return r.unknownFields(node, t, file, where)
	case t.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		var faults []error
		for i, item := range node.Content {
			faults = append(faults, r.unknownKeys(item, t.Elem(), file, fmt.Sprintf("%s[%d]", where, i))...)
		}
		return faults
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct && node.Kind == yaml.MappingNode:
		var faults []error
		for i := 0; i+1 < len(node.Content); i += 2 {
			faults = append(faults, r.unknownKeys(node.Content[i+1], t.Elem(), file, where+"."+node.Content[i].Value)...)
		}
		return faults
	}
	return nil
}

func (r *reader) unknownFields(node *yaml.Node, t reflect.Type, file, where string) []error {
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		fields[name] = t.Field(i).Type
	}
	var faults []error
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		field, known := fields[key.Value]
		if !known {
			faults = append(faults, fmt.Errorf("%s:%d: %s: unknown key %q", file, key.Line, where, key.Value))
			continue
		}
		faults = append(faults, r.unknownKeys(value, field, file, where+"."+key.Value)...)
	}
	return faults
}
