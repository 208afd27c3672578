package eventlog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
)

const acme = "00000000-0000-4000-8000-000000000001"

// insertAcme is the statement behind the recorded INSERT.
const insertAcme = `
INSERT INTO public.tenants VALUES ('` + acme + `', 'acme', 'Acme "Ünïcode" Inc', 'pro', 1, 9007199254740993, 12.5,
    '{a,b c}', '{"theme":{"primary":"#112233"}}', '\xdeadbeef', '2026-01-31', '2026-01-02 03:04:05.678901+00')`

var (
	uuidText = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	zoneless = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?$`)
)

// equalsRecording compares a delivery with a recorded one, all but the values of id and
// created_at, of which it compares the form.
func equalsRecording(t *testing.T, c call, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	decode(t, c.raw, &got)
	decode(t, text, &want)
	if id, _ := got["id"].(string); !uuidText.MatchString(id) {
		t.Errorf("id is %v, not a uuid", got["id"])
	}
	if at, _ := got["created_at"].(string); !zoneless.MatchString(at) {
		t.Errorf("created_at is %v, not a time without zone", got["created_at"])
	}
	got["id"], got["created_at"] = want["id"], want["created_at"]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("delivery differs from %s (-recorded +got):\n%s", file, diff)
	}
}

func TestInsertByPlainSQLArrivesAsHasuraSendsIt(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	start(t, db.config(t, h, tenantChanged(nil)))
	execute(t, db.Pool(t, writer), insertAcme)
	equalsRecording(t, h.next(t), "insert_plain_sql_writer.json")
}

func TestUpdateByMutationCarriesSessionAndTrace(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	execute(t, db.super, insertAcme)
	start(t, db.config(t, h, tenantChanged(nil)))
	err := pgx.BeginFunc(t.Context(), db.Pool(t, writer), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `
			SET LOCAL "hasura.user" = '{"x-hasura-role":"tenant_admin","x-hasura-user-id":"u-1","x-hasura-tenant-id":"`+acme+`"}';
			SET LOCAL "hasura.tracecontext" =
				'{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","sampling_state":"1"}';
			UPDATE public.tenants SET seats = 5`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := h.next(t)
	equalsRecording(t, c, "update_hasura_mutation.json")
	continues := map[string]string{"X-B3-TraceId": "4bf92f3577b34da6a3ce929d0e0e4736", "X-B3-ParentSpanId": "00f067aa0ba902b7", "X-B3-Sampled": "1"}
	for name, want := range continues {
		if got := c.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := "00-4bf92f3577b34da6a3ce929d0e0e4736-" + c.header.Get("X-B3-SpanId") + "-01"
	if got := c.header.Get("traceparent"); got != want {
		t.Errorf("traceparent is %q, want %q", got, want)
	}
}

func TestManualInvocationCarriesAnyPayload(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	log := start(t, db.config(t, h, tenantChanged(nil)))
	id, err := log.Invoke(t.Context(), "tenant_changed", []byte(`{"id":"`+acme+`"}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := h.next(t)
	equalsRecording(t, c, "manual.json")
	if c.body.ID != id {
		t.Errorf("delivered id %s, Invoke returned %s", c.body.ID, id)
	}
	if _, err := log.Invoke(t.Context(), "tenant_changed", []byte(`9007199254740993`), map[string]string{"X-Hasura-Role": "admin"}); err != nil {
		t.Fatal(err)
	}
	second := h.next(t).body.Event
	if second.Op != "MANUAL" || second.Data.Old != nil || second.Data.New != json.Number("9007199254740993") {
		t.Errorf("event is %+v, want MANUAL with new 9007199254740993", second)
	}
	if diff := cmp.Diff(any(map[string]any{"x-hasura-role": "admin"}), second.Session); diff != "" {
		t.Error(diff)
	}
}

// The engine's own tests on test_t1, as upstream_expectations.json records them.
func TestEachOperationCarriesOldAndNew(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	execute(t, db.super, `
		CREATE SCHEMA hge_tests;
		CREATE TABLE hge_tests.test_t1 (c1 int, c2 text);
		GRANT USAGE ON SCHEMA hge_tests TO stand_in, writer;
		GRANT TRIGGER ON hge_tests.test_t1 TO stand_in;
		GRANT ALL ON hge_tests.test_t1 TO writer`)
	target := tenantChanged(func(e *metadata.EventTrigger) { e.Name = "t1_all" })
	target.Table, target.Columns = metadata.TableName{Schema: "hge_tests", Name: "test_t1"}, []string{"c1", "c2"}
	start(t, db.config(t, h, target))
	text, err := os.ReadFile("testdata/upstream_expectations.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []received
	decode(t, text, &recorded)
	statements := []string{
		`INSERT INTO hge_tests.test_t1 VALUES (1, 'hello')`, `UPDATE hge_tests.test_t1 SET c2 = 'world'`, `DELETE FROM hge_tests.test_t1`,
	}
	pool := db.Pool(t, writer)
	for i, statement := range statements {
		execute(t, pool, statement)
		got, want := h.next(t).body.Event, recorded[i].Event
		want.Session = nil // these statements have none; the recorded ones were mutations
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-recorded +got):\n%s", statement, diff)
		}
	}
}
