package bench

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// The n-th tenant, its owner, the owner's session and the n-th contact have ids that end in n. Tenant 1 is the
// big one: every even contact is its own; the 999 others share the odd ones.
const (
	tenants  = 1000
	contacts = 1_000_000
	big      = 1
	small    = 2
)

const tenantsSQL = `
BEGIN;
INSERT INTO auth.users (id, email)
  SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, n || '@example.com' FROM generate_series(1, %[1]d) n;
INSERT INTO tenants.tenants (id, slug, name, owner_user_id)
  SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 'tenant-' || n, 'Tenant ' || n,
    ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid FROM generate_series(1, %[1]d) n;
INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT id, owner_user_id, 'owner' FROM tenants.tenants;
INSERT INTO auth.sessions (id, family_id, method, tenant_id, user_id, role, expires_at)
  SELECT session, session, 'link', tenant_id, user_id, 'tenant_owner', now() + interval '90 days'
  FROM (SELECT tenant_id, user_id, overlay(user_id::text PLACING 'b' FROM 20)::uuid AS session FROM tenants.tenant_members) opened;
COMMIT;
ANALYZE auth.users;
ANALYZE tenants.tenants;
ANALYZE tenants.tenant_members;
ANALYZE auth.sessions;
CREATE SCHEMA crm`

// tablesSQL are a customer's tables as they were before protect: of the second, which has
// the same rows as the first, the big tenant will have a partition of its own.
const tablesSQL = `
CREATE UNLOGGED TABLE crm.contacts (
  id uuid PRIMARY KEY, tenant_id uuid NOT NULL, created_at timestamptz NOT NULL, name text NOT NULL, notes text NOT NULL);
CREATE TABLE crm.calls (
  id uuid, tenant_id uuid NOT NULL, created_at timestamptz NOT NULL, name text NOT NULL, notes text NOT NULL,
  PRIMARY KEY (tenant_id, id)) PARTITION BY LIST (tenant_id);
CREATE UNLOGGED TABLE crm.calls_of_the_big PARTITION OF crm.calls FOR VALUES IN ('00000000-0000-4000-9000-000000000001');
CREATE UNLOGGED TABLE crm.calls_of_the_others PARTITION OF crm.calls DEFAULT;
CREATE UNLOGGED TABLE crm.documents (
  id uuid PRIMARY KEY, tenant_id uuid NOT NULL, body text NOT NULL,
  search tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('pg_catalog.simple', body)) STORED)`

// rowsSQL orders the rows by a hash, so that neither a tenant's rows nor those of a day
// lie side by side. No trigger looks at them, or setting up would take minutes.
const rowsSQL = `
SET session_replication_role = replica;
INSERT INTO crm.contacts (tenant_id, id, created_at, name, notes)
  SELECT ('00000000-0000-4000-9000-' || lpad(to_hex(CASE WHEN n %% 2 = 0 THEN 1 ELSE 2 + n / 2 %% 999 END), 12, '0'))::uuid,
    ('00000000-0000-4000-a000-' || lpad(to_hex(n), 12, '0'))::uuid, timestamptz '2026-01-01' + n * interval '1 second',
    'Contact ' || n, 'word' || n * 7919::bigint %% 1009 || ' term' || n * 104729::bigint %% 10007 || ' and some more words'
  FROM (SELECT n FROM generate_series(0, %[1]d - 1) n ORDER BY hashint4(n)) mixed;
INSERT INTO crm.calls SELECT * FROM crm.contacts;
INSERT INTO crm.documents (tenant_id, id, body) SELECT tenant_id, id, notes FROM crm.contacts`

const indexesSQL = `
SET maintenance_work_mem = '256MB';
CREATE INDEX ON crm.contacts (tenant_id, created_at);
CREATE INDEX ON crm.calls (tenant_id, created_at);
CREATE EXTENSION IF NOT EXISTS btree_gin;
CREATE INDEX ON crm.documents USING gin (tenant_id, search)`

