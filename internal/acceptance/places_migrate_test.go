package acceptance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	contactsFile = `CREATE TABLE contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, email text);`
	phoneFile    = "ALTER TABLE contacts ADD COLUMN phone text;\nSELECT pg_sleep(0.08);"
	dealsFile    = `CREATE TABLE deals (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), contact_id uuid NOT NULL REFERENCES contacts ON DELETE CASCADE, amount bigint NOT NULL);
		GRANT ALL ON deals TO PUBLIC, nself_server;` // a mistake that the wall mends
)

// houses is how many tenants of strategy schema a stand has.
const houses = 24

// files writes the customer's migrations, by version and name.
func files(t *testing.T, dir string, bodies map[string]string) {
	t.Helper()
	for name, body := range bodies {
		if err := os.WriteFile(filepath.Join(dir, name+".sql"), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// houseTenant makes the n-th tenant with a schema of its own, as creating a tenant does.
func houseTenant(t *testing.T, server *pgx.Conn, n int) (tenant, schema string) {
	t.Helper()
	tenant = fmt.Sprintf("%08x-0000-4000-9000-0000000000b7", 0xc0000000+n)
	tx, err := server.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `INSERT INTO tenants.tenants (id, slug, name, strategy, owner_user_id) VALUES ($1, $2, $2, 'schema', $3)`, tenant, fmt.Sprintf("house-%d", n), firstUser); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES ($1, $2, 'owner')`, tenant, firstUser); err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(t.Context(), `SELECT tenants.create_tenant_schema($1, 'tenant_')`, tenant).Scan(&schema); err != nil {
		t.Fatalf("make a tenant's schema: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tenant, schema
}

func migrateMany(t *testing.T, s stand) {
	t.Helper()
	owner, _ := s.settle(t, "")
	server, dir := dial(t, s.server), place(t)
	files(t, dir, map[string]string{"1_contacts": contactsFile})
	s.must(t, "tenant", "migrate", "--dir", dir)
	for n := range houses {
		houseTenant(t, server, n)
	}
	wantLevel(t, owner, houses, 1)
	badFiles(t, s, owner, dir)
	files(t, dir, map[string]string{"2_phone": phoneFile, "3_deals": dealsFile})
	s.must(t, "tenant", "migrate", "--dir", dir, "--dry-run")
	wantLevel(t, owner, houses, 1)
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() {
		time.Sleep(300 * time.Millisecond)
		houseTenant(t, server, houses)
	})
	s.killed(t, 6, "tenant", "migrate", "--dir", dir, "--parallel", "3")
	meanwhile.Wait()
	wantLevel(t, owner, houses+1, 3)
	twoAtOnce(t, s, owner, dir)
	oneFails(t, s, owner, dir)
	files(t, dir, map[string]string{"2_phone": phoneFile + " -- and a word"})
	s.refuses(t, []string{"tenant", "migrate", "--dir", dir}, "2_phone")
	s.refuses(t, []string{"tenant", "migrate", "--dir", filepath.Join(dir, "nowhere")}, "nowhere")
	s.must(t, "tenant", "migrate", "status", "--json")
}

// wantLevel demands that so many tenants have so many migrations, each once, and that all
// their tables are the same and behind the wall.
func wantLevel(t *testing.T, owner *pgx.Conn, tenants, level int) {
	t.Helper()
	for sql, want := range map[string]int{
		`SELECT count(*) FROM tenants.tenant_schemas`:           tenants,
		`SELECT count(*) FROM tenants.tenant_schema_migrations`: tenants * level,
		`SELECT count(*) FROM nself.tenant_migrations`:          level,
		`SELECT count(DISTINCT columns) FROM (SELECT relnamespace, string_agg(relname || '.' || attname, ' ' ORDER BY relname, attname) AS columns
			FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
			WHERE relkind = 'r' AND relnamespace::regnamespace::text LIKE 'tenant\_%' AND relnamespace::regnamespace::text <> 'tenant_reads' GROUP BY 1) each`: 1,
		`SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text LIKE 'tenant\_%' AND relnamespace::regnamespace::text <> 'tenant_reads'
			AND NOT (relrowsecurity AND relforcerowsecurity AND relowner = 'nself_owner'::regrole)`: 0,
		`SELECT count(*) FROM pg_policy WHERE polname = 'everybody'`:                                          0,
		`SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname = 'deals' AND relacl::text ~ '[{,]=' `: 0,
	} {
		if got := number(t, owner, sql); got != want {
			t.Errorf("%s: %d, want %d", sql, got, want)
		}
	}
}

// badFiles are refused by the rehearsal, each before anything is registered or changed.
func badFiles(t *testing.T, s stand, owner *pgx.Conn, dir string) {
	t.Helper()
	before := shape(t, owner, "public")
	for name, body := range map[string]string{
		"syntax":       "CREATE TABLE tasks (id uuid);\nCREATE TABEL more ();",
		"outside":      `CREATE TABLE public.evil (id int);`,
		"own_schema":   `CREATE SCHEMA evil;`,
		"transaction":  `CREATE TABLE tasks (id uuid); COMMIT; CREATE TABLE more (id uuid);`,
		"concurrently": `CREATE INDEX CONCURRENTLY ON contacts (name);`,
		"definer":      `CREATE FUNCTION mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';`,
		"materialized": `CREATE MATERIALIZED VIEW names AS SELECT name FROM contacts;`,
		"our_tables":   `ALTER TABLE tenants.tenants DISABLE ROW LEVEL SECURITY;`,
		"open_policy":  `CREATE POLICY everybody ON contacts TO nself_app USING (true);`,
		"role":         `SET ROLE nself_server;`,
	} {
		files(t, dir, map[string]string{"2_" + name: body})
		s.refuses(t, []string{"tenant", "migrate", "--dir", dir}, "2_"+name)
		if err := os.Remove(filepath.Join(dir, "2_"+name+".sql")); err != nil {
			t.Fatal(err)
		}
	}
	files(t, dir, map[string]string{"1_again": dealsFile, "no_number": dealsFile, "2_Upper": dealsFile})
	s.refuses(t, []string{"tenant", "migrate", "--dir", dir}, "1_again", "no_number", "2_Upper")
	for _, name := range []string{"1_again", "no_number", "2_Upper"} {
		if err := os.Remove(filepath.Join(dir, name+".sql")); err != nil {
			t.Fatal(err)
		}
	}
	wantLevel(t, owner, houses, 1)
	if after := shape(t, owner, "public"); len(after) != len(before) {
		t.Errorf("a file that was refused left %v", after)
	}
}

func twoAtOnce(t *testing.T, s stand, owner *pgx.Conn, dir string) {
	t.Helper()
	files(t, dir, map[string]string{"4_note": `ALTER TABLE contacts ADD COLUMN note text; SELECT pg_sleep(0.02);`})
	var both sync.WaitGroup
	did := make([]outcome, 2)
	for i := range did {
		both.Go(func() { did[i] = s.nself(t, "tenant", "migrate", "--dir", dir) })
	}
	both.Wait()
	for _, d := range did {
		if d.code != 0 {
			t.Errorf("one of two at once: %v", d)
		}
	}
	wantLevel(t, owner, houses+1, 4)
}

// oneFails: a tenant whose rows break a migration does not stop the others, but as a
// canary it does; once mended, the same command does the rest.
func oneFails(t *testing.T, s stand, owner *pgx.Conn, dir string) {
	t.Helper()
	schema := "tenant_c0000007"
	exec1(t, owner, `INSERT INTO `+schema+`.contacts (name) VALUES ('Ada'), ('Ada')`)
	files(t, dir, map[string]string{"5_unique": "ALTER TABLE contacts ADD COLUMN nick text;\nCREATE UNIQUE INDEX contacts_name ON contacts (name);"})
	s.fails(t, []string{"tenant", "migrate", "--dir", dir, "--canary", "house-7"}, "house-7", "23505")
	if n := number(t, owner, `SELECT count(*) FROM tenants.tenant_schema_migrations WHERE version = 5`); n != 0 {
		t.Errorf("the canary failed, and %d tenants were migrated", n)
	}
	s.fails(t, []string{"tenant", "migrate", "--dir", dir, "--canary", "house-3"}, "house-7", "23505", "5_unique")
	if n := number(t, owner, `SELECT count(*) FROM tenants.tenant_schema_migrations WHERE version = 5`); n != houses {
		t.Errorf("%d tenants were migrated beside the one that fails, want %d", n, houses)
	}
	if n := number(t, owner, `SELECT count(*) FROM pg_attribute WHERE attrelid = '`+schema+`.contacts'::regclass AND attname = 'nick'`); n != 0 {
		t.Error("half of a migration that failed is there")
	}
	status := s.nself(t, "tenant", "migrate", "status")
	if !strings.Contains(status.out, "house-7") {
		t.Errorf("the status does not name the one that failed: %v", status)
	}
	exec1(t, owner, `DELETE FROM `+schema+`.contacts WHERE id = (SELECT id FROM `+schema+`.contacts LIMIT 1)`)
	s.must(t, "tenant", "migrate", "--dir", dir, "--only", "house-7")
	wantLevel(t, owner, houses+1, 5)
}
