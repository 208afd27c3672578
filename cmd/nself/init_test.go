package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestInitMigratesAnEmptyDatabaseOnce(t *testing.T) {
	env := environment{"DATABASE_URL": pgtest.Empty(t).URL("postgres")}
	conn, err := pgx.Connect(t.Context(), env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	all, err := migrate.Pending(t.Context(), conn)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d migrations of an empty database, %v", len(all), err)
	}
	var want strings.Builder
	for _, m := range all {
		fmt.Fprintf(&want, "✓ migration %s: applied\n", m)
	}
	const rest = "✓ metadata: left alone, as HASURA_GRAPHQL_ENDPOINT is not set\n✓ event log: Hasura has made none yet; run init again when it has\n"
	if diff := cmp.Diff(want.String()+rest, env.mustDo(t, "tenant", "init")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("✓ migrations: all were applied already\n"+rest, env.mustDo(t, "tenant", "init")); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	const nothing = "{\n  \"migrations_applied\": [],\n  \"metadata_changed\": [],\n  \"event_log_granted\": []\n}\n"
	if diff := cmp.Diff(nothing, env.mustDo(t, "tenant", "init", "--json")); diff != "" {
		t.Errorf("as JSON (-want +got):\n%s", diff)
	}
}

func TestInitFailsInOneLine(t *testing.T) {
	environment{"DATABASE_URL": "postgres://u:hush@127.0.0.1:1/x"}.mustRefuse(t, exitRefused, "cannot be reached", "tenant", "init")
	pgtest.Database(t) // where the roles of the cluster come from
	environment{"DATABASE_URL": pgtest.Empty(t).URL("nself_app")}.mustRefuse(t, exitRefused, "migration 1795392000000_ledger_and_roles", "tenant", "init")
}

// hasura is a double of Hasura's metadata API, for what the local stand-in does not
// do: keep metadata that is replaced. On a replace it makes its catalog, as Hasura does.
type hasura struct {
	t            *testing.T
	super        string // the database, as superuser
	version      int64
	metadata     json.RawMessage
	inconsistent string // what get_inconsistent_metadata finds until a reload
	meddle       int    // how many replaces find that someone else was quicker
	refuse       string // the answer to a replace, where there is one
	replaced     int
	reloaded     int
}

func (h *hasura) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var command struct {
		Type            string `json:"type"`
		ResourceVersion int64  `json:"resource_version"`
		Args            struct {
			Metadata json.RawMessage `json:"metadata"`
		} `json:"args"`
	}
	if err := json.NewDecoder(r.Body).Decode(&command); err != nil {
		h.t.Error(err)
	}
	switch command.Type {
	case "export_metadata":
		_, _ = fmt.Fprintf(w, `{"resource_version":%d,"metadata":%s}`, h.version, h.metadata)
	case "get_inconsistent_metadata":
		_, _ = fmt.Fprintf(w, `{"is_consistent":%t,"inconsistent_objects":[%s]}`, h.inconsistent == "", h.inconsistent)
	case "reload_metadata":
		h.reloaded++
		if !strings.Contains(h.inconsistent, "for good") {
			h.inconsistent = ""
		}
		_, _ = fmt.Fprint(w, `{"message":"success"}`)
	case "replace_metadata":
		h.replace(w, command.ResourceVersion, command.Args.Metadata)
	}
}

func (h *hasura) replace(w http.ResponseWriter, version int64, metadata json.RawMessage) {
	if h.meddle > 0 {
		h.meddle--
		h.version++
	}
	switch {
	case h.refuse != "":
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, h.refuse)
	case version != h.version:
		w.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprint(w, `{"path":"$","error":"metadata resource version referenced did not match current version","code":"conflict"}`)
	default:
		h.replaced++
		h.version, h.metadata = h.version+1, metadata
		h.makeCatalog()
		_, _ = fmt.Fprint(w, `{"is_consistent":true,"inconsistent_objects":[]}`)
	}
}

func (h *hasura) makeCatalog() {
	ctx := context.WithoutCancel(h.t.Context())
	conn, err := pgx.Connect(ctx, h.super)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, `SET ROLE nself_hasura; CREATE SCHEMA IF NOT EXISTS hdb_catalog; CREATE TABLE IF NOT EXISTS hdb_catalog.event_log (id text)`); err != nil {
		h.t.Error(err)
	}
}

// newHasura serves a double beside a migrated database.
func newHasura(t *testing.T) (*hasura, environment) {
	t.Helper()
	db := pgtest.Database(t)
	h := &hasura{t: t, super: db.URL("postgres"), version: 5, metadata: json.RawMessage(`{"version":3,"sources":[]}`)}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return h, environment{"DATABASE_URL": db.URL("nself_owner"), "HASURA_GRAPHQL_ENDPOINT": server.URL, "HASURA_GRAPHQL_ADMIN_SECRET": "s"}
}

