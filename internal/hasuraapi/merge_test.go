package hasuraapi

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/metadata"
)

// freshHasura is what a new installation exports.
const freshHasura = `{"version": 3, "sources": []}`

func ourMetadata(t *testing.T) json.RawMessage {
	t.Helper()
	dir, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := metadata.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return loaded.JSON
}

func mustMerge(t *testing.T, theirs, ours string) (map[string]any, []Change) {
	t.Helper()
	merged, changes, err := Merge(json.RawMessage(theirs), json.RawMessage(ours))
	if err != nil {
		t.Fatal(err)
	}
	object, err := decodeObject("merged", merged)
	if err != nil {
		t.Fatal(err)
	}
	return object, changes
}

func TestMergeIntoAFreshHasuraAppliesAllOfOurs(t *testing.T) {
	ours := ourMetadata(t)
	merged, changes := mustMerge(t, freshHasura, string(ours))
	if len(changes) < 20 {
		t.Errorf("only %d changes into an empty metadata: %v", len(changes), changes)
	}
	want, err := decodeObject("ours", ours)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(canonical("", want), canonical("", merged)); diff != "" {
		t.Errorf("merged into nothing, ours is not itself (-ours +merged):\n%s", diff)
	}
}

func TestMergeAgainChangesNothing(t *testing.T) {
	ours := ourMetadata(t)
	once, _, err := Merge(json.RawMessage(freshHasura), ours)
	if err != nil {
		t.Fatal(err)
	}
	twice, changes, err := Merge(once, ours)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 0 {
		t.Errorf("the second merge changes %v", changes)
	}
	if diff := cmp.Diff(string(once), string(twice)); diff != "" {
		t.Errorf("the second merge writes something else:\n%s", diff)
	}
}

const customers = `{
 "version": 3,
 "sources": [
  {"name": "warehouse", "kind": "mssql", "tables": [{"table": {"schema": "tenants", "name": "tenants"}}]},
  {"name": "default", "kind": "postgres",
   "configuration": {"connection_info": {"database_url": {"from_env": "THEIR_URL"}, "pool_settings": {"max_connections": 9007199254740993}}},
   "functions": [{"function": {"schema": "public", "name": "search"}}],
   "tables": [
    {"table": "legacy"},
    {"table": {"schema": "public", "name": "orders"}, "select_permissions": [{"role": "user", "permission": {"columns": "*", "filter": {}}}]},
    {"table": {"schema": "tenants", "name": "tenants"},
     "array_relationships": [{"name": "orders", "using": {"foreign_key_constraint_on": {"column": "tenant_id", "table": {"schema": "public", "name": "orders"}}}}],
     "select_permissions": [
      {"role": "support", "permission": {"columns": ["id"], "filter": {}}},
      {"role": "tenant_guest", "permission": {"columns": "*", "filter": {}}}]}
   ]}
 ],
 "remote_schemas": [{"name": "cms", "definition": {"url": "http://cms"}}],
 "actions": [{"name": "placeOrder", "definition": {"handler": "http://shop", "output_type": "Order!"}}],
 "custom_types": {"objects": [{"name": "Order", "fields": [{"name": "id", "type": "uuid!"}]}]},
 "network": {"tls_allowlist": [{"host": "a"}]}
}`

func TestMergeKeepsWhatIsTheCustomers(t *testing.T) {
	merged, _ := mustMerge(t, customers, string(ourMetadata(t)))
	before, err := decodeObject("theirs", json.RawMessage(customers))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"remote_schemas", "network"} {
		if diff := cmp.Diff(before[key], merged[key]); diff != "" {
			t.Errorf("%s changed:\n%s", key, diff)
		}
	}
	byName := byKey("", "name")
	for key, name := range map[string]string{"sources": "warehouse", "actions": "placeOrder"} {
		if diff := cmp.Diff(find(metadata.Objects(before[key]), byName, name), find(metadata.Objects(merged[key]), byName, name)); diff != "" {
			t.Errorf("%s %s changed:\n%s", key, name, diff)
		}
	}
	types := merged["custom_types"].(map[string]any)
	if find(metadata.Objects(types["objects"]), byName, "Order") == nil {
		t.Error("the customer's type Order is gone")
	}
	was, is := find(metadata.Objects(before["sources"]), byName, "default"), find(metadata.Objects(merged["sources"]), byName, "default")
	for _, key := range []string{"configuration", "functions", "kind"} {
		if diff := cmp.Diff(was[key], is[key]); diff != "" {
			t.Errorf("%s of the source changed:\n%s", key, diff)
		}
	}
	tables := list{id: func(t map[string]any) string { return metadata.TableText(t["table"]) }}
	for _, name := range []string{"public.legacy", "public.orders"} {
		if diff := cmp.Diff(find(metadata.Objects(was["tables"]), tables, name), find(metadata.Objects(is["tables"]), tables, name)); diff != "" {
			t.Errorf("table %s changed:\n%s", name, diff)
		}
	}
}

