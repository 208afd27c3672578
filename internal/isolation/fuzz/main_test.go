package fuzz

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/local/pgbouncer"
	"github.com/nself/tenancy/internal/pgtest"
)

// everydayChecks is how many random worlds an ordinary run makes; -rapid.checks asks for another number.
const everydayChecks = "10"

func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "rapid.checks" })
	if !asked {
		if err := flag.Set("rapid.checks", everydayChecks); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	pgtest.Main(m)
}

// tenant is a tenant with rows that tell whose they are: by a word that only they hold, and by the range of numbers.
type tenant struct {
	index int
	id    string
	user  string // its owner
	mark  string

	signedIn, signedOut string // sessions of the owner's
}

const rangeOfNumbers = 1_000_000

// numbers is the least of the tenant's numbers.
func (x tenant) numbers() int { return (x.index + 1) * rangeOfNumbers }

func (x tenant) owns(number int) bool { return number/rangeOfNumbers == x.index+1 }

const (
	nobody    = -1 // no tenant is in force
	suspended = 4  // the tenant that is out of service
	bystander = 3  // the tenant that no program names as its own
)

// world is what all checks of a test share.
type world struct {
	db      *pgtest.DB
	admin   *pgxpool.Pool
	tenants []tenant
	single  *pgbouncer.Bouncer // all clients of a role share one server session
	several *pgbouncer.Bouncer // they share two
	made    int                // schemas so far
}

const sessionsSQL = `
INSERT INTO auth.sessions (id, family_id, method, tenant_id, user_id, role, expires_at, ended_at, end_reason)
SELECT s.id, s.id, 'link', '%[3]s', '%[4]s', 'tenant_owner', now() + interval '1 day', s.ended, CASE WHEN s.ended IS NOT NULL THEN 'signed_out' END
FROM (VALUES ('%[1]s'::uuid, NULL::timestamptz), ('%[2]s', now())) s (id, ended)`

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{db: pgtest.Database(t)}
	w.admin = w.db.Superuser(t)
	server := w.db.Pool(t, "nself_server")
	for i := range 5 {
		team := pgtest.NewTeam(t, server)
		word := fmt.Sprintf("mark%s", strings.ReplaceAll(uuid.NewString(), "-", "")[:12])
		x := tenant{i, team.ID.String(), team.Owner.String(), word, uuid.NewString(), uuid.NewString()}
		w.do(t, fmt.Sprintf(sessionsSQL, x.signedIn, x.signedOut, x.id, x.user))
		w.tenants = append(w.tenants, x)
	}
	w.do(t, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = '`+w.tenants[suspended].id+`'`)
	for _, role := range []string{"nself_app", "nself_server"} {
		w.do(t, "ALTER ROLE "+role+" SET lock_timeout = '40ms'")
	}
	w.single, w.several = w.bounce(t, 1, false), w.bounce(t, 2, false)
	return w
}

func (w *world) bounce(t *testing.T, size int, reset bool) *pgbouncer.Bouncer {
	t.Helper()
	urls := []string{w.db.URL("nself_app"), w.db.URL("nself_server")}
	b, err := pgbouncer.Start(t.Context(), pgbouncer.Config{URLs: urls, PoolSize: size, ResetAlways: reset})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (w *world) do(t testing.TB, sql string) {
	t.Helper()
	if _, err := w.admin.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// failer is what both testing and rapid offer.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// make brings a schema to life with the rows of every tenant; drop takes it away. The wall around its tables is the one
// that nself tenant protect puts there.
func (w *world) make(t failer, s *schema) (drop func()) {
	t.Helper()
	w.made++
	s.name = fmt.Sprintf("fz%d", w.made)
	if err := pgx.BeginFunc(context.Background(), w.admin, func(tx pgx.Tx) error { return w.build(tx, *s) }); err != nil {
		t.Fatalf("make the schema %+v: %v", s.tables, err)
	}
	return func() {
		_, err := w.admin.Exec(context.Background(), "DROP SCHEMA "+s.name+" CASCADE")
		if err == nil {
			_, err = w.admin.Exec(context.Background(), "DELETE FROM nself.tenant_tables WHERE schema_name = $1", s.name)
		}
		if err != nil {
			t.Fatalf("drop %s: %v", s.name, err)
		}
	}
}

func (w *world) build(tx pgx.Tx, s schema) error {
	run := func(statements ...string) error {
		_, err := tx.Conn().PgConn().Exec(context.Background(), strings.Join(statements, ";\n")).ReadAll()
		return err
	}
	if err := run(s.bare()); err != nil {
		return err
	}
	protection, err := isolation.Protect(context.Background(), tx, isolation.Request{Names: s.names(), Column: "tenant_id"})
	if err != nil {
		return err
	}
	steps := []string{"RESET ROLE", block(protection.Handover), "SET LOCAL ROLE nself_owner", block(protection.Statements), s.around(), "RESET ROLE"}
	for _, x := range w.tenants {
		steps = append(steps, s.seed(x))
	}
	for i := range s.tables {
		steps = append(steps, "ANALYZE "+s.table(i))
	}
	return run(steps...)
}

// block runs a plan's statements as its migration would.
func block(statements []string) string {
	return "DO $wall$ BEGIN " + strings.Join(append(statements, "END $wall$"), ";\n")
}
