package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
)

const crm = `
	CREATE SCHEMA crm;
	CREATE TABLE crm.contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL);
	CREATE TABLE crm.deals (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), contact_id uuid REFERENCES crm.contacts, title text NOT NULL)`

// withCRM is a migrated database with two tables of a customer's, and the command on it.
func withCRM(t *testing.T) (environment, *pgx.Conn) {
	t.Helper()
	db := pgtest.Database(t)
	conn, err := pgx.Connect(t.Context(), db.URL("nself_owner"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	if _, err := conn.Exec(t.Context(), crm); err != nil {
		t.Fatal(err)
	}
	return environment{"DATABASE_URL": db.URL("nself_owner")}, conn
}

func TestProtectShowsAndChangesNothing(t *testing.T) {
	env, conn := withCRM(t)
	shown := env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals")
	for _, part := range []string{"up.sql", "FORCE ROW LEVEL SECURITY", "── tenant_tables.yaml", "- table: crm.contacts", "crm_deals.yaml", "_eq: X-Hasura-Tenant-Id"} {
		if !strings.Contains(shown, part) {
			t.Errorf("%q is not shown in:\n%s", part, shown)
		}
	}
	var columns int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM information_schema.columns WHERE table_schema = 'crm' AND column_name = 'tenant_id'`).Scan(&columns); err != nil || columns != 0 {
		t.Errorf("%d tables have a tenant column now, %v", columns, err)
	}
	var told struct {
		Tables  []string
		Files   []struct{ Path, Text string }
		Applied bool
	}
	if err := json.Unmarshal([]byte(env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--json")), &told); err != nil {
		t.Fatal(err)
	}
	if len(told.Tables) != 2 || len(told.Files) != 6 || told.Applied {
		t.Errorf("as JSON: %v, %d files, applied %v", told.Tables, len(told.Files), told.Applied)
	}
}

func TestProtectAppliesOnceAndAgain(t *testing.T) {
	env, _ := withCRM(t)
	for range 2 {
		done := env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--apply")
		if !strings.Contains(done, "✓ crm.contacts, crm.deals behind the wall in the database\n") || !strings.Contains(done, "Hasura was left alone") {
			t.Errorf("got %s", done)
		}
		if agree := env.mustDo(t, "tenant", "protect", "--check"); !strings.Contains(agree, withTwoMore(t)+" agree with the database") {
			t.Errorf("got %s", agree)
		}
	}
}

// withTwoMore are the declared tables, once two of the customer's are protected.
func withTwoMore(t *testing.T) string {
	t.Helper()
	ours, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d declared tables", len(ours)+2)
}

// The files written are a Hasura project's: what is applied from them agrees with them,
// and a declaration that is changed there is what the tables get.
func TestProtectWritesAProjectThatAgrees(t *testing.T) {
	env, conn := withCRM(t)
	dir := copyOf(t, "../../hasura")
	written := env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--dir", dir, "--write")
	if strings.Count(written, "written\n") != 6 {
		t.Errorf("written: %s", written)
	}
	got := env.nself(t, "tenant", "protect", "--check", "--dir", dir)
	if got.code != exitRefused || !strings.Contains(got.out, "✗ database: crm.contacts lacks: row-level security is enabled") {
		t.Errorf("before the migration: %+v", got)
	}
	migrations, err := filepath.Glob(filepath.Join(dir, "migrations/default/*protect_crm_contacts_crm_deals/up.sql"))
	if err != nil || len(migrations) != 1 {
		t.Fatalf("migrations %v, %v", migrations, err)
	}
	up, err := os.ReadFile(migrations[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // done once, whoever runs it and how often
		if _, err := conn.Exec(t.Context(), string(up)); err != nil {
			t.Fatal(err)
		}
	}
	if agree := env.mustDo(t, "tenant", "protect", "--check", "--dir", dir); !strings.Contains(agree, withTwoMore(t)+" agree with the database and the metadata") {
		t.Errorf("got %s", agree)
	}

	got = env.nself(t, "tenant", "protect", "--check", "--dir", copyOf(t, "../../hasura"))
	if got.code != exitRefused || !strings.Contains(got.out, "registry: crm.contacts has, and the list has not: its declaration") {
		t.Errorf("a project without the tables: %+v", got)
	}

	list := filepath.Join(dir, "tenant_tables.yaml")
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	narrowed := strings.Replace(string(text), "update: [contact_id, title]", "update: [title]", 1)
	if narrowed == string(text) {
		t.Fatalf("the list does not hold what is to be narrowed:\n%s", text)
	}
	if err := os.WriteFile(list, []byte(narrowed), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := env.nself(t, "tenant", "protect", "--check", "--dir", dir); got.code != exitRefused || !strings.Contains(got.out, "tenant_member may update contact_id, title") {
		t.Errorf("a list that was changed: %+v", got)
	}
	env.mustDo(t, "tenant", "protect", "crm.deals", "--dir", dir, "--write", "--apply")
	env.mustDo(t, "tenant", "protect", "--check", "--dir", dir)
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestProtectRefusesInOneLine(t *testing.T) {
	env, _ := withCRM(t)
	env.mustRefuse(t, exitUsage, "name the tables, as schema.table", "tenant", "protect")
	env.mustRefuse(t, exitUsage, `"contacts" is no table: write schema.table`, "tenant", "protect", "contacts")
	env.mustRefuse(t, exitUsage, "--write needs the project directory", "tenant", "protect", "crm.contacts", "--write")
	env.mustRefuse(t, exitUsage, "it takes no tables", "tenant", "protect", "crm.contacts", "--check")
	environment{}.mustRefuse(t, exitUsage, "DATABASE_URL is not set; name the tables", "tenant", "protect")
	env.mustRefuse(t, exitRefused, "crm.nothing does not exist", "tenant", "protect", "crm.nothing")
	env.mustRefuse(t, exitRefused, "crm.deals refers to crm.contacts by deals_contact_id_fkey and has no wall: protect both at once", "tenant", "protect", "crm.contacts")
}

func TestTheListInTheDatabaseIsTheProjects(t *testing.T) {
	env, conn := withCRM(t)
	env.mustDo(t, "tenant", "protect", "crm.contacts", "crm.deals", "--apply")
	list, err := isolation.Registered(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	table, found := list.Find(isolation.Name{Schema: "crm", Name: "deals"})
	if !found || table.TenantColumn() != "tenant_id" || len(table.Grants["nself_app"]) != 4 {
		t.Errorf("registered: %+v, %v", table, found)
	}
}
