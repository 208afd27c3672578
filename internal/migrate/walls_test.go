package migrate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// as runs work in a transaction of a database role under a session setting ("" for
// none), and rolls it back.
func as(t *testing.T, db *pgtest.DB, role, setting string, work func(tx pgx.Tx)) {
	t.Helper()
	login := role
	if role == "nself_tenant" {
		login = "nself_server"
	}
	tx, err := db.Pool(t, login).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true), set_config('role', $2, true)`, setting, role); err != nil {
		t.Fatal(err)
	}
	work(tx)
}

func number(t *testing.T, tx pgx.Tx, sql string, args ...any) (n int) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// fails runs a statement in a savepoint and returns its SQLSTATE; "" where it succeeds.
func fails(t *testing.T, tx pgx.Tx, sql string, args ...any) string {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), tx, func(inner pgx.Tx) error {
		_, err := inner.Exec(t.Context(), sql, args...)
		return err
	})
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return ""
}

const denied = "42501" // by grant or by policy

var readable = map[string]string{
	"tenants.tenants": "id", "tenants.tenant_members": "tenant_id", "tenants.tenant_settings": "tenant_id",
}

func TestATenantSeesItsOwnRowsAndNobodyElseDoes(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team, _ := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	for _, role := range []string{"nself_tenant", "nself_app"} {
		for table, column := range readable {
			as(t, db, role, team.As(member.Owner).Setting(), func(tx pgx.Tx) {
				own := number(t, tx, `SELECT count(*) FROM `+table+` WHERE `+column+` = $1`, team.ID)
				all := number(t, tx, `SELECT count(*) FROM `+table)
				if own == 0 || own != all {
					t.Errorf("%s sees %d rows of %s, %d its own", role, all, table, own)
				}
			})
			as(t, db, role, "", func(tx pgx.Tx) {
				if got := number(t, tx, `SELECT count(*) FROM `+table); got != 0 {
					t.Errorf("%s without a session sees %d rows of %s", role, got, table)
				}
			})
		}
		as(t, db, role, team.As(member.Owner).Setting(), func(tx pgx.Tx) {
			if got := number(t, tx, `SELECT count(*) FROM auth.users`); got != 4 {
				t.Errorf("%s sees %d users of a team of 4", role, got)
			}
		})
	}
}

func TestASessionThatNoLongerStandsSeesNothing(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	stranger := session.Session{Role: session.TenantOwner, User: pgtest.User(t, db.Pool(t, "nself_server")), Tenant: team.ID}
	inflated := team.As(member.Guest)
	inflated.Role = session.TenantOwner
	for name, s := range map[string]session.Session{"a stranger": stranger, "a guest who claims to be the owner": inflated} {
		as(t, db, "nself_app", s.Setting(), func(tx pgx.Tx) {
			if got := number(t, tx, `SELECT count(*) FROM tenants.tenants`); got != 0 {
				t.Errorf("%s sees the tenant", name)
			}
		})
	}
	as(t, db, "nself_app", `{"x-hasura-tenant-id":"`+team.ID.String()+`"}`, func(tx pgx.Tx) {
		if got := number(t, tx, `SELECT count(*) FROM tenants.tenants`); got != 1 {
			t.Error("a service that acts for the tenant without a user does not see it")
		}
	})
}

func TestAMalformedSessionIsAnErrorNeverNobody(t *testing.T) {
	db := pgtest.Database(t)
	pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	for setting, want := range map[string]string{
		"not json": "22P02", `{"x-hasura-tenant-id":"acme"}`: "22P02", `{"x-hasura-tenant-id":""}`: "22P02",
		`[]`: "22P02", `null`: "22P02", `5`: "22P02", `"x"`: "22P02",
	} {
		as(t, db, "nself_app", setting, func(tx pgx.Tx) {
			for _, sql := range []string{`SELECT FROM tenants.tenants`, `SELECT tenants.current_tenant_id()`} {
				if got := fails(t, tx, sql); got != want {
					t.Errorf("%s under %s: SQLSTATE %q, want %s", sql, setting, got, want)
				}
			}
		})
	}
}

func TestATenantWritesNoOtherTenantsRows(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team, other := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	for _, role := range []string{"nself_tenant", "nself_hasura"} {
		as(t, db, role, team.As(member.Owner).Setting(), func(tx pgx.Tx) {
			for _, sql := range []string{
				`INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES ($1, 'k', '1')`,
				`INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES ($1, tenants.current_user_id(), 'owner')`,
				`INSERT INTO audit.log (tenant_id, actor_role, action, target) VALUES ($1, 'x', 'x', 'x')`,
			} {
				if got := fails(t, tx, sql, other.ID); got != denied {
					t.Errorf("%s: %s gave %q", role, sql, got)
				}
			}
			for _, sql := range []string{
				`WITH u AS (UPDATE tenants.tenant_settings SET value = '0' WHERE tenant_id = $1 RETURNING 1) SELECT count(*) FROM u`,
				`WITH u AS (DELETE FROM tenants.tenant_settings WHERE tenant_id = $1 RETURNING 1) SELECT count(*) FROM u`,
				`WITH u AS (UPDATE tenants.tenants SET name = 'x' WHERE id = $1 RETURNING 1) SELECT count(*) FROM u`,
			} {
				if got := number(t, tx, sql, other.ID); got != 0 {
					t.Errorf("%s: %s changed %d rows", role, sql, got)
				}
			}
			if got := fails(t, tx, `UPDATE tenants.tenant_settings SET tenant_id = $1`, other.ID); got != "23514" && got != denied {
				t.Errorf("%s moved its settings to another tenant: %q", role, got)
			}
		})
	}
}

func TestATenantsSessionWritesNoSharedIdentity(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	as(t, db, "nself_hasura", team.As(member.Owner).Setting(), func(tx pgx.Tx) {
		if got := number(t, tx, `SELECT count(*) FROM auth.users`); got != 4 {
			t.Fatalf("it sees %d users", got)
		}
		for _, sql := range []string{
			`WITH d AS (DELETE FROM auth.users WHERE id = $1 RETURNING 1) SELECT count(*) FROM d`,
			`WITH u AS (UPDATE auth.users SET name = 'x' WHERE id = $1 RETURNING 1) SELECT count(*) FROM u`,
		} {
			if got := number(t, tx, sql, team.Member); got != 0 {
				t.Errorf("%s took %d rows", sql, got)
			}
		}
		if got := fails(t, tx, `INSERT INTO auth.users (email) VALUES ('x@example.com')`); got != denied {
			t.Errorf("it made a shared identity: %q", got)
		}
	})
}

func TestHasuraReadsUnderItsOwnPermissionsAndWritesUnderItsSession(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team, _ := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	const tenants = `SELECT count(*) FROM tenants.tenants`
	for name, c := range map[string]struct {
		setting string
		want    int
	}{
		"a query, which has no session":  {"", 2},
		"a mutation of a member":         {team.As(member.Owner).Setting(), 1},
		"a mutation of the operator":     {`{"x-hasura-role":"admin"}`, 2},
		"a mutation of a tenantless one": {`{"x-hasura-role":"user","x-hasura-user-id":"` + team.Owner.String() + `"}`, 0},
	} {
		as(t, db, "nself_hasura", c.setting, func(tx pgx.Tx) {
			if got := number(t, tx, tenants); got != c.want {
				t.Errorf("%s sees %d tenants, want %d", name, got, c.want)
			}
		})
	}
	as(t, db, "nself_app", `{"x-hasura-role":"admin"}`, func(tx pgx.Tx) {
		if got := number(t, tx, tenants); got != 0 {
			t.Error("nself_app became the operator by saying so")
		}
	})
}

func TestTheAuditLogIsAppendOnlyForEveryRole(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	for _, role := range []string{"nself_owner", "nself_server", "nself_tenant", "nself_app", "nself_hasura"} {
		as(t, db, role, team.As(member.Owner).Setting(), func(tx pgx.Tx) {
			for _, sql := range []string{`UPDATE audit.log SET action = 'x'`, `DELETE FROM audit.log`, `TRUNCATE audit.log`} {
				if got := fails(t, tx, sql); got != denied {
					t.Errorf("%s: %s gave %q", role, sql, got)
				}
			}
		})
	}
	if _, err := db.Superuser(t).Exec(t.Context(), `DELETE FROM audit.log`); err == nil {
		t.Error("a superuser deleted from the audit log without disabling its trigger")
	}
}

func TestAWriteThatPassedTheServerIsAuditedByRow(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	as(t, db, "nself_hasura", `{"x-hasura-role":"admin"}`, func(tx pgx.Tx) {
		if got := fails(t, tx, `UPDATE tenants.tenants SET name = 'By hand' WHERE id = $1`, team.ID); got != "" {
			t.Fatal(got)
		}
		if got := number(t, tx, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'update_tenants'
			AND actor_role = 'admin' AND before->>'name' = $2 AND after->>'name' = 'By hand'`, team.ID, team.Name); got != 1 {
			t.Errorf("%d audit rows", got)
		}
	})
}

