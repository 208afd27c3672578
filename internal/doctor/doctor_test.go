package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// examine runs the doctor and returns its checks by name.
func examine(t *testing.T, config Config) (map[string]Check, bool) {
	t.Helper()
	checks := map[string]Check{}
	well := Run(t.Context(), config, func(check Check) { checks[check.Name] = check })
	for _, check := range checks {
		if !check.OK && check.Fix == "" {
			t.Errorf("%s fails and does not say what to do", check.Name)
		}
		if check.Detail == "" || strings.Contains(check.Detail, "\n") {
			t.Errorf("%s says %q", check.Name, check.Detail)
		}
	}
	return checks, well
}

func passes(t *testing.T, checks map[string]Check, names ...string) {
	t.Helper()
	for _, name := range names {
		if check, made := checks[name]; !made || !check.OK {
			t.Errorf("%s: %+v, want it to pass", name, check)
		}
	}
}

func fails(t *testing.T, checks map[string]Check, name, detail, fix string) {
	t.Helper()
	check, made := checks[name]
	if !made || check.OK || !strings.Contains(check.Detail, detail) || !strings.Contains(check.Fix, fix) {
		t.Errorf("%s: %+v, want a failure with %q and %q", name, check, detail, fix)
	}
}

func TestAMigratedDatabaseIsWell(t *testing.T) {
	db := pgtest.Database(t)
	for _, role := range []string{"nself_owner", "nself_server", "postgres"} {
		checks, _ := examine(t, Config{DatabaseURL: db.URL(role)})
		passes(t, checks, "database", "PostgreSQL version", "migrations", "roles", "row-level security", "clock of the database")
	}
}

func TestAnUnreachableDatabaseLeavesTheRestUnchecked(t *testing.T) {
	for url, want := range map[string]string{
		"":                                   "DATABASE_URL is not set",
		"postgres://u:hush@127.0.0.1:1/x":    "cannot be reached",
		"postgres://u:hu%zzsh@127.0.0.1:1/x": "not a PostgreSQL connection string",
	} {
		checks, well := examine(t, Config{DatabaseURL: url})
		fails(t, checks, "database", want, "DATABASE_URL")
		fails(t, checks, "roles", "not checked", "first")
		if well {
			t.Error("all is well without a database")
		}
		for _, check := range checks {
			if strings.Contains(check.Detail, "hush") || strings.Contains(check.Detail, "hu%zz") {
				t.Errorf("%s repeats the password: %s", check.Name, check.Detail)
			}
		}
	}
}

func TestAnEmptyDatabaseIsSentToInit(t *testing.T) {
	checks, _ := examine(t, Config{DatabaseURL: pgtest.Empty(t).URL("postgres")})
	fails(t, checks, "migrations", "not applied", "nself tenant init")
	fails(t, checks, "row-level security", "tenant_tables", "nself tenant init")
}

func TestAMigrationOfALaterVersionIsSeen(t *testing.T) {
	db := pgtest.Database(t)
	plant(t, db, "INSERT INTO nself.schema_migrations (version, name) VALUES (9795392000000, 'later')", "")
	checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "migrations", "1 newer", "same version")
}

func TestMigrationsOfTheInstallationsOwnAreNoLaterVersions(t *testing.T) {
	db := pgtest.Database(t)
	plant(t, db, "INSERT INTO nself.schema_migrations (version, name) VALUES (9795392000000, 'protect_crm_contacts'), (9795392000001, 'forget_crm_old'), (7, 'protect_crm_old')", "")
	checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	passes(t, checks, "migrations")
	if detail := checks["migrations"].Detail; !strings.HasSuffix(detail, " applied, and 3 of your own") {
		t.Errorf("told %q", detail)
	}
	plant(t, db, "INSERT INTO nself.schema_migrations (version, name) VALUES (9795392000002, 'protection')", "")
	checks, _ = examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "migrations", "1 newer", "same version")
}

func TestARoleThatMayNotReadTheLedgerIsTold(t *testing.T) {
	checks, _ := examine(t, Config{DatabaseURL: pgtest.Database(t).URL("nself_app")})
	fails(t, checks, "migrations", "permission denied", "nself_owner")
}

