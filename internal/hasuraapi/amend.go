package hasuraapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nself/tenancy/internal/metadata"
)

// Amendment decides what of some schemas of the database Hasura tracks.
type Amendment struct {
	Schemas   []string         // of them nothing is tracked but what is given here
	Tables    []map[string]any // entries of tables, as metadata writes them
	Functions []map[string]any // entries of functions, as metadata writes them
}

// Amend puts an amendment into the metadata of Hasura and says what that changes; no
// changes mean that all is so already. Unlike Merge it takes away: tables and functions of
// the amendment's schemas that it does not name. What others hang on a table that stays
// (event triggers, permissions of roles that are not ours, relationships by a mapping of
// columns) stays; relationships by foreign keys are the amendment's to name. Of every other
// schema nothing changes. Amend is made for thousands of tables.
func Amend(theirs json.RawMessage, a Amendment) (json.RawMessage, []Change, error) {
	base, err := decodeObject("the metadata of Hasura", theirs)
	if err != nil {
		return nil, nil, err
	}
	source := find(metadata.Objects(base["sources"]), byKey("", "name"), ourSource)
	if source == nil {
		return nil, nil, fmt.Errorf("the metadata of Hasura has no source %s: run nself tenant init", ourSource)
	}
	am := amender{schemas: map[string]bool{}}
	for _, schema := range a.Schemas {
		am.schemas[schema] = true
	}
	if err := am.amend(source, "tables", "table", a.Tables); err != nil {
		return nil, nil, err
	}
	if err := am.amend(source, "functions", "function", a.Functions); err != nil {
		return nil, nil, err
	}
	amended, err := json.Marshal(base)
	if err != nil {
		return nil, nil, fmt.Errorf("the amended metadata cannot be written: %w", err)
	}
	return amended, am.changes, nil
}

type amender struct {
	schemas map[string]bool
	changes []Change
}

// amend goes through the tables, or the functions, of the source once.
func (am *amender) amend(source map[string]any, list, key string, given []map[string]any) error {
	known, ok := source[list].([]any)
	if source[list] != nil && !ok {
		return fmt.Errorf("the metadata of Hasura holds %s that is not a list", list)
	}
	wanted := map[string]map[string]any{}
	for _, entry := range given {
		wanted[metadata.TableText(entry[key])] = entry
	}
	kept := make([]any, 0, len(known)+len(given))
	for _, item := range known {
		entry, _ := item.(map[string]any)
		name := metadata.TableText(entry[key])
		ours, named := wanted[name]
		switch {
		case named:
			delete(wanted, name)
			kept = append(kept, am.combine(key+" "+name, entry, ours))
		case am.schemas[schemaOf(entry[key])]:
			am.changes = append(am.changes, Change{Object: key + " " + name, Removed: true})
		default:
			kept = append(kept, item)
		}
	}
	for _, entry := range given {
		if name := metadata.TableText(entry[key]); wanted[name] != nil {
			delete(wanted, name)
			kept = append(kept, entry)
			am.changes = append(am.changes, Change{Object: key + " " + name, Added: true})
		}
	}
	if len(kept) > 0 || known != nil {
		source[list] = kept
	}
	return nil
}

func (am *amender) combine(title string, theirs, ours map[string]any) map[string]any {
	before := maps.Clone(theirs)
	for _, key := range []string{"object_relationships", "array_relationships"} {
		if list := metadata.Objects(theirs[key]); list != nil {
			before[key] = slices.Collect(mappedOnly(list))
		}
	}
	after := (&merger{}).combineTable(before, ours)
	if same(theirs, after) {
		return theirs
	}
	am.changes = append(am.changes, Change{Object: title})
	return after
}

// mappedOnly are the relationships that do not go by a foreign key.
func mappedOnly(relationships []map[string]any) func(yield func(any) bool) {
	return func(yield func(any) bool) {
		for _, relationship := range relationships {
			using, _ := relationship["using"].(map[string]any)
			if using["foreign_key_constraint_on"] == nil && !yield(relationship) {
				return
			}
		}
	}
}

// schemaOf is the schema of a table or function as metadata names it.
func schemaOf(name any) string {
	object, _ := name.(map[string]any)
	if schema, ok := object["schema"].(string); ok {
		return schema
	}
	return "public"
}
