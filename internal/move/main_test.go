package move

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// shared are tables of a customer's, and own the same in a tenant's schema: a unique value,
// a reference, an identity, a key of two columns, rows that refer to others of their table,
// a circle of two tables, a generated column, and partitions.
const shared = `
	CREATE SCHEMA crm; GRANT ALL ON SCHEMA crm TO nself_owner;
	CREATE TABLE crm.contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, position integer UNIQUE, size integer GENERATED ALWAYS AS (length(name)) STORED);
	CREATE TABLE crm.deals (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contact_id uuid REFERENCES crm.contacts ON DELETE CASCADE, title text, amount numeric);
	CREATE TABLE crm.marks ("the key" text, day date, "it's" jsonb, PRIMARY KEY (day, "the key"));
	CREATE TABLE crm.folders (id serial PRIMARY KEY, parent_id integer REFERENCES crm.folders, name text);
	CREATE TABLE crm.teams (id integer PRIMARY KEY, lead_id integer);
	CREATE TABLE crm.people (id integer PRIMARY KEY, team_id integer NOT NULL REFERENCES crm.teams);
	CREATE INDEX ON crm.deals (contact_id);
	ALTER TABLE crm.teams ADD FOREIGN KEY (lead_id) REFERENCES crm.people;`

const own = `
	CREATE TABLE contacts (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, position integer UNIQUE, size integer GENERATED ALWAYS AS (length(name)) STORED);
	CREATE TABLE deals (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contact_id uuid REFERENCES contacts ON DELETE CASCADE, title text, amount numeric);
	CREATE TABLE marks ("the key" text, day date, "it's" jsonb, PRIMARY KEY (day, "the key")) PARTITION BY RANGE (day);
	CREATE TABLE marks_old PARTITION OF marks FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
	CREATE TABLE marks_new PARTITION OF marks FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
	CREATE TABLE folders (id serial PRIMARY KEY, parent_id integer REFERENCES folders, name text);
	CREATE TABLE teams (id integer PRIMARY KEY, lead_id integer);
	CREATE TABLE people (id integer PRIMARY KEY, team_id integer NOT NULL REFERENCES teams);
	CREATE INDEX ON deals (contact_id);
	ALTER TABLE teams ADD FOREIGN KEY (lead_id) REFERENCES people;
	INSERT INTO contacts (name) VALUES ('a sample that the migration makes');`

var tableNames = []string{"contacts", "deals", "marks", "folders", "teams", "people"}

// house is a database with the tables, and two tenants with rows in them.
type house struct {
	db           *pgtest.DB
	admin, app   *pgxpool.Pool
	acme, techco pgtest.Team
	login        string // of conn
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return houseOf(t, shared, own, tableNames)
}

func houseOf(t testing.TB, shared, own string, tables []string) *house {
	t.Helper()
	h := &house{db: pgtest.Database(t), login: "postgres"}
	h.admin, h.app = h.db.Superuser(t), h.db.Pool(t, "nself_app")
	server := h.db.Pool(t, "nself_server")
	h.acme, h.techco = pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	h.exec(t, shared)
	h.register(t, 1, own)
	var names []isolation.Name
	for _, table := range tables {
		names = append(names, isolation.Name{Schema: "crm", Name: table})
	}
	conn := h.conn(t)
	list, err := isolation.Installed(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := isolation.Protect(t.Context(), conn, isolation.Request{List: list, Names: names, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), plan.Migration(time.Now()).Up); err != nil {
		t.Fatal(err)
	}
	h.exec(t, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA crm TO nself_app")
	return h
}

func (h *house) register(t testing.TB, version int, body string) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	h.exec(t, `INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES ($1, 'tables', $2, $3)`, version, body, hex.EncodeToString(sum[:]))
}

func (h *house) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.admin.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// ask is the one text that a query answers.
func (h *house) ask(t testing.TB, sql string, args ...any) string {
	t.Helper()
	var answer string
	if err := h.admin.QueryRow(t.Context(), sql, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

// conn is a connection that a move may have.
func (h *house) conn(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.db.URL(h.login))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// input moves acme, in small batches.
func (h *house) input(t testing.TB, to Target) Input {
	t.Helper()
	return Input{Tenant: h.acme.Slug, To: to, Prefix: "tenant_", Batch: 500, MaxWait: 200 * time.Millisecond, Progress: func(text string) { t.Log(text) }}
}

// fill gives a tenant rows in every table.
func (h *house) fill(t testing.TB, tenant pgtest.Team) {
	t.Helper()
	h.as(t, tenant, `INSERT INTO crm.contacts (name, position) SELECT 'contact ' || n, n FROM generate_series(1, 150) n`)
	h.as(t, tenant, `INSERT INTO crm.deals (contact_id, title, amount) SELECT id, 'deal of ' || name, position * 1.50 FROM crm.contacts`)
	h.as(t, tenant, `INSERT INTO crm.marks SELECT 'mark ' || n, '2025-10-01'::date + n, jsonb_build_object('n', n) FROM generate_series(1, 150) n`)
	h.as(t, tenant, `INSERT INTO crm.folders (id, parent_id, name) SELECT n, nullif((n * 7) % 120 + 1, n), 'folder' FROM generate_series(1, 120) n`)
	h.exec(t, `SELECT setval('crm.folders_id_seq', 120)`)
	h.as(t, tenant, `INSERT INTO crm.teams (id) SELECT generate_series(1, 30)`)
	h.as(t, tenant, `INSERT INTO crm.people SELECT n, 1 + n % 30 FROM generate_series(1, 90) n`)
	h.as(t, tenant, `UPDATE crm.teams SET lead_id = id * 2`)
}

// as runs a statement as a service of the tenant's does.
func (h *house) as(t testing.TB, tenant pgtest.Team, sql string, args ...any) {
	t.Helper()
	if err := h.try(t.Context(), tenant, sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (h *house) try(ctx context.Context, tenant pgtest.Team, sql string, args ...any) error {
	return pgx.BeginFunc(ctx, h.app, func(tx pgx.Tx) error {
		if err := enter(ctx, tx, tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

func enter(ctx context.Context, tx pgx.Tx, tenant pgtest.Team) error {
	_, err := tx.Exec(ctx, `SELECT set_config('hasura.user', jsonb_build_object('x-hasura-tenant-id', $1::text)::text, true)`, tenant.ID.String())
	return err
}

// rows are all rows of a tenant in the shared tables, or of a schema of its own.
func (h *house) rows(t testing.TB, tenant pgtest.Team, schema string) map[string]string {
	t.Helper()
	columns := map[string]string{"contacts": "id, name, position, size", "deals": "id, contact_id, title, amount", "marks": `"the key", day, "it's"`,
		"folders": "id, parent_id, name", "teams": "id, lead_id", "people": "id, team_id"}
	found := map[string]string{}
	for table, list := range columns {
		where := "true"
		if schema == "crm" {
			where = "tenant_id = '" + tenant.ID.String() + "'"
		}
		found[table] = h.ask(t, `SELECT coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM (SELECT `+list+` FROM `+schema+`.`+table+` WHERE `+where+`) r`)
	}
	return found
}

func (h *house) schemaOf(t testing.TB, tenant pgtest.Team) string {
	t.Helper()
	return h.ask(t, `SELECT coalesce((SELECT schema_name FROM tenants.tenant_schemas WHERE tenant_id = $1), 'none')`, tenant.ID.String())
}

func (h *house) strategy(t testing.TB, tenant pgtest.Team) string {
	t.Helper()
	return h.ask(t, `SELECT strategy FROM tenants.tenants WHERE id = $1`, tenant.ID.String())
}