func TestMergeLaysOursOverWhatHangsOnOurTables(t *testing.T) {
	merged, changes := mustMerge(t, customers, string(ourMetadata(t)))
	source := find(metadata.Objects(merged["sources"]), byKey("", "name"), "default")
	tables := list{id: func(t map[string]any) string { return metadata.TableText(t["table"]) }}
	tenants := find(metadata.Objects(source["tables"]), tables, "tenants.tenants")
	if find(metadata.Objects(tenants["array_relationships"]), byKey("", "name"), "orders") == nil {
		t.Error("the customer's relationship to their orders is gone")
	}
	roles := metadata.Objects(tenants["select_permissions"])
	if find(roles, byKey("", "role"), "support") == nil {
		t.Error("the permission of the customer's own role is gone")
	}
	guest := find(roles, byKey("", "role"), "tenant_guest")
	if filter := guest["permission"].(map[string]any)["filter"]; empty(filter) {
		t.Error("a guest may still read every tenant")
	}
	for _, change := range changes {
		if change == (Change{Object: "table tenants.tenants"}) {
			return
		}
	}
	t.Errorf("the changed table is not told of: %v", changes)
}

// What an earlier version gave a role of ours, or somebody by hand, is not there to stay.
func TestMergeTakesBackWhatOursDoesNotGiveARoleOfOurs(t *testing.T) {
	theirs, err := decodeObject("theirs", json.RawMessage(exported(t)))
	if err != nil {
		t.Fatal(err)
	}
	everything := map[string]any{"check": map[string]any{}, "filter": map[string]any{}, "columns": "*"}
	give := func(roles ...string) (list []any) {
		for _, role := range roles {
			list = append(list, map[string]any{"role": role, "permission": everything})
		}
		return list
	}
	opened := membersOf(theirs)
	opened["insert_permissions"], opened["delete_permissions"] = give("tenant_guest", "support"), give("tenant_owner")
	text, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	merged, changes := mustMerge(t, string(text), string(ourMetadata(t)))
	if want := []Change{{Object: "table tenants.tenant_members"}}; !cmp.Equal(changes, want) {
		t.Errorf("changes %v", changes)
	}
	members := membersOf(merged)
	if inserts := metadata.Objects(members["insert_permissions"]); len(inserts) != 1 || inserts[0]["role"] != "support" || members["delete_permissions"] != nil {
		t.Errorf("inserts %v, deletes %v", inserts, members["delete_permissions"])
	}
}

func membersOf(document map[string]any) map[string]any {
	source := find(metadata.Objects(document["sources"]), byKey("", "name"), "default")
	tables := list{id: func(t map[string]any) string { return metadata.TableText(t["table"]) }}
	return find(metadata.Objects(source["tables"]), tables, "tenants.tenant_members")
}

// exported is our metadata in the words Hasura exports it with.
func exported(t *testing.T) string {
	t.Helper()
	text := string(ourMetadata(t))
	var object any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(respell("", object))
	if err != nil {
		t.Fatal(err)
	}
	if string(again) == text || !strings.Contains(string(again), "custom_root_fields") {
		t.Fatal("nothing was spelled otherwise")
	}
	return string(again)
}

// respell does to metadata what Hasura does between apply and export: the action's
// default timeout and empty lists go, empty configuration and null fields come, a
// conjunction of distinct keys becomes one object.
func respell(key string, value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = respell("", value[i])
		}
		return value
	case map[string]any:
		if terms, ok := value["_and"].([]any); ok && (key == "filter" || key == "_where") {
			flat := map[string]any{}
			for _, term := range terms {
				for name, inner := range term.(map[string]any) {
					flat[name] = respell(name, inner)
				}
			}
			return flat
		}
		for name, inner := range value {
			value[name] = respell(name, inner)
			if list, ok := inner.([]any); ok && len(list) == 0 {
				delete(value, name)
			}
		}
		switch key {
		case "definition":
			if value["timeout"] == 30.0 {
				delete(value, "timeout")
			}
		case "configuration":
			value["custom_root_fields"], value["column_config"], value["custom_column_names"] = map[string]any{}, map[string]any{}, map[string]any{}
		case "manual_configuration":
			value["insertion_order"] = nil
		}
		return value
	}
	return value
}

func TestMergeFindsNothingToDoInHasurasOwnSpelling(t *testing.T) {
	_, changes := mustMerge(t, exported(t), string(ourMetadata(t)))
	if len(changes) != 0 {
		t.Errorf("the same metadata, exported, seems to differ: %v", changes)
	}
}

