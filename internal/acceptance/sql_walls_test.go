package acceptance

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tenantTables are the tables whose rows belong to tenants.
var tenantTables = []string{"tenants.tenants", "tenants.tenant_members", "tenants.tenant_settings", "tenants.tenant_invitations",
	"tenants.tenant_schemas", "auth.sessions", "auth.users", "audit.log"}

func refusedSQL(t *testing.T, db *pgx.Conn, sql string) {
	t.Helper()
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), sql)
	var e *pgconn.PgError
	if err == nil || !errors.As(err, &e) {
		t.Errorf("accepted (%v): %s", err, sql)
		return
	}
	// Refused for want of a right, and not for a mistake of the test.
	if e.Code != "42501" && e.Code != "0A000" && e.Code != "42704" && e.Code != "55000" {
		t.Errorf("%s %s: %s", e.Code, e.Message, sql)
	}
}

// forbidden is what neither the customer's services nor Hasura may do.
func forbidden(h house) []string {
	return []string{
		`SET ROLE nself_owner`, `SET ROLE nself_server`, `SET ROLE nself_tenant`, `SET ROLE postgres`, `SET SESSION AUTHORIZATION nself_owner`,
		`DO $$ BEGIN EXECUTE 'SET ROLE nself_owner'; END $$`,
		`SET row_security = off; SELECT count(*) FROM tenants.tenants`,
		`SET session_replication_role = replica`,
		`TRUNCATE tenants.tenants CASCADE`, `TRUNCATE tenants.tenant_settings`, `TRUNCATE audit.log`,
		`ALTER TABLE tenants.tenants DISABLE ROW LEVEL SECURITY`, `ALTER TABLE tenants.tenants OWNER TO nself_app`,
		`ALTER TABLE tenants.tenant_settings DISABLE TRIGGER ALL`, `DROP TABLE tenants.tenant_settings`,
		`CREATE POLICY mine ON tenants.tenants USING (true)`, `DROP POLICY active_tenant ON tenants.tenants`,
		`CREATE TABLE tenants.mine ()`, `CREATE TABLE public.mine ()`, `CREATE TABLE audit.mine ()`, `CREATE TABLE auth.mine ()`,
		`CREATE FUNCTION tenants.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`CREATE OR REPLACE FUNCTION tenants.active_tenant_id() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'`,
		`CREATE VIEW public.mine AS SELECT * FROM tenants.tenants`,
		`CREATE EXTENSION dblink`, `CREATE ROLE mine`, `ALTER ROLE nself_app BYPASSRLS`, `ALTER ROLE nself_hasura SUPERUSER`,
		`GRANT nself_owner TO nself_app`, `GRANT nself_server TO nself_hasura`,
		`COPY (SELECT 1) TO PROGRAM 'true'`, `COPY (SELECT 1) TO '/tmp/mine'`, `SELECT pg_read_file('/etc/passwd')`, `SELECT lo_import('/etc/passwd')`,
		`SELECT * FROM pg_authid`, `SELECT * FROM pg_statistic`, `SELECT * FROM pg_largeobject`,
		`SELECT * FROM auth.signing_keys`, `SELECT private_key FROM auth.signing_keys`, `SELECT * FROM nself.inbox`, `SELECT * FROM nself.idempotency_keys`,
		`SELECT tenants.create_tenant_schema('` + h.id + `', 'tenant_')`, `SELECT tenants.free_slug(ARRAY['acme'])`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('nself_server', 'nself_owner', 'postgres')`,
		`UPDATE auth.sessions SET ended_at = NULL`, `DELETE FROM auth.sessions`,
		`INSERT INTO audit.log (action, actor_role, target) VALUES ('forged', 'admin', 'x')`,
	}
}

func TestLeastPrivilegedRolesMayNotDoWhatTheyNeedNot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, role := range []string{asApp, asHasura} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			db := connect(t, role)
			for _, sql := range forbidden(h) {
				refusedSQL(t, db, sql)
			}
		})
	}
	db := connect(t, asApp)
	for _, sql := range []string{
		`UPDATE tenants.tenants SET plan = 'enterprise'`, `INSERT INTO tenants.tenant_members SELECT * FROM tenants.tenant_members`, `DELETE FROM tenants.tenant_settings`,
		`SELECT * FROM audit.log`, `SELECT * FROM auth.sessions`, `SELECT * FROM tenants.tenant_invitations`, `SELECT * FROM hdb_catalog.event_log`,
		`SELECT 1 FROM tenants.tenants FOR UPDATE`, `LOCK TABLE tenants.tenants IN ACCESS EXCLUSIVE MODE`, `CREATE SCHEMA mine`,
	} {
		refusedSQL(t, db, sql)
	}
}

func TestRowLevelSecurityIsForcedOnEveryTableWithATenant(t *testing.T) {
	t.Parallel()
	rows, err := connect(t, asOwner).Query(t.Context(), `SELECT format('%I.%I', n.nspname, c.relname)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'hdb_catalog')
		  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
		  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`)
	if err != nil {
		t.Fatal(err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(open) > 0 {
		t.Errorf("row level security is not forced on %v (%v)", open, err)
	}
	for _, url := range []string{asApp, asHasura} {
		if n := number(t, connect(t, url), `SELECT count(*) FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)`); n != 0 {
			t.Errorf("%s is more than it needs to be", url)
		}
	}
}

// In the session of one tenant no statement shows a row of another, however
// the planner is lured into looking at it first.
func TestSessionOfOneTenantShowsNoRowOfAnother(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	theirs.invite(t, unique("in")+"@example.test")
	for _, role := range []string{asApp, asHasura} {
		db := connect(t, role)
		var told []string
		for _, table := range tenantTables {
			inSession(t, db, mine.owner.session(), func(tx pgx.Tx) {
				// A cheap function that tells what it sees must run after the policy.
				if _, err := tx.Exec(t.Context(), `CREATE OR REPLACE FUNCTION pg_temp.lure(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
					$$ BEGIN IF $1 LIKE '%`+theirs.id+`%' OR $1 LIKE '%`+theirs.owner.email+`%' THEN RAISE EXCEPTION 'saw %', $1; END IF; RETURN true; END $$`); err != nil {
					t.Fatal(err)
				}
				var n int
				err := tx.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(*) FROM %s r WHERE pg_temp.lure(r::text)`, table)).Scan(&n)
				if err != nil && !strings.Contains(err.Error(), "permission denied") {
					told = append(told, table+": "+err.Error())
				}
			})
		}
		if len(told) > 0 {
			t.Errorf("%s: %v", role, told)
		}
	}
}