func TestWhatACascadeTakesIsAuditedForTheTenantItConcerns(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	as(t, db, "nself_hasura", `{"x-hasura-role":"admin"}`, func(tx pgx.Tx) {
		if got := fails(t, tx, `DELETE FROM auth.users WHERE id = $1`, team.Guest); got != "" {
			t.Fatal(got)
		}
		if got := number(t, tx, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'delete_tenant_members' AND actor_role = 'admin'`, team.ID); got != 1 {
			t.Errorf("%d audit rows for the membership that went", got)
		}
	})
}

func TestNoServingRoleOwnsBypassesOrTruncates(t *testing.T) {
	db := pgtest.Database(t)
	as(t, db, "nself_server", "", func(tx pgx.Tx) {
		for what, sql := range map[string]string{
			"roles above row-level security": `SELECT count(*) FROM pg_roles WHERE rolname ~ '^nself_' AND (rolsuper OR rolbypassrls OR rolcreaterole)`,
			"tables of another owner": `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname IN ('tenants', 'auth', 'billing', 'audit', 'nself') AND pg_get_userbyid(c.relowner) <> 'nself_owner'`,
			"tenant tables without forced row-level security": `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
				WHERE c.relkind = 'r' AND n.nspname IN ('tenants', 'auth', 'audit') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`,
			"rights to truncate, refer or trigger": `SELECT count(*) FROM information_schema.role_table_grants
				WHERE grantee ~ '^nself_(server|tenant|app|hasura)$' AND privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
				AND NOT (grantee = 'nself_hasura' AND table_name = 'tenants' AND privilege_type = 'TRIGGER')`,
			"definer functions open to everyone": `SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
				WHERE n.nspname IN ('tenants', 'audit', 'nself') AND prosecdef AND (has_function_privilege('public', p.oid, 'EXECUTE') OR proconfig IS NULL)`,
			"logins that may become the owner": `SELECT count(*) FROM pg_roles WHERE rolname IN ('nself_server', 'nself_tenant', 'nself_app', 'nself_hasura')
				AND pg_has_role(oid, 'nself_owner', 'MEMBER')`,
		} {
			if got := number(t, tx, sql); got != 0 {
				t.Errorf("%s: %d", what, got)
			}
		}
	})
}

func TestContextEndsWithItsTransaction(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	conn, err := pgx.Connect(t.Context(), db.URL("nself_app"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for range 2 {
		var inside, outside int
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, team.As(member.Owner).Setting()); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenants`).Scan(&inside)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM tenants.tenants`).Scan(&outside); err != nil {
			t.Fatal(err)
		}
		if inside != 1 || outside != 0 {
			t.Errorf("%d tenants inside the transaction, %d after it", inside, outside)
		}
	}
}
