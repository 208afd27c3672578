package migrate_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pgtest"
)

func connect(ctx context.Context, t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) }) // nothing of it is left to lose
	return conn
}

const riverRelations = `SELECT c.relname || ' ' || c.relkind::text || ' ' || c.relowner::regrole FROM pg_class c
	WHERE c.relnamespace = 'nself'::regnamespace AND c.relname LIKE 'river\_%' AND c.relkind <> 'i' ORDER BY 1`

func column(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, _ := conn.Query(t.Context(), sql)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestTheQueueIsMadeOnceWhoeverComesFirst(t *testing.T) {
	db := pgtest.Empty(t)
	group, ctx := errgroup.WithContext(t.Context())
	ran := make([][]string, 4)
	for i := range ran {
		conn := connect(ctx, t, db.URL("postgres"))
		group.Go(func() (err error) {
			ran[i], err = migrate.Up(ctx, conn)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	steps := map[string]int{}
	for _, names := range ran {
		for _, name := range names {
			if strings.Contains(name, "_queue_") {
				steps[name]++
			}
		}
	}
	for name, times := range steps {
		if times != 1 {
			t.Errorf("%s ran %d times", name, times)
		}
	}
	conn := connect(t.Context(), t, db.URL("postgres"))
	want := []string{"river_job r nself_owner", "river_job_id_seq S nself_owner", "river_leader r nself_owner", "river_migration r nself_owner",
		"river_notification r nself_owner", "river_notification_id_seq S nself_owner", "river_queue r nself_owner"}
	if diff := cmp.Diff(want, column(t, conn, riverRelations)); diff != "" || len(steps) == 0 {
		t.Errorf("%d steps: %s", len(steps), diff)
	}
	if user := column(t, conn, `SELECT current_user::text`); user[0] != "postgres" {
		t.Errorf("afterwards the connection acts as %s", user[0])
	}
	if again, err := migrate.Up(t.Context(), conn); err != nil || len(again) != 0 {
		t.Errorf("again: %v, %v", again, err)
	}
}

func TestAMissingMigrationOfTheQueueIsPendingAndIsMadeUpFor(t *testing.T) {
	db := pgtest.Database(t)
	server, owner := connect(t.Context(), t, db.URL("nself_server")), connect(t.Context(), t, db.URL("nself_owner"))
	if pending, err := migrate.Pending(t.Context(), server); err != nil || len(pending) != 0 {
		t.Fatalf("at first: %v, %v", pending, err)
	}
	for _, c := range []struct {
		undo  string
		first string
	}{
		{`DELETE FROM nself.river_migration WHERE version = 8`, "8_queue_job_id_autoincrement"},
		{`DROP TABLE nself.river_migration, nself.river_job, nself.river_leader, nself.river_queue, nself.river_notification;
			DROP FUNCTION nself.river_job_state_in_bitmask; DROP TYPE nself.river_job_state`, "1_queue_create_river_migration"},
	} {
		if _, err := owner.Exec(t.Context(), c.undo); err != nil {
			t.Fatal(err)
		}
		pending, err := migrate.Pending(t.Context(), server)
		if err != nil || len(pending) == 0 || pending[0].String() != c.first {
			t.Fatalf("pending: %v, %v; the first is %s", pending, err, c.first)
		}
		ran, err := migrate.Up(t.Context(), owner)
		if err != nil || len(ran) != len(pending) {
			t.Fatalf("ran %v of %v: %v", ran, pending, err)
		}
	}
	if _, err := server.Exec(t.Context(), `SELECT FROM nself.river_job`); err != nil {
		t.Errorf("made anew, the queue is not the server's: %v", err)
	}
}

// rights are the least nself_server can work the queue with, and all there are.
var rights = []string{
	"function river_job_state_in_bitmask: nself_server EXECUTE",
	"relation river_job: nself_server DELETE INSERT SELECT UPDATE", "relation river_job_id_seq: nself_server USAGE",
	"relation river_leader: nself_server DELETE INSERT SELECT UPDATE", "relation river_migration: nself_server SELECT",
	"relation river_queue: nself_server DELETE INSERT SELECT UPDATE",
}

const riverRightsSQL = `
	WITH granted AS (
		SELECT 'relation ' || relname AS name, a.*, relowner AS owner FROM pg_class, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) a
		WHERE relnamespace = 'nself'::regnamespace AND relname LIKE 'river\_%' AND relkind <> 'i'
		UNION ALL SELECT 'function ' || proname, a.*, proowner FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
		WHERE pronamespace = 'nself'::regnamespace AND proname LIKE 'river\_%'
		UNION ALL SELECT 'type ' || typname, a.*, typowner FROM pg_type, aclexplode(coalesce(typacl, acldefault('T', typowner))) a
		WHERE typnamespace = 'nself'::regnamespace AND typtype = 'e')
	SELECT name || ': ' || CASE grantee WHEN 0 THEN 'everyone' ELSE grantee::regrole::text END || ' ' || string_agg(privilege_type, ' ' ORDER BY privilege_type)
	FROM granted WHERE grantee <> owner GROUP BY name, grantee ORDER BY 1`

func TestTheQueueIsTheServersAlone(t *testing.T) {
	db := pgtest.Database(t)
	got := column(t, connect(t.Context(), t, db.URL("postgres")), riverRightsSQL)
	if diff := cmp.Diff(rights, got); diff != "" {
		t.Errorf("rights on the queue (-least, +are):\n%s", diff)
	}
	for _, role := range []string{"nself_tenant", "nself_app", "nself_hasura"} {
		as(t, db, role, "", func(tx pgx.Tx) {
			for _, sql := range []string{`SELECT FROM nself.river_job`, `INSERT INTO nself.river_job (kind, max_attempts, args) VALUES ('mail', 1, '{}')`,
				`UPDATE nself.river_job SET state = 'cancelled'`, `DELETE FROM nself.river_job`, `TRUNCATE nself.river_job`} {
				if got := fails(t, tx, sql); got != denied {
					t.Errorf("%s may %s: %q", role, sql, got)
				}
			}
		})
	}
	as(t, db, "nself_server", "", func(tx pgx.Tx) {
		for _, sql := range []string{`TRUNCATE nself.river_job`, `ALTER TABLE nself.river_job ADD mine int`, `DROP TABLE nself.river_job`,
			`CREATE TRIGGER mine AFTER INSERT ON nself.river_job EXECUTE FUNCTION suppress_redundant_updates_trigger()`} {
			if got := fails(t, tx, sql); got != denied {
				t.Errorf("nself_server may %s: %q", sql, got)
			}
		}
	})
}
