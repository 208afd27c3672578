package contract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/local/postgres"
	"github.com/nself/tenancy/internal/migrate"
	"github.com/nself/tenancy/internal/pgtest"
)

// runner is one way the migrations come to a database.
type runner func(ctx context.Context, url string) error

func up(ctx context.Context, url string) error {
	return connected(ctx, url, func(conn *pgx.Conn) error {
		_, err := migrate.Up(ctx, conn)
		return err
	})
}

// eachFile runs each up.sql whole, in order, whatever the ledger says: what Hasura's CLI
// does on a database it has not seen.
func eachFile(ctx context.Context, url string) error {
	all, err := migrate.All()
	if err != nil {
		return err
	}
	return connected(ctx, url, func(conn *pgx.Conn) error {
		for _, m := range all {
			if _, err := conn.PgConn().Exec(ctx, m.SQL).ReadAll(); err != nil {
				return err
			}
		}
		return nil
	})
}

func connected(ctx context.Context, url string, work func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing of it is left to lose
	return work(conn)
}

// inTurn runs one after the other.
func inTurn(runners ...runner) runner {
	return func(ctx context.Context, url string) error {
		for _, run := range runners {
			if err := run(ctx, url); err != nil {
				return err
			}
		}
		return nil
	}
}

// atOnce runs all at the same time.
func atOnce(runners ...runner) runner {
	return func(ctx context.Context, url string) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range runners {
			group.Go(func() error { return run(ctx, url) })
		}
		return group.Wait()
	}
}

// schemaQueries describe a schema: what ran, which tables and columns there are, who
// owns them, which policies bind whom, who may do what.
var schemaQueries = map[string]string{
	"ledger":    `SELECT version || ' ' || name FROM nself.schema_migrations`,
	"relations": `SELECT oid::regclass || ' ' || relkind::text || ' ' || relowner::regrole || ' ' || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace::regnamespace::text IN ('tenants', 'auth', 'billing', 'audit', 'nself')`,
	"columns":   `SELECT attrelid::regclass || '.' || attname || ' ' || atttypid::regtype || ' ' || attnotnull FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relkind = 'r' AND attnum > 0 AND relnamespace::regnamespace::text IN ('tenants', 'auth', 'billing', 'audit', 'nself')`,
	"policies":  `SELECT schemaname || '.' || tablename || ' ' || policyname || ' ' || roles::text || ' ' || coalesce(qual, '') || ' ' || coalesce(with_check, '') FROM pg_policies`,
	"triggers":  `SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal`,
	"functions": `SELECT oid::regprocedure || ' ' || proowner::regrole || ' ' || prosecdef || ' ' || coalesce(proacl::text, '') FROM pg_proc WHERE pronamespace::regnamespace::text IN ('tenants', 'auth', 'billing', 'audit', 'nself')`,
	"plans":     `SELECT plan || ' ' || meter || ' ' || "limit" FROM billing.plan_limits`,
}

// schema reads a database through schemaQueries.
func schema(t *testing.T, db *pgtest.DB) map[string][]string {
	t.Helper()
	described := map[string][]string{}
	pool := db.Superuser(t)
	for name, query := range schemaQueries {
		rows, _ := pool.Query(t.Context(), query)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		slices.Sort(lines)
		described[name] = lines
	}
	return described
}

func TestMigrationsGiveOneSchemaWhoeverComesFirst(t *testing.T) {
	reference := pgtest.Empty(t)
	if err := up(t.Context(), reference.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	want := schema(t, reference)
	if all, err := migrate.All(); err != nil || len(want["ledger"]) != len(all) {
		t.Fatalf("the ledger has %d rows, the build %d migrations (%v)", len(want["ledger"]), len(all), err)
	}
	files := map[string]runner{
		"files alone":              eachFile,
		"files twice":              inTurn(eachFile, eachFile),
		"two readers of the files": atOnce(eachFile, eachFile),
	}
	for name, run := range files {
		t.Run(name, func(t *testing.T) { gives(t, run, withoutQueue(want)) })
		t.Run(name+", then server", func(t *testing.T) { gives(t, inTurn(run, up), want) })
	}
	for name, run := range map[string]runner{
		"server, then files":         inTurn(up, eachFile, eachFile),
		"two servers at once":        atOnce(up, up),
		"four servers at once":       atOnce(up, up, up, up),
		"server and files at once":   atOnce(up, eachFile, up, eachFile),
		"at once, and later a third": inTurn(atOnce(up, eachFile), up, eachFile),
	} {
		t.Run(name, func(t *testing.T) { gives(t, run, want) })
	}
}

// gives runs the migrations of an empty database and compares what comes of it.
func gives(t *testing.T, run runner, want map[string][]string) {
	t.Helper()
	db := pgtest.Empty(t)
	if err := run(t.Context(), db.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, schema(t, db)); diff != "" {
		t.Error(diff)
	}
}

// withoutQueue is the schema before the server came, who alone makes the queue's tables.
func withoutQueue(described map[string][]string) map[string][]string {
	left := map[string][]string{}
	for name, lines := range described {
		left[name] = slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(line, "river_") })
	}
	return left
}

// newCluster is one whose databases share no roles of ours yet.
func newCluster(t *testing.T) *postgres.Cluster {
	t.Helper()
	cluster, err := postgres.Start(t.Context(), postgres.Config{Dir: filepath.Join(postgres.Scratch(), "nself-contract-"+rand.Text())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cluster.Stop(), postgres.Remove(cluster.Dir())); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	err := connected(t.Context(), url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFirstMigrationsOfANewClusterRunAtOnce(t *testing.T) {
	cluster := newCluster(t)
	execute(t, cluster.SuperuserURL("postgres"), `CREATE DATABASE one`)
	execute(t, cluster.SuperuserURL("postgres"), `CREATE DATABASE other`)
	on := func(database string, run runner) runner {
		return func(ctx context.Context, _ string) error { return run(ctx, cluster.SuperuserURL(database)) }
	}
	if err := atOnce(on("one", up), on("other", up), on("one", eachFile), on("other", eachFile))(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestARoleThatMayCreateRolesNeedsNoSuperuser(t *testing.T) {
	cluster := newCluster(t)
	execute(t, cluster.SuperuserURL("postgres"), `CREATE ROLE installer LOGIN CREATEROLE PASSWORD 'installer'`)
	execute(t, cluster.SuperuserURL("postgres"), `CREATE DATABASE app OWNER installer`)
	address, err := url.Parse(cluster.SuperuserURL("app"))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("installer", "installer")
	if err := inTurn(up, eachFile)(t.Context(), address.String()); err != nil {
		t.Error(err)
	}
}

func TestTheOwnerNeedsNoSuperuserAfterTheFirstRun(t *testing.T) {
	db := pgtest.Database(t)
	if err := inTurn(up, eachFile)(t.Context(), db.URL("nself_owner")); err != nil {
		t.Fatal(err)
	}
}

func TestMigrationsGoForwardOnly(t *testing.T) {
	db := pgtest.Database(t)
	before := schema(t, db)
	all, err := migrate.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		down, err := hasura.Migrations.ReadFile(fmt.Sprintf("migrations/default/%d_%s/down.sql", m.Version, m.Name))
		if err != nil {
			t.Fatal(err)
		}
		err = connected(t.Context(), db.URL("postgres"), func(conn *pgx.Conn) error {
			_, err := conn.PgConn().Exec(t.Context(), string(down)).ReadAll()
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "forward only") {
			t.Errorf("down.sql of %s: %v", m.Name, err)
		}
	}
	if diff := cmp.Diff(before, schema(t, db)); diff != "" {
		t.Error(diff)
	}
}
