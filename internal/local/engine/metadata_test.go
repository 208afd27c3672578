package engine_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/metadata"
)

const tables = "databases/default/tables/"

// edited is the test project with some files replaced.
func edited(t *testing.T, changes map[string]string) fs.FS {
	t.Helper()
	tree := fstest.MapFS{}
	root := os.DirFS("testdata/project")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		tree[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range changes {
		tree[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func (s *stand) api(t *testing.T, header http.Header, body string) (int, string) {
	t.Helper()
	status, text, _ := s.post(t, "/v1/metadata", header, []byte(body))
	return status, string(text)
}

func (s *stand) get(t *testing.T, path string) (int, string) {
	t.Helper()
	answer, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func testExportedMetadataIsTheFiles(t *testing.T, s *stand) {
	loaded, err := metadata.Load(os.DirFS("testdata/project"))
	if err != nil {
		t.Fatal(err)
	}
	_, text := s.api(t, asAdmin(), `{"type": "export_metadata", "args": {}}`)
	compareJSON(t, loaded.JSON, json.RawMessage(text))
	_, text = s.api(t, asAdmin(), `{"type": "bulk", "args": [{"type": "export_metadata", "version": 2, "args": {}}]}`)
	compareJSON(t, []any{map[string]any{"resource_version": 1, "metadata": loaded.JSON}}, json.RawMessage(text))
}

func testMetadataAPIIsForAdminAlone(t *testing.T, s *stand) {
	for _, header := range []http.Header{{}, s.as(t, "owner", acme, anna), asAdmin("X-Hasura-Role", "owner"), s.as(t, "admin", acme, anna)} {
		if status, text := s.api(t, header, `{"type": "export_metadata", "args": {}}`); status < 400 || strings.Contains(text, "sources") {
			t.Errorf("%v: %d %s", header, status, text)
		}
	}
}

func testUnservedCommandsSaySo(t *testing.T, s *stand) {
	for body, want := range map[string]string{
		`{"type": "pg_track_table", "args": {}}`: "not-supported",
		`{"type": "bulk", "args": {}}`:           "parse-failed",
		`{`:                                      "invalid-json",
		`{"type": "pg_invoke_event_trigger", "args": {"name": "nothing", "payload": {}}}`: "not-exists",
		`{"type": "pg_redeliver_event", "args": {"event_id": "` + acme + `"}}`:            "not-exists",
		`{"type": "pg_redeliver_event", "args": 7}`:                                       "parse-failed",
		`{"type": "pg_invoke_event_trigger", "args": 7}`:                                  "parse-failed",
	} {
		if status, text := s.api(t, asAdmin(), body); status != http.StatusBadRequest || !strings.Contains(text, `"code":"`+want+`"`) {
			t.Errorf("%s: %d %s, want %s", body, status, text, want)
		}
	}
}

func testHealthAndVersion(t *testing.T, s *stand) {
	if status, text := s.get(t, "/healthz?strict=true"); status != 200 || text != "OK" {
		t.Errorf("healthz: %d %s", status, text)
	}
	if _, text := s.get(t, "/v1/version"); !strings.Contains(text, "standin") {
		t.Errorf("version: %s", text)
	}
}

func TestWhatDoesNotFitTheDatabaseIsLeftOutAndListed(t *testing.T) {
	broken := map[string]string{
		tables + "app_tenants.yaml": `
table: {schema: app, name: tenants}
configuration: {custom_name: tenants}
object_relationships: [{name: parent, using: {foreign_key_constraint_on: parent_id}}]
array_relationships:
  - {name: name, using: {manual_configuration: {remote_table: {schema: app, name: notes}, column_mapping: {id: tenant_id}}}}
  - {name: lost, using: {manual_configuration: {remote_table: {schema: app, name: gone}, column_mapping: {id: tenant_id}}}}
  - {name: odd, using: {manual_configuration: {remote_table: {schema: app, name: notes}, column_mapping: {id: nothing}}}}
select_permissions:
  - {role: member, permission: {columns: [id, missing], filter: {}}}
  - {role: owner, permission: {columns: [id], filter: {nothing: {_eq: 1}}}}
  - {role: auditor, permission: {columns: [id], filter: {seats: {_like: x}}}}
  - {role: stranger, permission: {columns: [id], filter: {}}}
insert_permissions: [{role: owner, permission: {columns: [name], check: {}, set: {lost: 1}}}]
`,
		tables + "app_probe.yaml":            "table: {schema: app, name: gone}\n",
		tables + "public_announcements.yaml": "table: {schema: public, name: announcements}\nconfiguration: {custom_name: tenants}\n",
		"actions.graphql":                    "type Mutation { go(x: Lost): String  stay: String nowhere: Gone }\n type Query { fine: timestamptz }",
		"actions.yaml": "actions:\n" + strings.Repeat("", 0) +
			"- {name: go, definition: {handler: x}}\n- {name: nowhere, definition: {handler: x}}\n- {name: fine, definition: {handler: x}}\n",
	}
	s := newStand(t, options{tree: edited(t, broken)})
	if status, text := s.get(t, "/healthz"); status != 200 || text != "WARN: inconsistent objects in schema" {
		t.Errorf("healthz: %d %s", status, text)
	}
	if status, _ := s.get(t, "/healthz?strict=true"); status != 500 {
		t.Errorf("strict healthz: %d", status)
	}
	_, text := s.api(t, asAdmin(), `{"type": "get_inconsistent_metadata", "args": {}}`)
	var listed struct {
		IsConsistent bool `json:"is_consistent"`
		Objects      []struct{ Type, Name, Reason string }
		Inconsistent []struct{ Type, Name, Reason string } `json:"inconsistent_objects"`
	}
	if err := json.Unmarshal([]byte(text), &listed); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range listed.Inconsistent {
		if object.Reason == "" {
			t.Errorf("%s has no reason", object.Name)
		}
		names = append(names, object.Name)
	}
	all := strings.Join(names, "\n")
	for _, want := range []string{
		"app.gone", "public.announcements", "object_relation parent", "array_relation name", "array_relation lost", "array_relation odd",
		"select_permission of role member", "select_permission of role owner", "select_permission of role auditor", "insert_permission of role owner",
		"go", "stay", "nowhere",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not listed among:\n%s", want, all)
		}
	}
	if listed.IsConsistent || len(names) != 13 {
		t.Errorf("%d objects listed:\n%s", len(names), all)
	}
	s.data(t, asAdmin("X-Hasura-Role", "stranger"), `{ tenants(order_by: {id: asc}) { id } }`, `{"tenants":[{"id":"`+acme+`"},{"id":"`+techco+`"}]}`)
	s.fails(t, asAdmin("X-Hasura-Role", "owner"), `{ tenants { id } }`, missing, `field 'tenants' not found in type: 'query_root'`)
}

func TestReloadSeesNewColumns(t *testing.T) {
	s := newStand(t, options{})
	s.exec(t, `ALTER TABLE public.announcements ADD COLUMN author text DEFAULT 'someone'`)
	s.fails(t, asAdmin(), `{ announcements { author } }`, missing, `field 'author' not found in type: 'announcements'`)
	if _, text := s.api(t, asAdmin(), `{"type": "reload_metadata", "args": {}}`); !strings.Contains(text, `"success"`) {
		t.Errorf("reload: %s", text)
	}
	s.data(t, asAdmin(), `{ announcements { author } }`, `{"announcements":[{"author":"someone"}]}`)
}

func TestStartRefusesWhatItCannotServe(t *testing.T) {
	valid := engine.Config{
		Metadata: &metadata.Metadata{}, AdminSecret: "s", Env: os.Getenv, Log: slog.New(slog.DiscardHandler), DatabaseURL: "postgres://127.0.0.1:1/none",
	}
	for want, change := range map[string]func(*engine.Config){
		"needs an admin secret": func(c *engine.Config) { c.AdminSecret = "" },
		"needs metadata":        func(c *engine.Config) { c.Metadata = nil },
		"needs an environment":  func(c *engine.Config) { c.Env = nil },
		"connect":               func(*engine.Config) {},
	} {
		config := valid
		change(&config)
		if _, err := engine.Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want one that says %q", err, want)
		}
	}
}

func TestTypesOfOneNameAreRefusedAtTheStart(t *testing.T) {
	tree := edited(t, map[string]string{
		"actions.graphql": "type Mutation { go: members } type members { id: Int }", "actions.yaml": "actions: [{name: go, definition: {handler: x}}]",
	})
	_, err := tryStand(t, options{tree: tree})
	if err == nil || !strings.Contains(err.Error(), "two different types of the same name: members") {
		t.Errorf("error = %v", err)
	}
}

func fsRead(path string) (string, error) {
	text, err := os.ReadFile("testdata/project/" + path)
	return string(text), err
}
