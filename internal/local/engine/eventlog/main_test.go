package eventlog

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/pgtest"
)

// The roles of the tests. None owns a table or is a superuser.
const (
	standIn  = "stand_in" // runs the event log: CREATE on the database, TRIGGER on the tables
	writer   = "writer"   // writes the tables and is named as a grantee
	stranger = "stranger" // writes the tables and is not named
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixtureTables holds the table of the recorded payloads and one with a column that has no
// equality.
const fixtureTables = `
CREATE TABLE public.tenants (
    id uuid PRIMARY KEY, slug text, name text, plan text, seats int, credit_cents bigint, ratio numeric, tags text[],
    settings jsonb, logo bytea, renews_on date, created_at timestamptz);
CREATE TABLE public."odd ""names" (r int, "it's" json, "drop\" text);
GRANT ALL ON public.tenants, public."odd ""names" TO writer, stranger;
REVOKE TRIGGER ON public.tenants, public."odd ""names" FROM writer, stranger;
GRANT TRIGGER ON public.tenants, public."odd ""names" TO stand_in;`

// database is a test's own database, with the fixture tables.
type database struct {
	*pgtest.DB
	super *pgxpool.Pool
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	db := pgtest.Empty(t)
	d := &database{DB: db, super: db.Superuser(t)}
	for _, role := range []string{standIn, writer, stranger} {
		d.createRole(t, role)
	}
	// The recorded payloads are of a server in UTC.
	execute(t, d.super, "ALTER DATABASE "+d.name(t)+" SET timezone = 'UTC'")
	execute(t, d.super, "GRANT CREATE ON DATABASE "+d.name(t)+" TO "+standIn)
	execute(t, d.super, fixtureTables)
	return d
}

// createRole makes the role with the first database of the cluster.
func (db *database) createRole(t *testing.T, role string) {
	t.Helper()
	if query[bool](t, db.super, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role) {
		return
	}
	login, err := pgx.ParseConfig(db.URL(role))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db.super, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", role, login.Password))
}

func (db *database) name(t *testing.T) string {
	t.Helper()
	return query[string](t, db.super, `SELECT current_database()`)
}

// elsewhere is the superuser in another database of the cluster.
func (db *database) elsewhere(t *testing.T) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Database = "postgres"
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the one value of the one row of sql.
func query[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}
