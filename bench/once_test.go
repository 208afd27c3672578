package bench

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

const listed = 5000 // rows of the table that is counted on, all of one tenant

const (
	listSQL  = `CREATE TABLE crm.list (tenant_id uuid NOT NULL, id integer NOT NULL, PRIMARY KEY (tenant_id, id))`
	itemsSQL = `INSERT INTO crm.list SELECT '00000000-0000-4000-9000-000000000001', n FROM generate_series(1, %d) n; ANALYZE crm.list`
)

// counted is what Postgres itself counts.
type counted struct {
	Guard    int64 // calls of tenants.active_tenant_id
	Tenants  int64 // index look-ups in tenants.tenants
	Members  int64 // index look-ups in tenants.tenant_members
	Sessions int64 // index look-ups in auth.sessions
	Seq      int64 // sequential scans of the three
}

const countedSQL = `
SELECT coalesce(sum(calls), 0)::bigint AS guard,
  coalesce((SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'tenants.tenants'::regclass), 0) AS tenants,
  coalesce((SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'tenants.tenant_members'::regclass), 0) AS members,
  coalesce((SELECT idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'auth.sessions'::regclass), 0) AS sessions,
  (SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_xact_user_tables
   WHERE relid IN ('tenants.tenants'::regclass, 'tenants.tenant_members'::regclass, 'auth.sessions'::regclass)) AS seq
FROM pg_stat_xact_user_functions WHERE funcid = 'tenants.active_tenant_id()'::regprocedure`

// list is a database with a small table behind the standard wall, and nself_app in it.
func list(t *testing.T) reader {
	t.Helper()
	db := pgtest.Database(t)
	owner := newReader(t, db, "nself_owner", session.Session{})
	run(t, owner, tenantsSQL, tenants)
	run(t, owner, listSQL)
	protect(t, owner, "list")
	run(t, owner, itemsSQL, listed)
	// Whether calls are counted is the superuser's to say.
	run(t, newReader(t, db, "postgres", session.Session{}), "ALTER ROLE nself_app SET track_functions = 'all'")
	return newReader(t, db, "nself_app", ownerOf(t, big))
}

// counts reads the counters, which go on counting over transactions until Postgres
// flushes them: what happened in between is the difference of two.
func counts(t *testing.T, tx pgx.Tx) counted {
	t.Helper()
	rows, _ := tx.Query(t.Context(), countedSQL)
	c, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[counted])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cost runs the statement in a transaction of its own, rolls it back, and returns how
// many rows it gave or changed and what it was counted to do.
func cost(t *testing.T, app reader, sql string) (int64, counted) {
	t.Helper()
	ctx := t.Context()
	tx, err := app.conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, contextSQL, app.setting); err != nil {
		t.Fatal(err)
	}
	before := counts(t, tx)
	tag, err := tx.Exec(ctx, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	after := counts(t, tx)
	return tag.RowsAffected(), counted{after.Guard - before.Guard, after.Tenants - before.Tenants,
		after.Members - before.Members, after.Sessions - before.Sessions, after.Seq - before.Seq}
}

func TestGuardIsThreeIndexLookupsPerStatementNotPerRow(t *testing.T) {
	app := list(t)
	once, twice := counted{Guard: 1, Tenants: 1, Members: 1, Sessions: 1}, counted{Guard: 2, Tenants: 2, Members: 2, Sessions: 2}
	andForeignKey := counted{Guard: 1, Tenants: 1 + listed, Members: 1, Sessions: 1} // which looks up the tenant of each new row
	for _, c := range []struct {
		sql  string
		rows int64
		cost counted
	}{
		{`SELECT 1`, 1, counted{}},
		{`SELECT id FROM crm.list WHERE id = 7`, 1, once},
		{`SELECT id FROM crm.list WHERE id <= 1000`, 1000, once},
		{`SELECT id FROM crm.list`, listed, once},
		{`SELECT count(*) FROM crm.list`, 1, once},
		{`DELETE FROM crm.list`, listed, once},
		{fmt.Sprintf(`INSERT INTO crm.list SELECT '%s', n FROM generate_series(%d, %d) n`, numbered('9', big), listed+1, 2*listed), listed, andForeignKey},
		// Each table behind a wall asks for itself, and a write asks once for the rows it takes and once for what it makes of them.
		{`SELECT a.id FROM crm.list a JOIN crm.list b USING (tenant_id, id)`, listed, twice},
		{`UPDATE crm.list SET id = id + 100000`, listed, twice},
	} {
		rows, got := cost(t, app, c.sql)
		if rows != c.rows {
			t.Errorf("%s: %d rows, want %d", c.sql, rows, c.rows)
		}
		if diff := cmp.Diff(c.cost, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.sql, diff)
		}
	}
}

func TestGuardIsAskedBeforeTheRows(t *testing.T) {
	app := list(t)
	app.setting = ownerOf(t, small).Setting()
	rows, got := cost(t, app, `SELECT id FROM crm.list`)
	if want := (counted{Guard: 1, Tenants: 1, Members: 1, Sessions: 1}); rows != 0 || got != want {
		t.Errorf("another tenant's rows: %d rows at %+v, want none at %+v", rows, got, want)
	}
}

func TestGuardAsksForNoSessionWhereNoneIsNamed(t *testing.T) {
	app, unnamed := list(t), ownerOf(t, big)
	unnamed.ID = id.Session{}
	app.setting = unnamed.Setting()
	rows, got := cost(t, app, `SELECT id FROM crm.list`)
	if want := (counted{Guard: 1, Tenants: 1, Members: 1}); rows != listed || got != want {
		t.Errorf("%d rows at %+v, want %d at %+v", rows, got, listed, want)
	}
}
