package metadata

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// entries reads the list under the last part of where, entry by entry.
func entries[T any](m *Metadata, where string, object map[string]any) []T {
	var read []T
	for i, entry := range listAt(object, lastPart(where)) {
		var into T
		if err := m.decode(entry, &into); err != nil {
			m.unread(fmt.Sprintf("%s[%d]%s", where, i, nameOf(entry)), err)
			continue
		}
		read = append(read, into)
	}
	return read
}

// decode reads one entry. It goes by way of YAML, whose forms Load reads as well.
func (m *Metadata) decode(entry, into any) error {
	var node yaml.Node
	if err := node.Encode(entry); err != nil {
		return err
	}
	return node.Decode(into)
}

func (m *Metadata) unread(where string, err error) {
	m.Unread = append(m.Unread, where+": "+err.Error())
}

// decodeDocument keeps numbers as written, so that none loses digits.
func decodeDocument(document []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var plain any
	err := decoder.Decode(&plain)
	return plain, err
}

// yamlNumbers returns the value with its numbers as the reader of YAML would have them.
func yamlNumbers(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		if fraction, err := value.Float64(); err == nil {
			return fraction
		}
		return value.String()
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = yamlNumbers(item)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(value))
		for key, item := range value {
			object[key] = yamlNumbers(item)
		}
		return object
	}
	return value
}

func listAt(object map[string]any, key string) []any {
	list, _ := object[key].([]any)
	return list
}

// lastPart is the key that a place such as "sources[0].tables" ends in.
func lastPart(where string) string {
	return where[strings.LastIndexByte(where, '.')+1:]
}

// nameOf describes an entry that could not be read by whatever name it has.
func nameOf(entry any) string {
	object, _ := entry.(map[string]any)
	for _, key := range []string{"name", "role_name", "table", "function"} {
		switch name := object[key].(type) {
		case string:
			return fmt.Sprintf(" (%s)", name)
		case map[string]any:
			return fmt.Sprintf(" (%v.%v)", name["schema"], name["name"])
		}
	}
	return ""
}
