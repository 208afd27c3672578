package eventlog

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/metadata"
)

// ours lists the triggers that the event log put into the database.
const ours = `
SELECT coalesce(array_agg(t.tgname || ' on ' || t.tgrelid::regclass ORDER BY t.tgname), '{}')::text[]
FROM pg_trigger t WHERE t.tgname LIKE 'notify_hasura_%'`

// startAndClose installs the targets and delivers nothing.
func startAndClose(t *testing.T, cfg Config) {
	t.Helper()
	log, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStartNeedsNeitherSuperuserNorOwner(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	startAndClose(t, db.config(t, h, tenantChanged(nil)))
	if query[bool](t, db.super, `SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = $1`, standIn) {
		t.Error("the event log's role is privileged; this test would prove nothing")
	}
	if query[bool](t, db.super, `SELECT pg_has_role($1, relowner, 'USAGE') FROM pg_class WHERE oid = 'public.tenants'::regclass`, standIn) {
		t.Error("the event log's role owns the table; this test would prove nothing")
	}
	want := []string{
		"notify_hasura_tenant_changed_DELETE on tenants", "notify_hasura_tenant_changed_INSERT on tenants", "notify_hasura_tenant_changed_UPDATE on tenants",
	}
	if diff := cmp.Diff(want, query[[]string](t, db.super, ours)); diff != "" {
		t.Error(diff)
	}
}

func TestStartAgainChangesOnlyWhatIsDeclaredAnew(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	startAndClose(t, db.config(t, h, tenantChanged(nil), oddNames()))
	execute(t, db.Pool(t, writer), insertAcme)
	execute(t, db.Pool(t, writer), `INSERT INTO "odd ""names" VALUES (1)`)

	insertOnly := tenantChanged(func(e *metadata.EventTrigger) { e.Definition.Update, e.Definition.Delete = nil, nil })
	for range 2 {
		startAndCloseQuietly(t, db, insertOnly)
		want := []string{"notify_hasura_tenant_changed_INSERT on tenants"}
		if diff := cmp.Diff(want, query[[]string](t, db.super, ours)); diff != "" {
			t.Error(diff)
		}
	}
	archived := query[[]string](t, db.super, `SELECT array_agg(trigger_name) FROM hdb_catalog.event_log WHERE archived`)
	if diff := cmp.Diff([]string{oddNames().Trigger.Name}, archived); diff != "" {
		t.Errorf("archived are not just the events of the removed trigger: %s", diff)
	}
	execute(t, db.Pool(t, stranger), `UPDATE public.tenants SET seats = 2`)
}

// startAndCloseQuietly leaves the events where they are: nothing listens at its webhook.
func startAndCloseQuietly(t *testing.T, db *database, targets ...Target) {
	t.Helper()
	startAndClose(t, db.config(t, &hook{url: "http://127.0.0.1:1"}, targets...))
}

func TestTriggerMovesToAnotherTable(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	startAndClose(t, db.config(t, h, tenantChanged(nil)))
	moved := oddNames()
	moved.Trigger.Name = "tenant_changed"
	startAndClose(t, db.config(t, h, moved))
	want := []string{`notify_hasura_tenant_changed_INSERT on "odd ""names"`, `notify_hasura_tenant_changed_UPDATE on "odd ""names"`}
	if diff := cmp.Diff(want, query[[]string](t, db.super, ours)); diff != "" {
		t.Error(diff)
	}
}

func TestNoTargetsLeaveNoTriggers(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	startAndClose(t, db.config(t, h, tenantChanged(nil)))
	startAndClose(t, db.config(t, h))
	if got := query[[]string](t, db.super, ours); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestStartSaysWhichRightIsMissing(t *testing.T) {
	for _, missing := range []struct{ revoke, want string }{
		{"REVOKE TRIGGER ON public.tenants FROM stand_in", "needs TRIGGER on the table"},
		{"DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM stand_in', current_database()); END $$", "needs CREATE on the database"},
	} {
		db, h := newDatabase(t), answering(t, 200)
		execute(t, db.super, missing.revoke)
		_, err := Start(t.Context(), db.config(t, h, tenantChanged(nil)))
		if err == nil || !strings.Contains(err.Error(), missing.want) {
			t.Errorf("after %s: %v, want an error with %q", missing.revoke, err, missing.want)
		}
	}
}

func TestInvokeRefusesWhatIsNotEnabled(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	log := start(t, db.config(t, h, tenantChanged(nil), oddNames()))
	for _, refused := range []struct{ trigger, payload, want string }{
		{"no_such_trigger", `{}`, ErrUnknownTrigger.Error()},
		{oddNames().Trigger.Name, `{}`, ErrManualDisabled.Error()},
		{"tenant_changed", `{`, "not JSON"},
		{"tenant_changed", ``, "not JSON"},
	} {
		_, err := log.Invoke(context.Background(), refused.trigger, []byte(refused.payload), nil)
		if err == nil || !strings.Contains(err.Error(), refused.want) {
			t.Errorf("Invoke(%s, %q) = %v, want an error with %q", refused.trigger, refused.payload, err, refused.want)
		}
	}
	if got := query[int64](t, db.super, eventCount); got != 0 {
		t.Errorf("%d events were logged all the same", got)
	}
}

// Whoever writes holds locks that making a trigger or an index waits for, and may come to
// wait for what the installation holds.
func TestInstallingWhatIsThereWaitsForNobody(t *testing.T) {
	db, h := newDatabase(t), answering(t, 200)
	execute(t, db.super, "ALTER DATABASE "+db.name(t)+" SET lock_timeout = '1s'")
	startAndClose(t, db.config(t, h, tenantChanged(nil), oddNames()))
	tx, err := db.Pool(t, writer).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), insertAcme); err != nil {
		t.Fatal(err)
	}
	log, err := Start(t.Context(), db.config(t, h, tenantChanged(nil), oddNames()))
	if err != nil {
		t.Fatalf("beside a writer: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNotAsDeclaredIsMadeAnew(t *testing.T) {
	db := newDatabase(t)
	writing := db.Pool(t, writer)
	const function = `hdb_catalog."notify_hasura_tenant_changed_INSERT"()`
	for _, spoil := range []string{
		`DROP TRIGGER "notify_hasura_tenant_changed_INSERT" ON public.tenants`,
		`ALTER TABLE public.tenants DISABLE TRIGGER "notify_hasura_tenant_changed_INSERT"`,
		`CREATE OR REPLACE TRIGGER "notify_hasura_tenant_changed_INSERT" AFTER DELETE ON public.tenants FOR EACH ROW EXECUTE FUNCTION ` + function,
		`CREATE OR REPLACE TRIGGER "notify_hasura_tenant_changed_INSERT" AFTER INSERT ON public.tenants FOR EACH ROW WHEN (false) EXECUTE FUNCTION ` + function,
		`CREATE OR REPLACE FUNCTION ` + function + ` RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`CREATE OR REPLACE FUNCTION hdb_catalog.insert_event_log(schema_name text, table_name text, trigger_name text, op text, row_data json)
		 RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`REVOKE INSERT ON hdb_catalog.event_log FROM writer`,
		`DROP TABLE hdb_catalog.event_log`,
	} {
		startAndCloseQuietly(t, db, tenantChanged(nil))
		execute(t, db.super, spoil)
		startAndCloseQuietly(t, db, tenantChanged(nil))
		execute(t, db.super, `TRUNCATE public.tenants, hdb_catalog.event_log`)
		execute(t, writing, insertAcme)
		if got := query[int64](t, db.super, eventCount); got != 1 {
			t.Errorf("after %s: %d events", spoil, got)
		}
	}
}
