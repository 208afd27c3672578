package tracking

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/nself/tenancy/internal/isolation"
)

// named is what of a metadata document gives root fields their names. It is read by itself
// as the whole of the document may be tables of thousands of tenants.
type named struct {
	Sources []struct {
		Tables []struct {
			Table         any `json:"table"`
			Configuration struct {
				CustomName string         `json:"custom_name"`
				Fields     map[string]any `json:"custom_root_fields"`
			} `json:"configuration"`
		} `json:"tables"`
		Functions []struct {
			Function      any `json:"function"`
			Configuration struct {
				CustomName string         `json:"custom_name"`
				Fields     map[string]any `json:"custom_root_fields"`
			} `json:"configuration"`
		} `json:"functions"`
	} `json:"sources"`
	Actions []struct {
		Name string `json:"name"`
	} `json:"actions"`
}

// rootFields tells which fields of the query root a metadata document gives away already:
// those of tables, of functions and of actions. What tracking itself put there does not
// count.
func rootFields(document json.RawMessage) (func(name string) bool, error) {
	var known named
	if err := json.Unmarshal(document, &known); err != nil {
		return nil, fmt.Errorf("the metadata of Hasura cannot be read: %w", err)
	}
	taken := map[string]bool{"__schema": true, "__type": true, "__typename": true}
	for _, source := range known.Sources {
		for _, t := range source.Tables {
			_, base := baseName(t.Table, t.Configuration.CustomName)
			for field, suffix := range map[string]string{"select": "", "select_by_pk": "_by_pk", "select_aggregate": "_aggregate", "select_stream": "_stream"} {
				taken[cmp.Or(customName(t.Configuration.Fields[field]), base+suffix)] = true
			}
		}
		for _, f := range source.Functions {
			schema, base := baseName(f.Function, f.Configuration.CustomName)
			if schema == isolation.ReadsSchema {
				continue
			}
			for field, suffix := range map[string]string{"function": "", "function_aggregate": "_aggregate"} {
				taken[cmp.Or(customName(f.Configuration.Fields[field]), base+suffix)] = true
			}
		}
	}
	for _, a := range known.Actions {
		taken[a.Name] = true
	}
	return func(name string) bool { return taken[name] }, nil
}

// baseName is the schema of a table or function, and what its names in GraphQL begin with.
func baseName(of any, custom string) (schema, base string) {
	schema, name := "public", fmt.Sprint(of)
	if object, ok := of.(map[string]any); ok {
		name = fmt.Sprint(object["name"])
		if given, ok := object["schema"].(string); ok {
			schema = given
		}
	}
	switch {
	case custom != "":
		return schema, custom
	case schema == "public":
		return schema, name
	}
	return schema, schema + "_" + name
}

// customName reads a name that metadata writes as a string or as {name, comment}.
func customName(given any) string {
	if object, ok := given.(map[string]any); ok {
		given = object["name"]
	}
	name, _ := given.(string)
	return name
}