// A foreign session on Hasura's role changes nothing of another tenant, by
// any statement.
func TestSessionOfOneTenantChangesNoRowOfAnother(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	db := connect(t, asHasura)
	for _, p := range mine.people() {
		for _, sql := range []string{
			`UPDATE tenants.tenant_settings SET value = '1' WHERE tenant_id = $1`, `DELETE FROM tenants.tenant_settings WHERE tenant_id = $1`,
			`UPDATE tenants.tenant_members SET role = 'guest' WHERE tenant_id = $1`, `DELETE FROM tenants.tenant_members WHERE tenant_id = $1`,
			`UPDATE tenants.tenants SET name = 'x' WHERE id = $1`, `DELETE FROM tenants.tenants WHERE id = $1`,
			`INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES ($1, 'planted', '1')`,
			`INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES ($1, 'secret', '1') ON CONFLICT (tenant_id, key) DO UPDATE SET value = '1'`,
			`INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES ($1, '` + mine.owner.id + `', 'owner')`,
			`UPDATE tenants.tenant_settings SET tenant_id = $1`,
			`UPDATE auth.users SET email = 'taken@example.test' WHERE id IN (SELECT user_id FROM tenants.tenant_members WHERE tenant_id = $1) OR id = '` + theirs.owner.id + `'`,
		} {
			inSession(t, db, p.session(), func(tx pgx.Tx) {
				tag, err := tx.Exec(t.Context(), sql, theirs.id)
				if err == nil && tag.RowsAffected() > 0 {
					t.Errorf("as %s, %d rows: %s", p.role, tag.RowsAffected(), sql)
				}
			})
		}
	}
}
