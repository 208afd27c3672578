package engine_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

func TestInconsistentMetadataIsRefusedWhole(t *testing.T) {
	s := newStand(t, options{sql: contactsSQL})
	before := s.export(t)
	given := s.export(t)
	given.track(t, contacts)
	given.track(t, `{"table": {"schema": "app", "name": "gone"}}`)
	status, text := s.replace(t, given, false)
	var refused struct {
		Path, Error, Code string
		Internal          []struct{ Type, Name, Reason string }
	}
	if err := json.Unmarshal([]byte(text), &refused); err != nil {
		t.Fatal(err)
	}
	if status != http.StatusBadRequest || refused.Code != qerr.Unexpected || refused.Error != "cannot continue due to inconsistent metadata" ||
		refused.Path != "$.args" || len(refused.Internal) != 1 || refused.Internal[0].Name != "app.gone" || refused.Internal[0].Reason == "" {
		t.Errorf("%d %s", status, text)
	}
	s.fails(t, s.as(t, "member", acme, anna), `{ contacts { id } }`, missing, `field 'contacts' not found in type: 'query_root'`)
	compareJSON(t, before, s.export(t))
}

func TestInconsistentMetadataIsServedInPartWhereAllowed(t *testing.T) {
	s := newStand(t, options{sql: contactsSQL})
	given := s.export(t)
	given.track(t, contacts)
	given.track(t, `{"table": {"schema": "app", "name": "gone"}}`)
	given.track(t, `{"table": {"schema": "public", "name": "announcements2"}, "event_triggers": []}`)
	given.Metadata["sources"] = append(given.Metadata["sources"].([]any), map[string]any{"name": "other", "kind": "mssql", "tables": []any{}})
	given.Metadata["remote_schemas"] = []any{map[string]any{"name": "elsewhere", "definition": map[string]any{"url": "https://x.test"}}}
	given.Metadata["actions"] = append(given.Metadata["actions"].([]any), map[string]any{"name": "later", "definition": map[string]any{
		"type": "mutation", "kind": "asynchronous", "handler": "https://x.test", "output_type": "String", "arguments": []any{}}})
	status, text := s.replace(t, given, true)
	if status != http.StatusOK || !strings.Contains(text, `"is_consistent":false`) {
		t.Errorf("%d %s", status, text)
	}
	for _, want := range []string{"app.gone", "announcements2", `"other"`, "elsewhere", "later"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not listed in %s", want, text)
		}
	}
	s.data(t, s.as(t, "member", acme, anna), `{ contacts { id } }`, `{"contacts":[]}`)
	s.restart(t)
	s.data(t, s.as(t, "member", acme, anna), `{ contacts { id } }`, `{"contacts":[]}`)
}

func TestATriggerThatCannotBeInstalledIsInconsistent(t *testing.T) {
	s := newStand(t, options{sql: contactsSQL})
	for old, broken := range map[string]string{
		`{{HANDLER}}/contacts`: `{{UNSET}}/contacts`,
		`{"columns": "*"}`:     `{"columns": ["missing"]}`,
		`contact_added`:        `tenant_changed`,
	} {
		given := s.export(t)
		given.track(t, strings.ReplaceAll(contacts, old, broken))
		if status, text := s.replace(t, given, false); status != http.StatusBadRequest || !strings.Contains(text, `"event_trigger"`) {
			t.Errorf("%s: %d %s", broken, status, text)
		}
	}
}

func testReplacingIsForAdminAlone(t *testing.T, s *stand) {
	body := `{"type": "replace_metadata", "version": 2, "args": {"metadata": {"version": 3, "sources": []}}}`
	for _, header := range []http.Header{{}, s.as(t, "owner", acme, anna), asAdmin("X-Hasura-Role", "owner"), s.as(t, "admin", acme, anna)} {
		if status, text := s.api(t, header, body); status < 400 {
			t.Errorf("%v: %d %s", header, status, text)
		}
	}
	if tables := s.export(t).source()["tables"].([]any); len(tables) == 0 {
		t.Error("the metadata was replaced")
	}
}

func testWhatIsNoMetadataIsNotTaken(t *testing.T, s *stand) {
	before := s.export(t)
	for body, want := range map[string]string{
		`{"type": "replace_metadata", "version": 2, "args": 7}`:                                                                     `"parse-failed"`,
		`{"type": "replace_metadata", "version": 2, "args": {}}`:                                                                    `key \"metadata\" not found`,
		`{"type": "replace_metadata", "version": 2, "args": {"metadata": null}}`:                                                    `"path":"$.args.metadata"`,
		`{"type": "replace_metadata", "version": 2, "args": {"metadata": []}}`:                                                      `"parse-failed"`,
		`{"type": "replace_metadata", "version": 2, "args": {"metadata": {"version": 3}}}`:                                          `key \"sources\" not found`,
		`{"type": "replace_metadata", "version": 2, "args": {"metadata": {"version": 2, "tables": []}}}`:                            `"not-supported"`,
		`{"type": "replace_metadata", "version": 2, "args": {"metadata": {"resource_version": 1, "metadata": {"version": 3}}}}`:     `key \"version\" not found`,
		`{"type": "replace_metadata", "args": {"version": 3}}`:                                                                      `key \"sources\" not found`,
		`{"type": "replace_metadata", "args": {"version": 3, "sources": [{"name": "default", "kind": "mssql", "tables": [7]}]}}`:    `"parse-failed"`,
		`{"type": "replace_metadata", "args": {"version": 3, "sources": [{"name": "default", "kind": "postgres", "tables": [7]}]}}`: `"parse-failed"`,
		`{"type": "bulk", "args": [{"type": "replace_metadata", "args": {"version": 3, "sources": []}}]}`:                           `inside bulk`,
	} {
		if status, text := s.api(t, asAdmin(), body); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", body, status, text, want)
		}
	}
	compareJSON(t, before, s.export(t))
}
