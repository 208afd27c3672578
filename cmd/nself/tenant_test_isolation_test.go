package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/isolation/drill"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestTestIsolationTellsByItsExitCode(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	one, other := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	both := one.ID.String() + "," + other.ID.String()
	env := environment{"DATABASE_URL": db.URL("nself_app")}
	out := env.mustDo(t, "tenant", "test-isolation", "--tenants", both)
	for _, line := range []string{"✓ tenants.tenants: sees no other's: ", "- auth.users: sees no other's: ", "✓ the wall held: " + one.ID.String()} {
		if !strings.Contains(out, line) {
			t.Errorf("no line %q in:\n%s", line, out)
		}
	}
	if _, err := db.Superuser(t).Exec(t.Context(), `ALTER TABLE tenants.tenant_members DISABLE ROW LEVEL SECURITY`); err != nil {
		t.Fatal(err)
	}
	got := env.nself(t, "tenant", "test-isolation", "--tenants", both)
	if got.code != exitRefused || got.err != "" || !strings.Contains(got.out, "✗ tenants.tenant_members: sees no other's: ") || !strings.Contains(got.out, "✗ the wall leaks: ") {
		t.Errorf("%+v", got)
	}
	got = env.nself(t, "tenant", "test-isolation", "--tenants", both, "--json", "--tables", "tenants.tenant_members")
	var report drill.Report
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != exitRefused || report.Held || len(report.Checks) == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	got = env.nself(t, "tenant", "test-isolation", "--tenants", both, "--tables", "tenants.tenants")
	if got.code != exitDone || strings.Contains(got.out, "tenant_members") {
		t.Errorf("another table: %+v", got)
	}
}

func TestTestIsolationRefusesWhatProvesNothing(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	both := pgtest.NewTeam(t, server).ID.String() + "," + pgtest.NewTeam(t, server).ID.String()
	environment{"DATABASE_URL": db.URL("nself_owner")}.mustRefuse(t, exitRefused, "an owner of the tables", "tenant", "test-isolation", "--tenants", both)
	env := environment{"DATABASE_URL": db.URL("nself_app")}
	env.mustRefuse(t, exitRefused, "two active tenants with rows", "tenant", "test-isolation", "--tables", "auth.users", "--tenants", both)
	env.mustRefuse(t, exitUsage, "nself_app cannot list them", "tenant", "test-isolation")
	env.mustRefuse(t, exitUsage, "is no id; for slugs", "tenant", "test-isolation", "--tenants", "acme,globex")
	env.mustRefuse(t, exitUsage, "it takes two", "tenant", "test-isolation", "--tenants", "acme")
	env.mustRefuse(t, exitUsage, "the same tenant twice", "tenant", "test-isolation", "--tenants", both[:36]+","+both[:36])
	env.mustRefuse(t, exitUsage, "write schema.table", "tenant", "test-isolation", "--tables", "contacts")
	environment{}.mustRefuse(t, exitUsage, "DATABASE_URL is not set", "tenant", "test-isolation")
}

func TestTestIsolationAsksHasuraForTenants(t *testing.T) {
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	one, other := pgtest.NewTeam(t, server), pgtest.NewTeam(t, server)
	env := hasuraSaying(t, `{"data":{"tenants":[{"id":"`+one.ID.String()+`","slug":"acme"},{"id":"`+other.ID.String()+`","slug":"globex"}]}}`)
	env["DATABASE_URL"] = db.URL("nself_app")
	if out := env.mustDo(t, "tenant", "test-isolation"); !strings.Contains(out, "✓ the wall held: acme and globex as nself_app") {
		t.Error(out)
	}
}