func TestMergeSeesEveryDifferenceThatMatters(t *testing.T) {
	const ours = `{"version": 3, "sources": [{"name": "default", "kind": "postgres", "tables": [
	 {"table": {"schema": "s", "name": "t"},
	  "select_permissions": [{"role": "user", "permission": {"columns": ["a", "b"], "filter": {"_and": [{"a": {"_eq": "X-Hasura-A"}}, {"_exists": {"_table": {"schema": "s", "name": "u"}, "_where": {"b": {"_eq": 1}}}}]}}}],
	  "update_permissions": [{"role": "user", "permission": {"columns": ["a"], "filter": {}, "set": {"b": null}}}],
	  "event_triggers": [{"name": "e", "webhook": "w", "retry_conf": {"num_retries": 3, "interval_sec": 10, "timeout_sec": 60}, "definition": {"update": {"columns": ["a"]}}}]}]}],
	 "actions": [{"name": "act", "definition": {"handler": "h", "kind": "synchronous", "timeout": 30}, "permissions": [{"role": "user"}, {"role": "admin_"}]}]}`
	tests := map[string]struct {
		old, new string
		want     []Change
	}{
		"the same":                   {`"a", "b"`, `"b", "a"`, nil},
		"a conjunction in one":       {`{"_and": [{"a": {"_eq": "X-Hasura-A"}}, {"_exists"`, `{"_and": [{"_and": [{"a": {"_eq": "X-Hasura-A"}}]}, {"_exists"`, nil},
		"order of roles":             {`{"role": "user"}, {"role": "admin_"}`, `{"role": "admin_"}, {"role": "user"}`, nil},
		"a default left out":         {`, "timeout": 30`, ``, nil},
		"another timeout":            {`"timeout": 30`, `"timeout": 31`, []Change{{Object: "action act"}}},
		"a role more":                {`{"role": "user"}, {"role": "admin_"}`, `{"role": "user"}, {"role": "admin_"}, {"role": "anonymous"}`, []Change{{Object: "action act"}}},
		"a column more":              {`"a", "b"`, `"a", "b", "c"`, []Change{{Object: "table s.t"}}},
		"a filter emptied":           {`{"a": {"_eq": "X-Hasura-A"}}, `, ``, []Change{{Object: "table s.t"}}},
		"a filter negated":           {`{"a": {"_eq": "X-Hasura-A"}}`, `{"_not": {"a": {"_eq": "X-Hasura-A"}}}`, []Change{{Object: "table s.t"}}},
		"an alternative":             {`{"_and": [{"a"`, `{"_or": [{"a"`, []Change{{Object: "table s.t"}}},
		"another value in an exists": {`{"b": {"_eq": 1}}`, `{"b": {"_eq": 2}}`, []Change{{Object: "table s.t"}}},
		"a preset of null gone":      {`, "set": {"b": null}`, ``, []Change{{Object: "table s.t"}}},
		"another webhook":            {`"webhook": "w"`, `"webhook": "x"`, []Change{{Object: "table s.t"}}},
		"an action gone":             {`"actions"`, `"actions": [], "x"`, []Change{{Object: "action act", Added: true}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			theirs := strings.Replace(ours, tt.old, tt.new, 1)
			if theirs == ours {
				t.Fatal("the test replaces nothing")
			}
			merged, changes := mustMerge(t, theirs, ours)
			if diff := cmp.Diff(tt.want, changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			text, err := json.Marshal(merged)
			if err != nil {
				t.Fatal(err)
			}
			if _, again := mustMerge(t, string(text), ours); len(again) != 0 {
				t.Errorf("after the merge there is still %v", again)
			}
		})
	}
}

func TestMergeRefusesWhatItCannotMerge(t *testing.T) {
	tests := map[string]struct{ theirs, ours, want string }{
		"no JSON":           {`<html>`, `{}`, "not a JSON object"},
		"null":              {`null`, `{}`, "not a JSON object"},
		"an old version":    {`{"version": 2}`, `{"version": 3}`, "upgrade Hasura"},
		"another database":  {`{"sources": [{"name": "default", "kind": "mssql"}]}`, `{"sources": [{"name": "default", "kind": "postgres"}]}`, "must be postgres"},
		"a second source":   {`{}`, `{"sources": [{"name": "other"}]}`, "only default"},
		"an unknown part":   {`{}`, `{"network": {}}`, "cannot be merged"},
		"a list of another": {`{"actions": {}}`, `{"actions": []}`, "not a list"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := Merge(json.RawMessage(tt.theirs), json.RawMessage(tt.ours))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