// plant does something wrong as the superuser, and undoes it at the end where the
// change outlives the database.
func plant(t *testing.T, db *pgtest.DB, wrong, undo string) {
	t.Helper()
	pool := db.Superuser(t)
	if _, err := pool.Exec(t.Context(), wrong); err != nil {
		t.Fatal(err)
	}
	if undo == "" {
		return
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, db.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(ctx) }()
		if _, err := conn.Exec(ctx, undo); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryRoleOutOfBoundsIsSeen(t *testing.T) {
	tests := []struct{ wrong, undo, detail, fix string }{
		{"ALTER ROLE nself_app SUPERUSER", "ALTER ROLE nself_app NOSUPERUSER", "nself_app is a superuser", "ALTER ROLE nself_app NOSUPERUSER"},
		{"ALTER ROLE nself_hasura BYPASSRLS", "ALTER ROLE nself_hasura NOBYPASSRLS", "nself_hasura bypasses", "ALTER ROLE nself_hasura NOBYPASSRLS"},
		{"ALTER TABLE tenants.tenant_members OWNER TO nself_hasura", "", "nself_hasura owns tenants.tenant_members", "OWNER TO nself_owner"},
		{"GRANT nself_owner TO nself_app", "REVOKE nself_owner FROM nself_app", "nself_app may act as nself_owner", "REVOKE nself_owner FROM nself_app"},
		{"REVOKE nself_tenant FROM nself_server", "GRANT nself_tenant TO nself_server", "may not SET ROLE", "GRANT nself_tenant TO nself_server"},
	}
	for _, tt := range tests {
		t.Run(tt.wrong, func(t *testing.T) {
			db := pgtest.Database(t)
			plant(t, db, tt.wrong, tt.undo)
			checks, well := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
			fails(t, checks, "roles", tt.detail, tt.fix)
			if well {
				t.Error("all is well")
			}
		})
	}
}

func TestAPolicyThatAsksForNoTenantIsSeen(t *testing.T) {
	for wrong, relation := range map[string]string{
		"CREATE POLICY leak ON tenants.tenants TO nself_app USING (true)": "tenants.tenants",
		"CREATE POLICY leak ON audit.log FOR INSERT WITH CHECK (true)":    "audit.log",
	} {
		db := pgtest.Database(t)
		plant(t, db, wrong, "")
		checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
		fails(t, checks, "row-level security", relation+" has, and the list has not: policy leak", "nself tenant protect "+relation)
	}
}

func TestAWallTakenDownIsSeen(t *testing.T) {
	for wrong, want := range map[string]string{
		"ALTER TABLE auth.users DISABLE ROW LEVEL SECURITY":               "auth.users lacks: row-level security is enabled",
		"ALTER TABLE audit.log NO FORCE ROW LEVEL SECURITY":               "audit.log lacks: row-level security is forced",
		"CREATE TABLE tenants.notes (tenant_id uuid NOT NULL, body text)": "tenants.notes has, and the list has not: rows of tenants",
	} {
		db := pgtest.Database(t)
		plant(t, db, wrong, "")
		checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
		fails(t, checks, "row-level security", want, "nself tenant audit")
	}
}

func TestATableOfTheServersThatOthersReadIsSeen(t *testing.T) {
	for wrong, want := range map[string]string{
		"GRANT SELECT ON nself.river_job TO nself_hasura": "nself.river_job has, and the list has not: nself_hasura may select",
		"GRANT DELETE ON auth.rate_limits TO nself_app":   "auth.rate_limits has, and the list has not: nself_app may delete",
	} {
		db := pgtest.Database(t)
		plant(t, db, wrong, "")
		checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
		fails(t, checks, "row-level security", want, "nself tenant audit --fix")
	}
}

// hasuraRan makes what Hasura makes in the database: its catalog and the event triggers.
const hasuraRan = `
	CREATE SCHEMA hdb_catalog AUTHORIZATION nself_hasura;
	SET ROLE nself_hasura;
	CREATE TABLE hdb_catalog.event_log (id text, payload jsonb);
	CREATE FUNCTION hdb_catalog.log() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO hdb_catalog.event_log VALUES (''e''); RETURN NULL; END';
	CREATE TRIGGER "notify_hasura_tenant_status_UPDATE" AFTER UPDATE ON tenants.tenants FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	CREATE TRIGGER "notify_hasura_member_usage_INSERT" AFTER INSERT ON tenants.tenant_members FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	CREATE TRIGGER "notify_hasura_member_usage_DELETE" AFTER DELETE ON tenants.tenant_members FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	CREATE TRIGGER "notify_hasura_storage_usage_INSERT" AFTER INSERT ON tenants.storage_objects FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	CREATE TRIGGER "notify_hasura_storage_usage_UPDATE" AFTER UPDATE ON tenants.storage_objects FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	CREATE TRIGGER "notify_hasura_storage_usage_DELETE" AFTER DELETE ON tenants.storage_objects FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	CREATE TRIGGER "notify_hasura_quota_reached_UPDATE" AFTER UPDATE ON billing.usage_totals FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log();
	RESET ROLE`

func TestEventTriggersAreLookedForInPostgres(t *testing.T) {
	db := pgtest.Database(t)
	checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "event triggers", "notify_hasura_member_usage_DELETE on tenants.tenant_members", "nself tenant init")
	fails(t, checks, "event log", "made none", "source default")
	plant(t, db, hasuraRan, "")
	checks, _ = examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	passes(t, checks, "event triggers")
	plant(t, db, `ALTER TABLE tenants.tenants DISABLE TRIGGER "notify_hasura_tenant_status_UPDATE"`, "")
	checks, _ = examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "event triggers", "not installed", "init")
}

