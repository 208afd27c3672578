package migrate_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestATenantReadsNoOtherTenantsAuditRowsNorKeptReplies(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team, other := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	const keep = `INSERT INTO nself.idempotency_keys (actor, action, key, tenant_id, request_hash) VALUES ('a', 'a', $1, $2, '')`
	for _, tenant := range []string{team.ID.String(), other.ID.String()} {
		if _, err := server.Exec(t.Context(), keep, tenant, tenant); err != nil {
			t.Fatal(err)
		}
	}
	as(t, db, "nself_tenant", team.As(member.Owner).Setting(), func(tx pgx.Tx) {
		for _, table := range []string{"audit.log", "nself.idempotency_keys"} {
			own := number(t, tx, `SELECT count(*) FROM `+table+` WHERE tenant_id = $1`, team.ID)
			all := number(t, tx, `SELECT count(*) FROM `+table)
			if own == 0 || own != all {
				t.Errorf("%d rows of %s are seen, %d its own", all, table, own)
			}
		}
		if got := fails(t, tx, keep, "x", other.ID); got != denied {
			t.Errorf("a reply was kept for another tenant: %q", got)
		}
	})
}

func TestTheSchemaRefusesWhatNoDoorShouldWrite(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	team, other := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	as(t, db, "nself_owner", "", func(tx pgx.Tx) {
		for _, sql := range []string{
			`INSERT INTO tenants.tenant_invitations (tenant_id, email, role, token_hash, expires_at) VALUES ($1, 'a@b.c', 'guest', 'x', now())`,
			`INSERT INTO auth.users (tenant_id, email) VALUES ($1, 'local@b.c')`,
		} {
			if got := fails(t, tx, sql, other.ID); got != "" {
				t.Fatalf("%s: %s", sql, got)
			}
		}
		for _, c := range []struct{ want, sql string }{
			{"23514", `UPDATE tenants.tenant_invitations SET tenant_id = '` + team.ID.String() + `'`},
			{"23514", `UPDATE tenants.tenant_settings SET tenant_id = '` + other.ID.String() + `' WHERE key = 'locale'`},
			{"23514", `UPDATE tenants.tenants SET id = gen_random_uuid()`},
			{"23514", `UPDATE tenants.tenants SET suspended_at = now()`},
			{"23514", `UPDATE tenants.tenants SET status = 'deleted'`},
			{"23514", `UPDATE tenants.tenants SET slug = 'xn--80ak6aa92e'`},
			{"23514", `UPDATE tenants.tenants SET slug = '00000000-0000-4000-8000-000000000001'`},
			{"23514", `UPDATE tenants.tenant_members SET role = 'tenant_owner' WHERE role = 'guest'`},
			{"23514", `INSERT INTO auth.users (email) VALUES ('Ada@example.com')`},
			{"23505", `INSERT INTO auth.users (email) VALUES ('twice@example.com'), ('twice@example.com')`},
			{"23503", `UPDATE tenants.tenant_members SET user_id = (SELECT id FROM auth.users WHERE email = 'local@b.c')
				WHERE tenant_id = '` + team.ID.String() + `' AND role = 'guest'`},
			{"23514", `INSERT INTO auth.sessions (id, family_id, method, user_id, role, expires_at, ended_at) SELECT id, id, 'link', id, 'user', now(), now() FROM auth.users LIMIT 1`},
			{"23514", `INSERT INTO nself.inbox (source, event_id, trigger, state) VALUES ('s', 'e', 't', 'parked')`},
			{"23514", `INSERT INTO billing.plan_limits (plan, meter, "limit") VALUES ('free', 'seats', -2)`},
		} {
			if got := fails(t, tx, c.sql); got != c.want {
				t.Errorf("%s: SQLSTATE %q, want %s", c.sql, got, c.want)
			}
		}
	})
	if _, err := db.Superuser(t).Exec(t.Context(), `TRUNCATE audit.log`); err == nil {
		t.Error("a superuser truncated the audit log without disabling its trigger")
	}
}

func TestEveryChangePastTheServerIsAuditedOnceAndWithoutSecrets(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	as(t, db, "nself_hasura", `{"x-hasura-role":"admin"}`, func(tx pgx.Tx) {
		for action, sql := range map[string]string{
			"update_plan_limits": `UPDATE billing.plan_limits SET "limit" = 6 WHERE plan = 'free' AND meter = 'users'`,
			"update_plans":       `UPDATE billing.plans SET price_minor = 1 WHERE code = 'free'`,
			"update_users":       `UPDATE auth.users SET name = 'x' WHERE id = '` + team.Owner.String() + `'`,
			"insert_tenant_invitations": `INSERT INTO tenants.tenant_invitations (tenant_id, email, role, token_hash, expires_at)
				VALUES ('` + team.ID.String() + `', 'a@b.c', 'guest', 'x', now())`,
		} {
			if got := fails(t, tx, sql); got != "" {
				t.Fatalf("%s: %s", sql, got)
			}
			if got := number(t, tx, `SELECT count(*) FROM audit.log WHERE action = $1`, action); got != 1 {
				t.Errorf("%d audit rows of %s", got, action)
			}
		}
		if got := fails(t, tx, `DELETE FROM tenants.tenant_invitations`); got != "" {
			t.Fatal(got)
		}
		if got := number(t, tx, `SELECT count(*) FROM audit.log WHERE before ? 'token_hash' OR after ? 'token_hash'`); got != 0 {
			t.Errorf("%d audit rows hold the hash of a token", got)
		}
	})
}
