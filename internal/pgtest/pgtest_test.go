package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

// ask reads one value; null is nil.
func ask(t *testing.T, db interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, query string, args ...any) any {
	t.Helper()
	var answer any
	if err := db.QueryRow(t.Context(), query, args...).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

const relationSQL = `select to_regclass($1)::text`

func TestDatabaseHasTheSchema(t *testing.T) {
	db := Database(t).Superuser(t)
	if got := ask(t, db, relationSQL, "tenants.tenants"); got != "tenants.tenants" {
		t.Errorf("tenants.tenants: %v", got)
	}
}

func TestEmptyHasNoSchema(t *testing.T) {
	db := Empty(t).Superuser(t)
	if got := ask(t, db, relationSQL, "tenants.tenants"); got != nil {
		t.Errorf("tenants.tenants: %v", got)
	}
}

func TestDatabasesDoNotSeeEachOther(t *testing.T) {
	one, other := Database(t).Superuser(t), Database(t).Superuser(t)
	if _, err := one.Exec(t.Context(), `create table public.mine ()`); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, other, relationSQL, "public.mine"); got != nil {
		t.Errorf("seen from another database: %v", got)
	}
}

func TestDatabaseHasTheRightsOfTheTemplate(t *testing.T) {
	db := Database(t)
	const rightsSQL = `select row(d.datdba::regrole, d.datacl, d.encoding, d.datcollate,
		(select array_agg(s.setconfig) from pg_db_role_setting s where s.setdatabase = d.oid))::text
		from pg_database d where datname = $1`
	admin := db.Superuser(t)
	if diff := cmp.Diff(ask(t, admin, rightsSQL, template), ask(t, admin, rightsSQL, db.name)); diff != "" {
		t.Error(diff)
	}
	hasura := db.Pool(t, "nself_hasura")
	if got := ask(t, hasura, `select has_database_privilege(current_database(), 'create')`); got != true {
		t.Error("nself_hasura may not create its schema")
	}
}

func TestRolesThatSignInAreNotTheSuperuser(t *testing.T) {
	db := Database(t)
	for _, role := range []string{"nself_owner", "nself_server", "nself_app", "nself_hasura"} {
		pool := db.Pool(t, role)
		if got := ask(t, pool, `select current_user || ' ' || rolsuper from pg_roles where rolname = current_user`); got != role+" false" {
			t.Errorf("signed in as %v", got)
		}
	}
}

func TestDatabaseIsDroppedWithItsSessions(t *testing.T) {
	var db *DB
	t.Run("a test", func(t *testing.T) {
		db = Database(t)
		if _, err := pgx.Connect(t.Context(), db.URL("nself_server")); err != nil {
			t.Fatal(err)
		}
	})
	if got := ask(t, Empty(t).Superuser(t), `select count(*) from pg_database where datname = $1`, db.name); got != int64(0) {
		t.Errorf("%v databases are left", got)
	}
}

func TestTxLeavesNothingBehind(t *testing.T) {
	t.Run("a test", func(t *testing.T) {
		tx := Tx(t, "postgres")
		if err := pgx.BeginFunc(t.Context(), tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(t.Context(), `create table public.mine ()`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, tx, relationSQL, "public.mine"); got != "mine" && got != "public.mine" {
			t.Errorf("the transaction sees its own table as %v", got)
		}
		if err := tx.Commit(t.Context()); err == nil {
			t.Error("committed")
		}
	})
	if got := ask(t, Tx(t, "postgres"), relationSQL, "public.mine"); got != nil {
		t.Errorf("seen after the test: %v", got)
	}
}

func TestTxsAreSideBySideOnOneDatabase(t *testing.T) {
	one, other := Tx(t, "nself_server"), Tx(t, "nself_server")
	if diff := cmp.Diff(ask(t, one, `select current_database()::text`), ask(t, other, `select current_database()::text`)); diff != "" {
		t.Error(diff)
	}
	if ask(t, one, `select pg_backend_pid()::int8`) == ask(t, other, `select pg_backend_pid()::int8`) {
		t.Error("two transactions in one session")
	}
}

func TestPackageWithoutMainIsTold(t *testing.T) {
	if err := newCluster().start(); err == nil || !strings.Contains(err.Error(), "func TestMain(m *testing.M)") {
		t.Errorf("error: %v", err)
	}
}

// childVariable makes TestMainLeavesNothing the child that it runs, passing or failing.
const childVariable = "NSELF_TEST_PGTEST_CHILD"

func TestMainLeavesNothing(t *testing.T) {
	if outcome := os.Getenv(childVariable); outcome != "" {
		pool := Database(t).Superuser(t)
		fmt.Println("dir", current.running.Dir(), ask(t, pool, `select 1::int8`))
		if outcome == "fail" {
			t.Error("as it was told")
		}
		return
	}
	for outcome, code := range map[string]int{"pass": 0, "fail": 1} {
		child := exec.Command(os.Args[0], "-test.run=^TestMainLeavesNothing$")
		child.Env = append(os.Environ(), childVariable+"="+outcome)
		out, _ := child.CombinedOutput()
		var dir string
		if _, err := fmt.Sscanf(string(out), "dir %s 1", &dir); err != nil {
			t.Fatalf("%v:\n%s", err, out)
		}
		if got := child.ProcessState.ExitCode(); got != code {
			t.Errorf("a test that should %s: exit code %d\n%s", outcome, got, out)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", dir, err)
		}
	}
}
