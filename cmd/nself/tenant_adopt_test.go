package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
)

// withRows is withCRM with rows in the tables and a tenant.
func withRows(t *testing.T) (environment, *pgx.Conn, pgtest.Team) {
	t.Helper()
	db := pgtest.Database(t)
	conn, err := pgx.Connect(t.Context(), db.URL("nself_owner"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	const rows = `; INSERT INTO crm.contacts (name) SELECT 'Contact ' || n FROM generate_series(1, 300) n;
		INSERT INTO crm.deals (contact_id, title) SELECT id, 'Deal' FROM crm.contacts`
	if _, err := conn.Exec(t.Context(), crm+rows); err != nil {
		t.Fatal(err)
	}
	return environment{"DATABASE_URL": db.URL("nself_owner")}, conn, pgtest.NewTeam(t, db.Pool(t, "nself_server"))
}

// adoptBoth is the command on both tables.
func adoptBoth(more ...string) []string {
	return append([]string{"tenant", "adopt", "crm.contacts", "crm.deals"}, more...)
}

func TestAdoptShowsEveryStepAndChangesNothing(t *testing.T) {
	env, conn, team := withRows(t)
	shown := env.mustDo(t, adoptBoth("--dry-run")...)
	for _, part := range []string{"rows of before to " + team.Slug, "ADD COLUMN \"tenant_id\" uuid NOT NULL DEFAULT '" + team.ID.String() + "'",
		"lock: ACCESS EXCLUSIVE on crm.contacts, which blocks everybody", "lock: SHARE ROW EXCLUSIVE on tenants.tenants, which blocks writers",
		"CREATE UNIQUE INDEX CONCURRENTLY", "time: scans about", "FORCE ROW LEVEL SECURITY", "Nothing was changed."} {
		if !strings.Contains(shown, part) {
			t.Errorf("%q is not shown in:\n%s", part, shown)
		}
	}
	var left int
	const leftSQL = `SELECT (SELECT count(*) FROM information_schema.columns WHERE table_schema = 'crm' AND column_name = 'tenant_id') + (SELECT count(*) FROM nself.adoptions)`
	if err := conn.QueryRow(t.Context(), leftSQL).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d things are there now, %v", left, err)
	}
	var told adopted
	if err := json.Unmarshal([]byte(env.mustDo(t, adoptBoth("--dry-run", "--json")...)), &told); err != nil {
		t.Fatal(err)
	}
	if told.State != "planned" || told.Slug != team.Slug || len(told.Steps) < 10 || told.Steps[0].Locks[0].Blocks != "everybody" {
		t.Errorf("as JSON: %+v", told)
	}
}

func TestAdoptPreparesThenSwitches(t *testing.T) {
	env, conn, _ := withRows(t)
	prepared := env.mustDo(t, adoptBoth("--prepare")...)
	if !strings.Contains(prepared, "✓ crm.contacts, crm.deals prepared: what is left is the switch") {
		t.Errorf("prepared: %s", prepared)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO crm.contacts (name) VALUES ('from one who knows no tenant')`); err != nil {
		t.Errorf("before the switch: %v", err)
	}
	if status := env.mustDo(t, "tenant", "adopt", "--status"); !strings.Contains(status, "crm.contacts crm.deals") || !strings.Contains(status, "running") {
		t.Errorf("status: %s", status)
	}
	env.mustRefuse(t, exitUsage, "adopt needs --yes where there is no terminal to ask on", adoptBoth()...)
	for range 2 {
		done := env.mustDo(t, adoptBoth("--yes")...)
		if !strings.Contains(done, "✓ crm.contacts, crm.deals behind the wall in the database") {
			t.Errorf("done: %s", done)
		}
		if agree := env.mustDo(t, "tenant", "protect", "--check"); !strings.Contains(agree, withTwoMore(t)+" agree with the database") {
			t.Errorf("got %s", agree)
		}
	}
	env.mustRefuse(t, exitRefused, "the switch is done", adoptBoth("--undo")...)
}

func TestAdoptIsTakenBackBeforeTheSwitch(t *testing.T) {
	env, conn, _ := withRows(t)
	env.mustRefuse(t, exitRefused, "no adoption of these tables is open", adoptBoth("--undo")...)
	env.mustDo(t, adoptBoth("--prepare")...)
	if undone := env.mustDo(t, "tenant", "adopt", "--undo"); !strings.Contains(undone, "✓ crm.contacts, crm.deals as before\n") {
		t.Errorf("undone: %s", undone)
	}
	var columns int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM information_schema.columns WHERE table_schema = 'crm' AND column_name = 'tenant_id'`).Scan(&columns); err != nil || columns != 0 {
		t.Errorf("%d tables have a tenant column, %v", columns, err)
	}
}

// The files are for databases whose tables are empty, and agree with this one.
func TestAdoptWritesAProjectThatAgrees(t *testing.T) {
	env, conn, _ := withRows(t)
	dir := copyOf(t, "../../hasura")
	written := env.mustDo(t, adoptBoth("--yes", "--dir", dir)...)
	if strings.Count(written, "written\n") != 6 {
		t.Errorf("written: %s", written)
	}
	env.mustDo(t, "tenant", "protect", "--check", "--dir", dir)
	starts(t, conn, dir) // the migration counts as run here
	env.mustDo(t, "tenant", "protect", "--check", "--dir", dir)
}

func TestAdoptGivesHasuraThePermissions(t *testing.T) {
	h, env := newHasura(t)
	conn, err := pgx.Connect(t.Context(), env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	server, err := pgx.Connect(t.Context(), h.super)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(t.Context()) })
	pgtest.NewTeam(t, server)
	env.mustDo(t, "tenant", "init")
	if _, err := conn.Exec(t.Context(), `CREATE TABLE public.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text); INSERT INTO public.users (name) VALUES ('a')`); err != nil {
		t.Fatal(err)
	}
	done := env.mustDo(t, "tenant", "adopt", "public.users", "--yes")
	if !strings.Contains(done, "public.users is called public_users in Hasura") || !strings.Contains(string(h.metadata), `"custom_name":"public_users"`) {
		t.Errorf("done: %s", done)
	}
	env.mustDo(t, "tenant", "protect", "--check")
}

