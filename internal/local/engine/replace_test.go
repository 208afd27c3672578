package engine_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nself/tenancy/internal/local/engine"
)

// document is metadata as export_metadata gives it in version 2.
type document struct {
	Version  int64          `json:"resource_version"`
	Metadata map[string]any `json:"metadata"`
}

func (s *stand) export(t *testing.T) document {
	t.Helper()
	_, text := s.api(t, asAdmin(), `{"type": "export_metadata", "version": 2, "args": {}}`)
	var exported document
	if err := json.Unmarshal([]byte(text), &exported); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return exported
}

// source is the source default of the document.
func (d document) source() map[string]any {
	return d.Metadata["sources"].([]any)[0].(map[string]any)
}

// track adds a table, given as JSON.
func (d document) track(t *testing.T, table string) {
	t.Helper()
	var entry map[string]any
	if err := json.Unmarshal([]byte(table), &entry); err != nil {
		t.Fatal(err)
	}
	d.source()["tables"] = append(d.source()["tables"].([]any), entry)
}

func (s *stand) replace(t *testing.T, given document, allowInconsistent bool) (int, string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"type": "replace_metadata", "version": 2, "resource_version": given.Version,
		"args": map[string]any{"allow_inconsistent_metadata": allowInconsistent, "metadata": given.Metadata},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.api(t, asAdmin(), string(body))
}

// replaces is a replacement that must be taken.
func (s *stand) replaces(t *testing.T, given document) {
	t.Helper()
	status, text := s.replace(t, given, false)
	if status != http.StatusOK || text != `{"inconsistent_objects":[],"is_consistent":true}` {
		t.Fatalf("%d %s", status, text)
	}
}

const (
	contactsSQL = `CREATE TABLE app.contacts (id int PRIMARY KEY, tenant_id uuid NOT NULL, name text);
		GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON app.contacts TO nself_hasura`
	contacts = `{"table": {"schema": "app", "name": "contacts"}, "configuration": {"custom_name": "contacts"},
		"select_permissions": [{"role": "member", "permission": {"columns": ["id", "name"], "filter": {"tenant_id": {"_eq": "X-Hasura-Tenant-Id"}}}}],
		"insert_permissions": [{"role": "member", "permission": {"columns": ["id", "name"], "check": {}, "set": {"tenant_id": "x-hasura-Tenant-Id"}}}],
		"event_triggers": [{"name": "contact_added", "definition": {"insert": {"columns": "*"}}, "webhook": "{{HANDLER}}/contacts",
			"retry_conf": {"num_retries": 0, "interval_sec": 10, "timeout_sec": 60}}]}`
	addContact = `mutation { insert_contacts_one(object: {id: 1, name: "Ann"}) { name } }`
	contactsIs = `{"contacts":[{"id":1,"name":"Ann"}]}`
)

// newContacts starts an engine and gives it a table more.
func newContacts(t *testing.T) *stand {
	t.Helper()
	s := newStand(t, options{sql: contactsSQL})
	given := s.export(t)
	given.track(t, contacts)
	s.replaces(t, given)
	return s
}

func TestReplacedMetadataIsServedAndExportedAtOnce(t *testing.T) {
	s := newStand(t, options{sql: contactsSQL})
	member := s.as(t, "member", acme, anna)
	s.fails(t, member, `{ contacts { id } }`, missing, `field 'contacts' not found in type: 'query_root'`)
	given := s.export(t)
	given.track(t, contacts)
	given.Metadata["later_part"] = map[string]any{"n": 1.5, "null": nil}
	s.replaces(t, given)
	s.data(t, member, addContact, `{"insert_contacts_one":{"name":"Ann"}}`)
	s.data(t, member, `{ contacts { id name } }`, contactsIs)
	s.data(t, s.as(t, "member", techco, ben), `{ contacts { id } }`, `{"contacts":[]}`)
	if call := s.hook.next(t); call.path != "/contacts" {
		t.Errorf("the event went to %s", call.path)
	}
	given.Version++
	compareJSON(t, given, s.export(t))
}

func TestATriggerTakenOutOfTheMetadataFiresNoMore(t *testing.T) {
	s := newContacts(t)
	given := s.export(t)
	tables := given.source()["tables"].([]any)
	delete(tables[len(tables)-1].(map[string]any), "event_triggers")
	s.replaces(t, given)
	s.data(t, s.as(t, "member", acme, anna), addContact, `{"insert_contacts_one":{"name":"Ann"}}`)
	if n := one[int](t, s, `SELECT count(*) FROM hdb_catalog.event_log WHERE trigger_name = 'contact_added'`); n != 0 {
		t.Errorf("%d events were logged", n)
	}
	_, text := s.api(t, asAdmin(), `{"type": "pg_invoke_event_trigger", "args": {"name": "contact_added", "payload": {}}}`)
	if !strings.Contains(text, `"not-exists"`) {
		t.Errorf("invoked: %s", text)
	}
}