func TestGrantEventLogOpensItToEveryWriter(t *testing.T) {
	db := pgtest.Database(t)
	plant(t, db, hasuraRan, "")
	owner := db.Pool(t, "nself_owner")
	state, err := EventLog(t.Context(), owner)
	if err != nil || !state.Present || len(state.Lacking) < 3 {
		t.Fatalf("before: %+v, %v", state, err)
	}
	checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "event log", "by nself_server, nself_tenant, nself_app, so", "nself tenant init")
	for range 2 {
		if err := GrantEventLog(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	if state, err = EventLog(t.Context(), owner); err != nil || len(state.Lacking) != 0 {
		t.Errorf("after: %+v, %v", state, err)
	}
	checks, _ = examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	passes(t, checks, "event log")
	for _, role := range writers[:2] {
		if _, err := db.Pool(t, role).Exec(t.Context(), "INSERT INTO hdb_catalog.event_log VALUES ('x')"); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}

func TestAnEventTriggerOnATableThatTheAppWritesNeedsTheAppsGrant(t *testing.T) {
	db := pgtest.Database(t)
	plant(t, db, hasuraRan, "")
	for _, op := range []string{"INSERT", "UPDATE", "DELETE"} {
		plant(t, db, `DROP TRIGGER "notify_hasura_storage_usage_`+op+`" ON tenants.storage_objects`, "")
	}
	plant(t, db, "GRANT USAGE ON SCHEMA hdb_catalog TO nself_server, nself_tenant; GRANT INSERT ON hdb_catalog.event_log TO nself_server, nself_tenant", "")
	checks, _ := examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	passes(t, checks, "event log")
	plant(t, db, `CREATE TABLE public.orders (id int); GRANT INSERT ON public.orders TO nself_app;
		CREATE TRIGGER "notify_hasura_order_INSERT" AFTER INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION hdb_catalog.log()`, "")
	checks, _ = examine(t, Config{DatabaseURL: db.URL("nself_owner")})
	fails(t, checks, "event log", "by nself_app, so", "nself tenant init")
}

func TestGrantEventLogFailsWhereTheRoleMayNotGrant(t *testing.T) {
	db := pgtest.Database(t)
	plant(t, db, hasuraRan, "")
	app := db.Pool(t, "nself_app")
	for _, given := range []string{"", "GRANT USAGE ON SCHEMA hdb_catalog TO nself_app; GRANT INSERT ON hdb_catalog.event_log TO nself_app"} {
		plant(t, db, given, "")
		if err := GrantEventLog(t.Context(), app); err == nil || !strings.Contains(err.Error(), "connect as nself_owner") {
			t.Errorf("granted by nself_app, which has %q: %v", given, err)
		}
	}
}

func TestHasuraIsAskedWithTheSecretOnly(t *testing.T) {
	for want, config := range map[string]Config{
		"HASURA_GRAPHQL_ENDPOINT is not set":     {AdminSecret: "s"},
		"HASURA_GRAPHQL_ADMIN_SECRET is not set": {Endpoint: "http://h"},
		"must begin with http":                   {Endpoint: "h:8080", AdminSecret: "s"},
		"cannot be reached":                      {Endpoint: "http://127.0.0.1:1", AdminSecret: "hush"},
	} {
		checks, _ := examine(t, config)
		fails(t, checks, "Hasura", want, "HASURA_GRAPHQL_ENDPOINT")
		fails(t, checks, "metadata applied", "not checked", "first")
		if strings.Contains(checks["Hasura"].Detail, "hush") {
			t.Error("the secret is repeated")
		}
	}
}

func TestTheServerIsExaminedOnlyWhereItIsNamed(t *testing.T) {
	checks, _ := examine(t, Config{})
	if _, made := checks["server"]; made {
		t.Error("a server nobody named was examined")
	}
	for url, want := range map[string]string{"http://127.0.0.1:1": "cannot be reached", "localhost:8080": "not an http", "http://u:p@h": "not an http"} {
		checks, _ = examine(t, Config{ServerURL: url})
		fails(t, checks, "server", want, "SERVER_URL")
		fails(t, checks, "clock of the server", "not checked", "first")
	}
}

func TestTheServersClockIsReadFromItsAnswer(t *testing.T) {
	tests := map[string]struct {
		status int
		ahead  time.Duration
		name   string
		want   string
	}{
		"well":        {200, 0, "", ""},
		"ahead":       {200, time.Minute, "clock of the server", "off this machine's"},
		"behind":      {200, -time.Minute, "clock of the server", "off this machine's"},
		"not ready":   {503, 0, "server", "/readyz answers 503: migrations pending"},
		"not a clock": {200, -1, "clock of the server", "no Date"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/base/readyz" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.Header().Set("Date", time.Now().Add(tt.ahead).UTC().Format(http.TimeFormat))
				if tt.ahead == -1 {
					w.Header()["Date"] = nil
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte("migrations pending"))
			}))
			defer server.Close()
			checks, _ := examine(t, Config{ServerURL: server.URL + "/base"})
			if tt.name == "" {
				passes(t, checks, "server", "clock of the server")
				return
			}
			fails(t, checks, tt.name, tt.want, "")
		})
	}
}