// rivalsSQL are the roles on the other sides: one that no policy binds, and two that
// other policies do.
const rivalsSQL = `
CREATE FUNCTION crm.naive_tenant_id() RETURNS uuid LANGUAGE plpgsql AS $function$
BEGIN
  RETURN (current_setting('hasura.user')::jsonb ->> 'x-hasura-tenant-id')::uuid;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END
$function$;
CREATE ROLE bench_plain LOGIN BYPASSRLS PASSWORD '%[1]s';
CREATE ROLE bench_naive LOGIN PASSWORD '%[2]s';
CREATE ROLE bench_claimed LOGIN PASSWORD '%[3]s';
GRANT USAGE ON SCHEMA crm, tenants TO bench_plain, bench_naive, bench_claimed;
GRANT SELECT ON ALL TABLES IN SCHEMA crm TO bench_plain, bench_naive, bench_claimed;
GRANT EXECUTE ON FUNCTION tenants.current_session(), tenants.current_tenant_id() TO bench_claimed;
CREATE POLICY naive ON crm.contacts TO bench_naive USING (tenant_id = crm.naive_tenant_id());
CREATE POLICY claimed ON crm.contacts TO bench_claimed USING (tenant_id = (SELECT tenants.current_tenant_id()))`

// house is the database of all benchmarks and a connection of each side, in the session
// of the big tenant's owner; unnamed is one that does not say which session.
type house struct {
	db                                  *pgtest.DB
	app, unnamed, plain, naive, claimed reader
}

func newHouse(b *testing.B) house {
	b.Helper()
	h := house{db: pgtest.Database(b)}
	owner, super := newReader(b, h.db, "nself_owner", session.Session{}), newReader(b, h.db, "postgres", session.Session{})
	run(b, owner, tenantsSQL, tenants)
	run(b, owner, tablesSQL)
	protect(b, owner, "contacts", "calls", "documents")
	run(b, super, rowsSQL, contacts)
	run(b, owner, indexesSQL)
	for _, table := range []string{"contacts", "calls", "documents"} {
		run(b, owner, "VACUUM ANALYZE crm."+table)
	}
	run(b, owner, searchSQL)
	run(b, super, rivalsSQL, password(b, h.db, "bench_plain"), password(b, h.db, "bench_naive"), password(b, h.db, "bench_claimed"))
	of := ownerOf(b, big)
	h.app, h.plain = newReader(b, h.db, "nself_app", of), newReader(b, h.db, "bench_plain", of)
	h.unnamed = newReader(b, h.db, "nself_app", session.Session{Role: of.Role, User: of.User, Tenant: of.Tenant})
	h.naive, h.claimed = newReader(b, h.db, "bench_naive", of), newReader(b, h.db, "bench_claimed", of)
	return h
}

// run executes statements, in which args fill the places of fmt.
func run(t testing.TB, r reader, sql string, args ...any) {
	t.Helper()
	if len(args) > 0 {
		sql = fmt.Sprintf(sql, args...)
	}
	if _, err := r.conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%.60s: %v", strings.TrimSpace(sql), err)
	}
}

// protect puts the tables of crm behind the wall, as `nself tenant protect` does.
func protect(t testing.TB, owner reader, tables ...string) {
	t.Helper()
	var names []isolation.Name
	for _, table := range tables {
		names = append(names, isolation.Name{Schema: "crm", Name: table})
	}
	plan, err := isolation.Protect(t.Context(), owner.conn, isolation.Request{Names: names, Column: "tenant_id"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, owner, plan.Migration(time.Now()).Up)
}

// password is the one that the address of the database holds for the role.
func password(t testing.TB, db *pgtest.DB, role string) string {
	t.Helper()
	address, err := url.Parse(db.URL(role))
	if err != nil {
		t.Fatal(err)
	}
	word, _ := address.User.Password()
	return word
}

// ownerOf is the session of the n-th tenant's owner.
func ownerOf(t testing.TB, n int) session.Session {
	t.Helper()
	tenant, err := id.Parse[id.Tenant](numbered('9', n).String())
	if err != nil {
		t.Fatal(err)
	}
	user, err := id.Parse[id.User](numbered('8', n).String())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := id.Parse[id.Session](numbered('b', n).String())
	if err != nil {
		t.Fatal(err)
	}
	return session.Session{Role: session.TenantOwner, User: user, Tenant: tenant, ID: opened}
}

// numbered is the n-th id of a kind: 8 users, 9 tenants, a contacts, b sessions.
func numbered(kind rune, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-%c000-%012x", kind, n))
}

// sized runs the query as the role that no policy binds and keeps how many rows it finds.
func (h house) sized(b *testing.B, q query) query {
	b.Helper()
	rows, _ := h.plain.conn.Query(b.Context(), q.sql, q.args...)
	found, err := pgx.CollectRows(rows, func(pgx.CollectableRow) (struct{}, error) { return struct{}{}, nil })
	if err != nil || len(found) == 0 {
		b.Fatalf("%s: %d rows, %v", q.sql, len(found), err)
	}
	q.rows = len(found)
	return q
}
