package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

// room is a directory that the account of the servers can enter.
func room(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(postgres.Scratch(), "nself-replica-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// pair is a migrated cluster and a copy that follows it.
func pair(t *testing.T) (primary, replica *postgres.Cluster) {
	t.Helper()
	primary, err := postgres.Start(t.Context(), postgres.Config{Dir: room(t), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Stop() })
	if err := primary.Bootstrap(t.Context(), "nself", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := migrate.Up(ctx, conn)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if replica, err = postgres.StartReplica(t.Context(), postgres.Config{Dir: room(t)}, primary); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = replica.Stop() })
	return primary, replica
}

func open(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

const settingsSQL = `SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM tenants.tenant_settings WHERE key IN ('mine', 'other')`

// On a copy that only reads, row-level security is all there is: it must bind as it does
// where rows are written, from the moment a tenant is out of service there.
func TestTheWallsHoldOnAReplica(t *testing.T) {
	primary, replica := pair(t)
	server := open(t, primary.URL("nself_server", "nself"))
	mine, other := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	for team, key := range map[*pgtest.Team]string{&mine: "mine", &other: "other"} {
		if _, err := server.Exec(t.Context(), `INSERT INTO tenants.tenant_settings (tenant_id, key, value) VALUES ($1, $2, '1')`, team.ID, key); err != nil {
			t.Fatal(err)
		}
	}
	follow(t, primary, replica)
	app, hasura := open(t, replica.URL("nself_app", "nself")), open(t, replica.URL("nself_hasura", "nself"))
	session := fmt.Sprintf(`{"x-hasura-role": "tenant_owner", "x-hasura-tenant-id": %q, "x-hasura-user-id": %q}`, mine.ID, mine.Owner)
	if diff := cmp.Diff([]string{"mine"}, read(t, app, `SELECT tenants.enter($1)`, session)); diff != "" {
		t.Errorf("a service: %s", diff)
	}
	if diff := cmp.Diff([]string{"mine"}, read(t, hasura, `SELECT set_config('hasura.user', $1, true)`, session)); diff != "" {
		t.Errorf("Hasura with a session: %s", diff)
	}
	if got := read(t, app, `SELECT set_config('hasura.user', $1, true)`, ""); len(got) > 0 {
		t.Errorf("a service without a session sees %v", got)
	}
	_, err := open(t, replica.URL("nself_server", "nself")).Exec(t.Context(), `DELETE FROM tenants.tenant_settings`)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "25006" {
		t.Errorf("a write: %v", err)
	}
	if _, err := server.Exec(t.Context(), `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, mine.ID); err != nil {
		t.Fatal(err)
	}
	follow(t, primary, replica)
	if got := read(t, app, `SELECT set_config('hasura.user', $1, true)`, session); len(got) > 0 {
		t.Errorf("a suspended tenant sees %v", got)
	}
}

// follow waits until the copy has all that the cluster has now.
func follow(t *testing.T, primary, replica *postgres.Cluster) {
	t.Helper()
	at, err := pg.Scalar[string](t.Context(), open(t, primary.SuperuserURL("nself")), `SELECT pg_current_wal_lsn()::text`, nil)
	if err != nil {
		t.Fatal(err)
	}
	copied := open(t, replica.SuperuserURL("nself"))
	for there := false; !there; {
		if there, err = pg.Scalar[bool](t.Context(), copied, `SELECT pg_last_wal_replay_lsn() >= @at::pg_lsn`, pgx.NamedArgs{"at": at}); err != nil {
			t.Fatal(err)
		}
	}
}

// read is what a role sees of the settings in a session.
func read(t *testing.T, db *pgxpool.Pool, enterSQL, session string) (keys []string) {
	t.Helper()
	err := pg.InTx(t.Context(), db, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(t.Context(), enterSQL, session); err != nil {
			return err
		}
		keys, err = pg.Scalar[[]string](t.Context(), tx, settingsSQL, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestAReplicaStartsAgainAndFollows(t *testing.T) {
	primary, err := postgres.Start(t.Context(), postgres.Config{Dir: room(t), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Stop() })
	dir := room(t)
	for _, table := range []string{"first", "second"} {
		replica, err := postgres.StartReplica(t.Context(), postgres.Config{Dir: dir}, primary)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, primary.SuperuserURL("postgres")).Exec(t.Context(), `CREATE TABLE `+table+` ()`); err != nil {
			t.Fatal(err)
		}
		copied := open(t, replica.SuperuserURL("postgres"))
		for there := false; !there; {
			if there, err = pg.Scalar[bool](t.Context(), copied, `SELECT to_regclass(@table) IS NOT NULL`, pgx.NamedArgs{"table": table}); err != nil {
				t.Fatal(err)
			}
		}
		copied.Close()
		if err := replica.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAClusterThatKeepsNothingIsNotFollowed(t *testing.T) {
	primary, err := postgres.Start(t.Context(), postgres.Config{Dir: room(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Stop() })
	if _, err := postgres.StartReplica(t.Context(), postgres.Config{Dir: room(t)}, primary); err == nil || !strings.Contains(err.Error(), "Durable") {
		t.Errorf("error: %v", err)
	}
}
