package hasuraapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

// ourSource is the name of the source that holds this project's tables.
const ourSource = "default"

// Change is one object of our metadata that another metadata lacked, or had otherwise.
type Change struct {
	Object  string // such as "table tenants.tenants" or "action createTenant"
	Added   bool   // it was missing
	Removed bool   // it was there and is not ours to have, which Amend alone says
}

// String says what was found.
func (c Change) String() string {
	switch {
	case c.Added:
		return c.Object + " is missing"
	case c.Removed:
		return c.Object + " is too much"
	}
	return c.Object + " differs"
}

// Merge puts our metadata into theirs and says what that changes; no changes mean that
// all of ours is in theirs already. Tables are matched by schema and name, everything
// else by its name. Of an object both have, ours stands; what hangs on our tables under
// names or roles we do not use (their relationships to tables of their own, say) stays,
// while a permission of a role of ours that ours does not give goes. The rest of theirs
// stays, including how an existing source connects. Two spellings
// that mean the same to Hasura are equal: it exports another spelling than it is given.
func Merge(theirs, ours json.RawMessage) (json.RawMessage, []Change, error) {
	base, err := decodeObject("the metadata of Hasura", theirs)
	if err != nil {
		return nil, nil, err
	}
	own, err := decodeObject("our metadata", ours)
	if err != nil {
		return nil, nil, err
	}
	m := merger{}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if err := m.part(base, key, own[key]); err != nil {
			return nil, nil, err
		}
	}
	merged, err := json.Marshal(base)
	if err != nil {
		return nil, nil, fmt.Errorf("the merged metadata cannot be written: %w", err)
	}
	return merged, m.changes, nil
}

// decodeObject keeps numbers as they are written.
func decodeObject(what string, text json.RawMessage) (map[string]any, error) {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("%s is not a JSON object: %w", what, err)
	}
	if object == nil {
		return nil, fmt.Errorf("%s is not a JSON object but null", what)
	}
	return object, nil
}

type merger struct {
	changes []Change
}

// list is how the elements of one list are told apart, named, and put together.
type list struct {
	kind    string // "" where a change is told of the parent
	id      func(map[string]any) string
	combine func(theirs, ours map[string]any) map[string]any
}

func byKey(kind, key string) list {
	return list{kind, func(object map[string]any) string { return fmt.Sprint(object[key]) }, oursStand}
}

func oursStand(_, ours map[string]any) map[string]any { return ours }

// topLevel are the lists of a metadata document that can be merged.
var topLevel = map[string]list{
	"actions":           byKey("action", "name"),
	"cron_triggers":     byKey("cron trigger", "name"),
	"query_collections": byKey("query collection", "name"),
	"rest_endpoints":    byKey("REST endpoint", "name"),
	"remote_schemas":    byKey("remote schema", "name"),
	"inherited_roles":   byKey("inherited role", "role_name"),
	"allowlist":         byKey("allow list entry", "collection"),
}

// ofTable are the lists of one table.
var ofTable = map[string]list{
	"object_relationships": byKey("", "name"),
	"array_relationships":  byKey("", "name"),
	"remote_relationships": byKey("", "name"),
	"computed_fields":      byKey("", "name"),
	"event_triggers":       byKey("", "name"),
	"select_permissions":   byKey("", "role"),
	"insert_permissions":   byKey("", "role"),
	"update_permissions":   byKey("", "role"),
	"delete_permissions":   byKey("", "role"),
}

// permissions are those of ofTable that give rights.
var permissions = map[string]bool{
	"select_permissions": true, "insert_permissions": true, "update_permissions": true, "delete_permissions": true,
}

func (m *merger) part(base map[string]any, key string, own any) error {
	switch key {
	case "version":
		if base[key] == nil {
			base[key] = own
		}
		if fmt.Sprint(base[key]) != fmt.Sprint(own) {
			return fmt.Errorf("the metadata of Hasura is version %v and ours is version %v: upgrade Hasura", base[key], own)
		}
		return nil
	case "sources":
		return m.sources(base, own)
	case "custom_types":
		return m.customTypes(base, own)
	}
	rule, known := topLevel[key]
	if !known {
		return fmt.Errorf("our metadata holds %s, which cannot be merged", key)
	}
	return m.merge(base, key, own, rule)
}

func (m *merger) sources(base map[string]any, own any) error {
	for _, source := range metadata.Objects(own) {
		if source["name"] != ourSource {
			return fmt.Errorf("our metadata holds the source %v; only %s can be merged", source["name"], ourSource)
		}
		theirs := find(metadata.Objects(base["sources"]), byKey("", "name"), ourSource)
		if theirs == nil {
			list, _ := base["sources"].([]any)
			base["sources"] = append(list, source)
			m.changes = append(m.changes, Change{Object: "source " + ourSource, Added: true})
			continue
		}
		if kind := theirs["kind"]; kind != nil && kind != source["kind"] {
			return fmt.Errorf("the source %s of Hasura is of kind %v; it must be %v", ourSource, kind, source["kind"])
		}
		tables := list{"table", func(t map[string]any) string { return metadata.TableText(t["table"]) }, m.combineTable}
		if err := m.merge(theirs, "tables", source["tables"], tables); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) customTypes(base map[string]any, own any) error {
	types, _ := base["custom_types"].(map[string]any)
	if types == nil {
		types = map[string]any{}
		base["custom_types"] = types
	}
	kinds, _ := own.(map[string]any)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if err := m.merge(types, kind, kinds[kind], byKey("custom type", "name")); err != nil {
			return err
		}
	}
	return nil
}

// merge puts each of our objects into parent[key] and notes what that changed.
func (m *merger) merge(parent map[string]any, key string, own any, rule list) error {
	theirs, ok := parent[key].([]any)
	if parent[key] != nil && !ok {
		return fmt.Errorf("the metadata of Hasura holds %s that is not a list", key)
	}
	for _, ours := range metadata.Objects(own) {
		id := rule.id(ours)
		at := slices.IndexFunc(theirs, func(item any) bool {
			object, _ := item.(map[string]any)
			return object != nil && rule.id(object) == id
		})
		if at < 0 {
			theirs = append(theirs, ours)
			m.changes = append(m.changes, Change{Object: rule.kind + " " + id, Added: true})
			continue
		}
		before := theirs[at].(map[string]any)
		if after := rule.combine(before, ours); !same(before, after) {
			theirs[at] = after
			m.changes = append(m.changes, Change{Object: rule.kind + " " + id})
		}
	}
	if len(theirs) > 0 {
		parent[key] = theirs
	}
	return nil
}

// combineTable lays our table over theirs, list by list.
func (m *merger) combineTable(theirs, ours map[string]any) map[string]any {
	combined := maps.Clone(theirs)
	for key, value := range ours {
		if _, isList := ofTable[key]; !isList {
			combined[key] = value
		}
	}
	for key, rule := range ofTable {
		var merged []any
		for _, object := range metadata.Objects(theirs[key]) {
			withdrawn := permissions[key] && slices.Contains(session.Roles, session.Role(rule.id(object)))
			if find(metadata.Objects(ours[key]), rule, rule.id(object)) == nil && !withdrawn {
				merged = append(merged, object)
			}
		}
		for _, object := range metadata.Objects(ours[key]) {
			merged = append(merged, object)
		}
		if combined[key] = merged; merged == nil {
			delete(combined, key)
		}
	}
	return combined
}

func find(in []map[string]any, rule list, id string) map[string]any {
	for _, object := range in {
		if rule.id(object) == id {
			return object
		}
	}
	return nil
}
