package audit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
)

// faulty is a database with safe and unsafe faults, and one that is let off.
func faulty(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.Database(t)
	_, err := connect(t, db, "postgres").Exec(t.Context(), `
		ALTER TABLE tenants.tenant_settings DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
		GRANT TRUNCATE ON tenants.tenant_members TO nself_app;
		GRANT REFERENCES ON tenants.tenant_members TO nself_app;
		ALTER TABLE tenants.tenant_settings ADD UNIQUE (key);
		CREATE SCHEMA other; GRANT CREATE ON SCHEMA other TO PUBLIC; GRANT USAGE ON SCHEMA other TO nself_owner;
		CREATE FUNCTION other.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog RETURN 1;
		REVOKE ALL ON FUNCTION other.f FROM PUBLIC`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestRepairMakesTheSafeFixesAlone(t *testing.T) {
	conn := connect(t, faulty(t), "postgres")
	config := Config{Conn: conn, Allow: []Allowance{{Rule: "grant-references", Object: "*", Reason: "for this test"}}}
	applied, err := Repair(t.Context(), conn, runAudit(t, config).Findings)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, a := range applied {
		rules = append(rules, a.Rule)
		if a.Refused != "" {
			t.Errorf("%+v", a)
		}
	}
	if got, want := strings.Join(rules, " "), "schema-create-public grant-truncate rls-disabled function-search-path-temp"; got != want {
		t.Errorf("made %s, want %s", got, want)
	}
	left := told(runAudit(t, config).Findings)
	for _, gone := range []string{"rls-", "grant-truncate", "schema-create"} {
		if strings.Contains(left, gone) {
			t.Errorf("%s is still there:\n%s", gone, left)
		}
	}
	if !strings.Contains(left, "unique-across-tenants: tenants.tenant_settings") || !strings.Contains(left, "grant-references") {
		t.Errorf("what is not safe, or let off, was changed:\n%s", left)
	}
}

func TestRepairTellsWhatTheLoginMayNotDo(t *testing.T) {
	conn := connect(t, faulty(t), "nself_owner")
	applied, err := Repair(t.Context(), conn, runAudit(t, Config{Conn: conn}).Findings)
	if err != nil {
		t.Fatal(err)
	}
	after := runAudit(t, Config{Conn: conn})
	refused := map[string]string{}
	for _, a := range after.Unmade(applied) {
		refused[a.Rule] = a.Refused
	}
	want := map[string]string{"function-search-path-temp": "must be owner of function other.f", "schema-create-public": unmade, "grant-truncate": "", "grant-references": "", "rls-disabled": ""}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Error(diff)
	}
	if left := told(after.Findings); strings.Contains(left, "rls-disabled") {
		t.Errorf("the others were not made:\n%s", left)
	}
}

func TestRepairChangesNothingWhereAFixFails(t *testing.T) {
	conn := connect(t, faulty(t), "postgres")
	findings := runAudit(t, Config{Conn: conn}).Findings
	before := told(findings)
	findings = append(findings, Finding{Rule: "rls-disabled", Object: "nowhere", Fix: safe("ALTER TABLE nowhere.at_all ENABLE ROW LEVEL SECURITY")})
	if _, err := Repair(t.Context(), conn, findings); err == nil || !strings.Contains(err.Error(), "nothing was changed, as the fix of rls-disabled at nowhere failed") {
		t.Errorf("the error is %v", err)
	}
	if after := told(runAudit(t, Config{Conn: conn}).Findings); after != before {
		t.Errorf("it changed:\n%s\nfrom:\n%s", after, before)
	}
}

// A policy that lets everything be seen is not mended by letting everything be written.
func TestRepairDoesNotWriteAnOpenPolicyDownAgain(t *testing.T) {
	c := newCRM(t)
	execute(t, c.tx, `DROP POLICY active_tenant ON crm.contacts; CREATE POLICY active_tenant ON crm.contacts TO nself_app USING (true)`)
	found := 0
	for _, f := range c.audit(t) {
		if f.Rule != "policy-without-check" {
			continue
		}
		found++
		if f.Fix.Safe || strings.Contains(f.Fix.Text, "CHECK (true)") {
			t.Errorf("the fix is safe %t: %s", f.Fix.Safe, f.Fix.Text)
		}
	}
	if found != 1 {
		t.Errorf("found %d times", found)
	}
}
