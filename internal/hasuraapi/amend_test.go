package hasuraapi_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const before = `{"version": 3, "sources": [
  {"name": "other", "kind": "postgres", "tables": [{"table": {"schema": "t1", "name": "kept"}}]},
  {"name": "default", "kind": "postgres", "configuration": {"connection_info": 1e400}, "tables": [
    {"table": "plain"},
    {"table": {"schema": "t1", "name": "a"},
     "object_relationships": [{"name": "gone", "using": {"foreign_key_constraint_on": "x"}}, {"name": "theirs", "using": {"manual_configuration": {"column_mapping": {}}}}],
     "event_triggers": [{"name": "e"}],
     "select_permissions": [{"role": "tenant_owner", "permission": {"columns": "*", "filter": {}}}, {"role": "robot", "permission": {"columns": ["id"], "filter": {}}}]},
    {"table": {"schema": "t1", "name": "dropped"}},
    {"table": {"schema": "t2", "name": "gone"}}],
   "functions": [{"function": {"schema": "t2", "name": "f"}}, {"function": {"schema": "public", "name": "g"}}]}]}`

func amendment() hasuraapi.Amendment {
	table := func(name string) map[string]any {
		return map[string]any{"table": map[string]any{"schema": "t1", "name": name},
			"select_permissions": []any{map[string]any{"role": "tenant_guest", "permission": map[string]any{"columns": []any{"id"}, "filter": map[string]any{"id": map[string]any{"_eq": "X-Hasura-User-Id"}}}}}}
	}
	return hasuraapi.Amendment{Schemas: []string{"t1", "t2"}, Tables: []map[string]any{table("a"), table("b")}}
}

func TestAmendDecidesItsSchemasAndNothingElse(t *testing.T) {
	amended, changes, err := hasuraapi.Amend([]byte(before), amendment())
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, c := range changes {
		told = append(told, c.String())
	}
	want := []string{"table t1.a differs", "table t1.dropped is too much", "table t2.gone is too much", "table t1.b is missing", "function t2.f is too much"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	const after = `{"version": 3, "sources": [
	  {"name": "other", "kind": "postgres", "tables": [{"table": {"schema": "t1", "name": "kept"}}]},
	  {"name": "default", "kind": "postgres", "configuration": {"connection_info": 1e400}, "tables": [
	    {"table": "plain"},
	    {"table": {"schema": "t1", "name": "a"}, "object_relationships": [{"name": "theirs", "using": {"manual_configuration": {"column_mapping": {}}}}], "event_triggers": [{"name": "e"}],
	     "select_permissions": [{"role": "robot", "permission": {"columns": ["id"], "filter": {}}},
	       {"role": "tenant_guest", "permission": {"columns": ["id"], "filter": {"id": {"_eq": "X-Hasura-User-Id"}}}}]},
	    {"table": {"schema": "t1", "name": "b"}, "select_permissions": [{"role": "tenant_guest", "permission": {"columns": ["id"], "filter": {"id": {"_eq": "X-Hasura-User-Id"}}}}]}],
	   "functions": [{"function": {"schema": "public", "name": "g"}}]}]}`
	if diff := cmp.Diff(plainJSON(t, []byte(after)), plainJSON(t, amended)); diff != "" {
		t.Error(diff)
	}
	again, changes, err := hasuraapi.Amend(amended, amendment())
	if err != nil || len(changes) > 0 || !cmp.Equal(plainJSON(t, again), plainJSON(t, amended)) {
		t.Errorf("a second time it changes %v, %v", changes, err)
	}
}

// plainJSON keeps numbers as they are written.
func plainJSON(t *testing.T, text []byte) any {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	var sources []map[string]json.RawMessage
	if err := json.Unmarshal(fields["sources"], &sources); err != nil {
		t.Fatal(err)
	}
	plain := map[string]any{}
	for i, source := range sources {
		for key, value := range source {
			var decoded any = string(value)
			if key == "tables" || key == "functions" {
				if err := json.Unmarshal(value, &decoded); err != nil {
					t.Fatal(err)
				}
			}
			if key == "configuration" {
				decoded = len(value) > 0 && json.Valid(value)
			}
			plain[string(rune('0'+i))+key] = decoded
		}
	}
	return plain
}

func TestAmendRefusesWhatIsNoMetadata(t *testing.T) {
	for name, document := range map[string]string{
		"no object": `[]`, "null": `null`, "no source": `{"version": 3, "sources": []}`, "no JSON": `{`,
		"tables that are no list": `{"sources": [{"name": "default", "tables": {}}]}`,
	} {
		if _, _, err := hasuraapi.Amend([]byte(document), amendment()); err == nil {
			t.Errorf("%s is amended", name)
		}
	}
}