func TestAdoptRefusesAtOnce(t *testing.T) {
	env, _, team := withRows(t)
	env.mustRefuse(t, exitUsage, `"contacts" is no table: write schema.table; --prepare, --undo, --status and --dry-run are one or none; the longest wait is 1s`,
		"tenant", "adopt", "contacts", "--prepare", "--undo", "--max-wait", "1s")
	env.mustRefuse(t, exitUsage, "name the tables, as schema.table", "tenant", "adopt", "--dry-run")
	env.mustRefuse(t, exitRefused, `there is no tenant "nobody"`, adoptBoth("--tenant", "nobody", "--yes")...)
	env.mustRefuse(t, exitRefused, "crm.deals refers to crm.contacts by deals_contact_id_fkey and has no wall: protect both at once", "tenant", "adopt", "crm.contacts", "--yes")
	env.mustRefuse(t, exitRefused, "no adoption of these tables is open", adoptBoth("--status")...)
	env.mustDo(t, adoptBoth("--prepare")...)
	env.mustRefuse(t, exitRefused, "name the tables of one adoption together; open are: crm.contacts crm.deals", "tenant", "adopt", "crm.deals", "--yes")
	env.mustRefuse(t, exitRefused, "gives the rows to "+team.Slug, adoptBoth("--tenant", "other", "--yes")...)
}

// Who stops the command while it still plans is told that nothing was done, and leaves
// nothing at work in the database.
func TestAdoptIsStoppedWhileItPlans(t *testing.T) {
	env, conn, _ := withRows(t)
	holder, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `LOCK TABLE crm.contacts IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	waiting := func(want int) {
		const waitingSQL = `SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
		for n := -1; n != want; time.Sleep(5 * time.Millisecond) {
			if err := holder.QueryRow(t.Context(), waitingSQL).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan result)
	go func() { ended <- env.nselfWith(ctx, adoptBoth("--yes")...) }()
	waiting(1)
	interrupt()
	if got := <-ended; got != (result{exitRefused, "", "nself: stopped: nothing was changed\n"}) {
		t.Errorf("%+v", got)
	}
	waiting(0)
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	env.mustRefuse(t, exitRefused, "no adoption of these tables is open", adoptBoth("--status")...)
}