func TestInitAppliesTheMetadataOnceAndOpensTheEventLog(t *testing.T) {
	h, env := newHasura(t)
	out := env.mustDo(t, "tenant", "init")
	for _, want := range []string{
		"✓ migrations: all were applied already\n", "✓ metadata: action createTenant added\n", "✓ metadata: source default added\n",
		"✓ event log: opened to nself_server, nself_tenant, nself_app\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	const again = "✓ migrations: all were applied already\n✓ metadata: all of it was applied already\n✓ event log: was open already\n"
	if diff := cmp.Diff(again, env.mustDo(t, "tenant", "init")); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	if h.replaced != 1 || h.reloaded != 0 {
		t.Errorf("replaced %d times, reloaded %d times", h.replaced, h.reloaded)
	}
}

func TestInitLeavesTheCustomersMetadataAlone(t *testing.T) {
	h, env := newHasura(t)
	h.metadata = json.RawMessage(`{"version":3,"sources":[{"name":"default","kind":"postgres","configuration":{"connection_info":{"database_url":{"from_env":"THEIRS"}}},
		"tables":[{"table":{"schema":"public","name":"orders"}}]}],"actions":[{"name":"ship","definition":{"handler":"http://shop"}}]}`)
	env.mustDo(t, "tenant", "init")
	for _, want := range []string{`{"from_env":"THEIRS"}`, `"name":"orders"`, `"handler":"http://shop"`, `"name":"createTenant"`, `"name":"tenant_members"`} {
		if !strings.Contains(string(h.metadata), want) {
			t.Errorf("%s is not in the metadata", want)
		}
	}
	if strings.Contains(string(h.metadata), "HASURA_DATABASE_URL") {
		t.Error("the customer's connection was replaced")
	}
}

func TestInitMergesAnewWhenSomeoneElseWasQuicker(t *testing.T) {
	h, env := newHasura(t)
	h.meddle = applyTries - 1
	env.mustDo(t, "tenant", "init")
	if h.replaced != 1 {
		t.Errorf("replaced %d times", h.replaced)
	}
	h, env = newHasura(t)
	h.meddle = applyTries
	got := env.nself(t, "tenant", "init")
	if got.code != exitRefused || !strings.Contains(got.err, "the metadata was not applied: metadata resource version") || h.replaced != 0 {
		t.Errorf("%+v after %d replaces", got, h.replaced)
	}
}

func TestInitFailsLoudlyWhereHasuraCannotServeTheMetadata(t *testing.T) {
	h, env := newHasura(t)
	h.refuse = `{"path":"$.args","error":"cannot continue due to inconsistent metadata","code":"unexpected","internal":[{"type":"table","name":"table orders","reason":"no such table"}]}`
	got := env.nself(t, "tenant", "init")
	if got.code != exitRefused || !strings.Contains(got.err, "inconsistent metadata; table orders: no such table") {
		t.Errorf("refused: %+v", got)
	}

	h, env = newHasura(t)
	h.inconsistent = `{"type":"table","name":"table tenants.tenants","reason":"not there yet"}`
	env.mustDo(t, "tenant", "init")
	if h.reloaded != 1 {
		t.Errorf("reloaded %d times", h.reloaded)
	}

	h, env = newHasura(t)
	h.inconsistent = `{"type":"remote_schema","name":"cms","reason":"gone for good"}`
	got = env.nself(t, "tenant", "init")
	if got.code != exitRefused || !strings.Contains(got.err, "Hasura cannot serve all of it: cms: gone for good") {
		t.Errorf("inconsistent: %+v", got)
	}
}

func TestInitNeedsHasuraOnTheSameDatabase(t *testing.T) {
	h, env := newHasura(t)
	h.super = pgtest.Database(t).URL("postgres")
	got := env.nself(t, "tenant", "init")
	if got.code != exitRefused || !strings.Contains(got.err, "source default must be that database") {
		t.Errorf("%+v", got)
	}
}

func initAndDoctorFindItWell(t *testing.T, i installation) {
	t.Helper()
	env := maps.Clone(i.environment)
	env.mustDo(t, "doctor")
	out := env.mustDo(t, "tenant", "init")
	if !strings.HasPrefix(out, "✓ migrations: all were applied already\n✓ metadata: all of it was applied already\n✓ event log: ") {
		t.Errorf("%s", out)
	}
	out = env.mustDo(t, "doctor")
	if strings.Count(out, "✓ ") != 14 || strings.Count(out, "\n") != 14 {
		t.Errorf("%s", out)
	}
	var checks []struct {
		Check string `json:"check"`
		OK    bool   `json:"ok"`
	}
	if err := json.Unmarshal([]byte(env.mustDo(t, "doctor", "--json")), &checks); err != nil || len(checks) != 14 || !checks[13].OK {
		t.Errorf("%v: %+v", err, checks)
	}
	env["HASURA_GRAPHQL_ADMIN_SECRET"] = "wrong"
	got := env.nself(t, "doctor")
	if got.code != exitRefused || got.err != "" || !strings.Contains(got.out, "✗ Hasura: invalid") || !strings.Contains(got.out, " → start Hasura") {
		t.Errorf("%+v", got)
	}
}
