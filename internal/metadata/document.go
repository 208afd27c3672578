package metadata

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

const (
	versionFile   = "version.yaml"
	databasesFile = "databases/databases.yaml"
)

// passedOn are the files that the document carries as they stand, with the key each
// gets. All are optional, and an empty one is left out.
var passedOn = []struct{ file, key string }{
	{"remote_schemas.yaml", "remote_schemas"},
	{"query_collections.yaml", "query_collections"},
	{"allow_list.yaml", "allowlist"},
	{"cron_triggers.yaml", "cron_triggers"},
	{"api_limits.yaml", "api_limits"},
	{"rest_endpoints.yaml", "rest_endpoints"},
	{"inherited_roles.yaml", "inherited_roles"},
	{"graphql_schema_introspection.yaml", "graphql_schema_introspection"},
	{"network.yaml", "network"},
	{"metrics_config.yaml", "metrics_config"},
	{"opentelemetry.yaml", "opentelemetry"},
	{"backend_configs.yaml", "backend_configs"},
}

// readPassedOn starts the document with the version and the files of passedOn.
func readPassedOn(r *reader) (map[string]any, error) {
	document := map[string]any{}
	var faults []error
	version, err := r.read(versionFile)
	if err == nil {
		document["version"], err = versionOf(version)
	}
	faults = append(faults, err)
	for _, part := range passedOn {
		node, err := r.readOptional(part.file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		value, err := plainOf(node)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", part.file, err))
		}
		if !isEmpty(value) {
			document[part.key] = value
		}
	}
	return document, errors.Join(faults...)
}

func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	}
	return false
}

// actionsDocument is the document's "actions": signatures from the SDL, the rest as
// actions.yaml writes it.
func actionsDocument(sdl []Action, plain map[string]any) []any {
	entries := map[string]map[string]any{}
	list, _ := plain["actions"].([]any)
	for _, item := range list {
		if entry, ok := item.(map[string]any); ok {
			name, _ := entry["name"].(string)
			entries[name] = entry
		}
	}
	document := []any{}
	for _, action := range sdl {
		document = append(document, actionDocument(action, entries[action.Name]))
	}
	return document
}

func actionDocument(action Action, entry map[string]any) map[string]any {
	definition := map[string]any{
		"type": "mutation", "kind": "synchronous",
		"output_type": action.Output, "arguments": argumentsDocument(action.Arguments),
	}
	given, _ := entry["definition"].(map[string]any)
	for key, value := range given {
		if value != nil && value != "" {
			definition[key] = value
		}
	}
	if action.Query {
		definition["type"] = "query"
		delete(definition, "kind")
	}
	document := map[string]any{"name": action.Name, "definition": definition}
	describe(document, "comment", action.Comment)
	for _, key := range []string{"permissions", "comment"} {
		if entry[key] != nil {
			document[key] = entry[key]
		}
	}
	return document
}

func argumentsDocument(arguments []Argument) []any {
	document := []any{}
	for _, argument := range arguments {
		entry := map[string]any{"name": argument.Name, "type": argument.Type}
		describe(entry, "description", argument.Description)
		document = append(document, entry)
	}
	return document
}

func describe(entry map[string]any, key, text string) {
	if text != "" {
		entry[key] = text
	}
}

// typesDocument is the document's "custom_types".
func typesDocument(types CustomTypes, plain map[string]any) map[string]any {
	document := map[string]any{
		"objects": objectsDocument(types.Objects), "input_objects": objectsDocument(types.InputObjects),
	}
	enums, scalars := []any{}, []any{}
	for _, enum := range types.Enums {
		values := []any{}
		for _, value := range enum.Values {
			entry := map[string]any{"value": value.Value}
			describe(entry, "description", value.Description)
			values = append(values, entry)
		}
		entry := map[string]any{"name": enum.Name, "values": values}
		describe(entry, "description", enum.Description)
		enums = append(enums, entry)
	}
	for _, scalar := range types.Scalars {
		entry := map[string]any{"name": scalar.Name}
		describe(entry, "description", scalar.Description)
		scalars = append(scalars, entry)
	}
	document["enums"], document["scalars"] = enums, scalars
	given, _ := plain["custom_types"].(map[string]any)
	for kind, list := range document {
		completeTypes(list.([]any), given[kind])
	}
	return document
}

func objectsDocument(types []CustomType) []any {
	document := []any{}
	for _, object := range types {
		entry := map[string]any{"name": object.Name, "fields": argumentsDocument(object.Fields)}
		describe(entry, "description", object.Description)
		document = append(document, entry)
	}
	return document
}

// completeTypes adds the descriptions and relationships that actions.yaml gives.
func completeTypes(document []any, given any) {
	list, _ := given.([]any)
	for _, item := range list {
		entry, _ := item.(map[string]any)
		for _, known := range document {
			target := known.(map[string]any)
			if target["name"] != entry["name"] {
				continue
			}
			for _, key := range []string{"description", "relationships"} {
				if value := entry[key]; value != nil && value != "" && !isEmpty(value) {
					target[key] = value
				}
			}
		}
	}
}

func versionOf(node *yaml.Node) (any, error) {
	plain, err := plainOf(node)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", versionFile, err)
	}
	object, _ := plain.(map[string]any)
	if object["version"] == nil {
		return nil, fmt.Errorf("%s: must hold version: 3", versionFile)
	}
	return object["version"], nil
}

func encode(document map[string]any) (json.RawMessage, error) {
	text, err := json.MarshalIndent(document, "", " ")
	if err != nil {
		return nil, fmt.Errorf("metadata cannot be written as JSON: %w", err)
	}
	return text, nil
}