func TestReplacingAnOlderVersionIsAConflict(t *testing.T) {
	s := newContacts(t)
	before := s.export(t)
	old := document{Version: before.Version - 1, Metadata: before.Metadata}
	status, text := s.replace(t, old, false)
	if status != http.StatusConflict {
		t.Errorf("status %d", status)
	}
	compareJSON(t, map[string]any{
		"path": "$", "code": "conflict", "error": "metadata resource version referenced (1) did not match current version",
	}, json.RawMessage(text))
	compareJSON(t, before, s.export(t))
}

func TestOfTwoReplacementsOfOneVersionOneWins(t *testing.T) {
	s := newStand(t, options{sql: contactsSQL})
	given := s.export(t)
	given.track(t, contacts)
	var wait sync.WaitGroup
	statuses := make([]int, 4)
	for i := range statuses {
		wait.Go(func() { statuses[i], _ = s.replace(t, given, false) })
	}
	wait.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	if counts[http.StatusOK] != 1 || counts[http.StatusConflict] != len(statuses)-1 {
		t.Errorf("statuses %v", statuses)
	}
	if version := s.export(t).Version; version != given.Version+1 {
		t.Errorf("version %d after %d", version, given.Version)
	}
}

func TestReplacedMetadataOutlivesARestart(t *testing.T) {
	s := newContacts(t)
	member := s.as(t, "member", acme, anna)
	before := s.export(t)
	s.restart(t)
	compareJSON(t, before, s.export(t))
	s.data(t, member, addContact, `{"insert_contacts_one":{"name":"Ann"}}`)
	s.data(t, member, `{ contacts { id name } }`, contactsIs)
	if call := s.hook.next(t); call.path != "/contacts" {
		t.Errorf("the event went to %s", call.path)
	}
}

func TestFilesStandOverWhatWasStored(t *testing.T) {
	s := newContacts(t)
	member := s.as(t, "member", acme, anna)
	given := s.export(t)
	given.source()["tables"] = given.source()["tables"].([]any)[1:]
	status, text := s.replace(t, given, true)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	s.fails(t, member, `{ tenants { id } }`, missing, `field 'tenants' not found in type: 'query_root'`)
	s.restart(t)
	s.data(t, member, `{ tenants { id } contacts { id } }`, `{"tenants":[{"id":"`+acme+`"}],"contacts":[]}`)
	if version := s.export(t).Version; version != given.Version+2 {
		t.Errorf("version %d after %d and a merge", version, given.Version+1)
	}
}

func TestATableDroppedSinceIsInconsistentAtTheStart(t *testing.T) {
	s := newContacts(t)
	s.exec(t, `DROP TABLE app.contacts`)
	s.restart(t)
	if _, text := s.api(t, asAdmin(), `{"type": "get_inconsistent_metadata", "args": {}}`); !strings.Contains(text, "app.contacts") {
		t.Errorf("listed: %s", text)
	}
	s.exec(t, contactsSQL)
	if _, text := s.api(t, asAdmin(), `{"type": "reload_metadata", "args": {}}`); !strings.Contains(text, `"is_consistent":true`) {
		t.Errorf("reload: %s", text)
	}
	s.data(t, s.as(t, "member", acme, anna), addContact, `{"insert_contacts_one":{"name":"Ann"}}`)
	if call := s.hook.next(t); call.path != "/contacts" {
		t.Errorf("the event went to %s", call.path)
	}
}

func TestStoredMetadataThatDoesNotGoWithTheFilesEndsTheStart(t *testing.T) {
	s := newStand(t, options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.exec(t, `UPDATE hdb_catalog.hdb_metadata SET metadata = '{"version": 2}'`)
	_, err := engine.Start(t.Context(), s.config)
	if err == nil || !strings.Contains(err.Error(), "hdb_catalog.hdb_metadata") {
		t.Errorf("error = %v", err)
	}
}

func TestTheFirstFormTakesTheDocumentAlone(t *testing.T) {
	s := newStand(t, options{})
	_, text := s.api(t, asAdmin(), `{"type": "export_metadata", "args": {}}`)
	status, text := s.api(t, asAdmin(), `{"type": "replace_metadata", "args": `+text+`}`)
	if status != http.StatusOK || text != `{"message":"success"}` {
		t.Errorf("%d %s", status, text)
	}
}
