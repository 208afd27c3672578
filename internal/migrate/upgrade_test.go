package migrate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pgtest"
)

// beforeSignIn is the last migration of the version before people could sign in.
const beforeSignIn = 1795395600000

// insertOldSession is how the version before opened a session.
const insertOldSession = `INSERT INTO auth.sessions (tenant_id, user_id, role, expires_at, ended_at, end_reason) VALUES`

// houseOfBefore is a tenant of two, a tenant's own identity, sessions of every kind there
// was and a key: one session is even of somebody who left.
const houseOfBefore = `
INSERT INTO auth.users (id, email) VALUES ('00000000-0000-4000-8000-000000000001', 'ada@example.com'),
	('00000000-0000-4000-8000-000000000002', 'ben@example.com'), ('00000000-0000-4000-8000-000000000003', 'left@example.com');
INSERT INTO tenants.tenants (id, slug, name, owner_user_id)
	VALUES ('00000000-0000-4000-8000-00000000000a', 'acme', 'Acme', '00000000-0000-4000-8000-000000000001');
INSERT INTO auth.users (id, tenant_id, email)
	VALUES ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-00000000000a', 'local@example.com');
INSERT INTO tenants.tenant_members (tenant_id, user_id, role) VALUES
	('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'owner'),
	('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000002', 'member'),
	('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000004', 'guest');
INSERT INTO tenants.tenant_invitations (tenant_id, email, role, token_hash, expires_at)
	VALUES ('00000000-0000-4000-8000-00000000000a', 'new@example.com', 'guest', 'x', now() + interval '1 day');
` + insertOldSession + `
	('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'tenant_owner', now() + interval '1 hour', NULL, NULL),
	('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000002', 'tenant_member', now() + interval '1 hour', now(), 'tenant suspended'),
	('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000003', 'tenant_guest', now() + interval '1 hour', NULL, NULL),
	(NULL, '00000000-0000-4000-8000-000000000002', 'user', now() + interval '1 hour', NULL, NULL),
	(NULL, '00000000-0000-4000-8000-000000000003', 'user', now() - interval '1 hour', NULL, NULL);
INSERT INTO auth.signing_keys (kid, algorithm, public_jwk, private_key, created_at)
	VALUES ('k', 'ES256', '{}', 'x', '2026-01-02T03:04:05Z')`

// before is a database of the version before with a house in it.
func before(t *testing.T) (*pgtest.DB, *pgx.Conn) {
	t.Helper()
	db := pgtest.Empty(t)
	conn := connect(t.Context(), t, db.URL("postgres"))
	all, err := migrate.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Version > beforeSignIn {
			continue
		}
		if _, err := conn.PgConn().Exec(t.Context(), m.SQL).ReadAll(); err != nil {
			t.Fatalf("%s: %v", m, err)
		}
	}
	if _, err := conn.PgConn().Exec(t.Context(), houseOfBefore).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return db, conn
}

// whatCame tells of the house what the upgrade made of it, a line each.
const whatCame = `
SELECT concat_ws(' ', 'user', email, kind, tenant_id IS NOT NULL) FROM auth.users
UNION ALL SELECT concat_ws(' ', 'member', role) FROM tenants.tenant_members
UNION ALL SELECT concat_ws(' ', 'session', role) FROM auth.sessions
UNION ALL SELECT concat_ws(' ', 'key', kid, signs_from = created_at, extract(year FROM signs_from)) FROM auth.signing_keys
UNION ALL SELECT concat_ws(' ', 'invitation', email, any_address) FROM tenants.tenant_invitations
ORDER BY 1`

func TestAnUpgradeKeepsWhoIsWhoAndEndsTheSessionsOfBefore(t *testing.T) {
	_, conn := before(t)
	ran, err := migrate.Up(t.Context(), conn)
	if err != nil || len(ran) == 0 || ran[0] != "1795399200000_sign_in" {
		t.Fatalf("ran %v, %v", ran, err)
	}
	want := []string{
		"invitation new@example.com f", "key k t 2026", "member guest", "member member", "member owner",
		"user ada@example.com person f", "user ben@example.com person f", "user left@example.com person f", "user local@example.com person t",
	}
	if diff := cmp.Diff(want, column(t, conn, whatCame)); diff != "" {
		t.Error(diff)
	}
}

// While one server after the other is replaced, those of before go on opening sessions.
func TestServersOfTheVersionBeforeGoOnMinting(t *testing.T) {
	_, conn := before(t)
	if _, err := migrate.Up(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PgConn().Exec(t.Context(), `SET ROLE nself_server;`+insertOldSession+`
		('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001', 'tenant_owner', now() + interval '1 hour', NULL, NULL),
		(NULL, '00000000-0000-4000-8000-000000000002', 'user', now() + interval '1 hour', NULL, NULL); RESET ROLE`).ReadAll(); err != nil {
		t.Fatal(err)
	}
	got := column(t, conn, `SELECT concat_ws(' ', role, method, count(*) OVER (PARTITION BY family_id)) FROM auth.sessions ORDER BY 1`)
	if diff := cmp.Diff([]string{"tenant_owner operator 1", "user operator 1"}, got); diff != "" {
		t.Error(diff)
	}
}

// One who keeps a table to himself holds the upgrade up, and the upgrade whoever comes
// after; it gives up before long, with nothing done, and can be run again.
func TestAnUpgradeThatCannotHaveATableGivesUpWhole(t *testing.T) {
	t.Parallel() // it waits
	db, conn := before(t)
	other := connect(t.Context(), t, db.URL("postgres"))
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM auth.users`); err != nil {
		t.Fatal(err)
	}
	_, err = migrate.Up(t.Context(), conn)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "55P03" || !strings.Contains(err.Error(), "1795399200000_sign_in") {
		t.Fatalf("beside one who reads the users: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := column(t, conn, `SELECT count(*)::text FROM auth.sessions`); n[0] != "5" {
		t.Errorf("%s sessions are left of 5", n[0])
	}
	if _, err := migrate.Up(t.Context(), conn); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestOfSessionsThatGoOnlyTheRunningAreNotified(t *testing.T) {
	db := pgtest.Database(t)
	team := pgtest.NewTeam(t, db.Pool(t, "nself_server"))
	conn := connect(t.Context(), t, db.URL("postgres"))
	const open = `INSERT INTO auth.sessions (id, tenant_id, user_id, role, expires_at) SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid,
		$1, $2, 'tenant_owner', now() + make_interval(hours => n * 2 - 3) FROM generate_series(1, 2) n`
	if _, err := conn.Exec(t.Context(), open, team.ID, team.Owner); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`LISTEN nself_access`, `DELETE FROM auth.sessions`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"session:00000000-0000-4000-8000-000000000002", "that is all"} {
		got, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Payload != want {
			t.Errorf("notified of %s, not %s", got.Payload, want)
		}
		if _, err := conn.Exec(t.Context(), `SELECT pg_notify('nself_access', 'that is all')`); err != nil {
			t.Fatal(err)
		}
	}
}
