package pgbouncer_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/local/pgbouncer"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func mustStart(t *testing.T, cfg pgbouncer.Config) *pgbouncer.Bouncer {
	t.Helper()
	b, err := pgbouncer.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// connect signs in by way of the bouncer, in the simple protocol: no statement of ours is prepared.
func connect(t *testing.T, b *pgbouncer.Bouncer, direct string) *pgx.Conn {
	t.Helper()
	address, err := b.URL(direct)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func ask(t *testing.T, conn *pgx.Conn, query string) string {
	t.Helper()
	var answer string
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

const (
	sessionSQL = `SELECT pg_backend_pid()::text`
	leaveSQL   = `SELECT set_config('test.left', 'here', false)`
	foundSQL   = `SELECT coalesce(current_setting('test.left', true), '')`
)

func TestClientsShareOneServerSession(t *testing.T) {
	db := pgtest.Empty(t)
	b := mustStart(t, pgbouncer.Config{URLs: []string{db.URL("postgres")}})
	one, other := connect(t, b, db.URL("postgres")), connect(t, b, db.URL("postgres"))
	if ask(t, one, sessionSQL) != ask(t, other, sessionSQL) {
		t.Error("two clients of a pool of one have two server sessions")
	}
	ask(t, one, leaveSQL)
	if got := ask(t, other, foundSQL); got != "here" {
		t.Errorf("what a client left in the session is %q to the next: the pool is not one of transactions", got)
	}
}

func TestALargerPoolServesTransactionsSideBySide(t *testing.T) {
	db := pgtest.Empty(t)
	b := mustStart(t, pgbouncer.Config{URLs: []string{db.URL("postgres")}, PoolSize: 2})
	one, other := connect(t, b, db.URL("postgres")), connect(t, b, db.URL("postgres"))
	if err := pgx.BeginFunc(t.Context(), one, func(pgx.Tx) error {
		if ask(t, one, sessionSQL) == ask(t, other, sessionSQL) {
			t.Error("another client is served in the session of an open transaction")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestResetAlwaysLeavesNothingToTheNextClient(t *testing.T) {
	db := pgtest.Empty(t)
	b := mustStart(t, pgbouncer.Config{URLs: []string{db.URL("postgres")}, ResetAlways: true})
	one, other := connect(t, b, db.URL("postgres")), connect(t, b, db.URL("postgres"))
	ask(t, one, leaveSQL)
	if got := ask(t, other, foundSQL); got != "" {
		t.Errorf("the next client finds %q", got)
	}
}

func TestRolesKeepTheirOwnSessions(t *testing.T) {
	db := pgtest.Database(t)
	roles := []string{"nself_app", "nself_server"}
	b := mustStart(t, pgbouncer.Config{URLs: []string{db.URL(roles[0]), db.URL(roles[1])}})
	for _, role := range roles {
		if got := ask(t, connect(t, b, db.URL(role)), `SELECT session_user::text`); got != role {
			t.Errorf("%s signs in as %s", role, got)
		}
	}
}

func TestStatementsPreparedByTheProtocolAreFollowedWhereTheVersionCan(t *testing.T) {
	db := pgtest.Empty(t)
	b := mustStart(t, pgbouncer.Config{URLs: []string{db.URL("postgres")}})
	one, other := connect(t, b, db.URL("postgres")), connect(t, b, db.URL("postgres"))
	if _, err := one.PgConn().Prepare(t.Context(), "same", `SELECT 'one'`, nil); err != nil {
		t.Fatal(err)
	}
	_, err := other.PgConn().Prepare(t.Context(), "same", `SELECT 'other'`, nil)
	if followed := err == nil; followed != b.FollowsPrepared() {
		t.Errorf("the same name for another client: %v, but FollowsPrepared is %t", err, b.FollowsPrepared())
	}
}

func TestAWrongPasswordIsRefusedWithTheLog(t *testing.T) {
	db := pgtest.Empty(t)
	files := ownFiles(t)
	wrong := strings.Replace(db.URL("postgres"), "@", "x@", 1)
	_, err := pgbouncer.Start(t.Context(), pgbouncer.Config{URLs: []string{wrong}})
	if err == nil || !strings.Contains(err.Error(), "passes no client on") || !strings.Contains(err.Error(), "its log ends with") {
		t.Errorf("error: %v", err)
	}
	wantNone(t, files)
}

func TestCloseLeavesNoProcessAndNoFile(t *testing.T) {
	db := pgtest.Empty(t)
	files := ownFiles(t)
	b := mustStart(t, pgbouncer.Config{URLs: []string{db.URL("postgres")}})
	conn := connect(t, b, db.URL("postgres"))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a client is still served")
	}
	wantNone(t, files)
}

// ownFiles gives a test's bouncers a place for files that no other process uses.
func ownFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil { // the bouncer's account has to pass
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	return dir
}

func wantNone(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestURLsThatNameNoOneServerAreRefused(t *testing.T) {
	for words, urls := range map[string][]string{
		"no URL":                {},
		"URL 1 is not postgres": {"host=x"},
		"URL 2 leads to h:2":    {"postgres://a:b@h:1/d", "postgres://a:b@h:2/d"},
	} {
		_, err := pgbouncer.Start(t.Context(), pgbouncer.Config{URLs: slices.Clone(urls)})
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v, want %q", urls, err, words)
		}
	}
}
