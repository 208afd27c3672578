package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
)

// connect is a connection of its own to a test's database.
func connect(t *testing.T, db *pgtest.DB, role string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func runAudit(t *testing.T, config Config) *Report {
	t.Helper()
	report, err := Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestTheOwnerSeesWhatASuperuserSees(t *testing.T) {
	db := pgtest.Database(t)
	plant := `ALTER TABLE tenants.tenant_settings DISABLE ROW LEVEL SECURITY; GRANT TRUNCATE ON tenants.tenant_members TO nself_app;
		CREATE VIEW tenants.everyone AS SELECT * FROM auth.users; CREATE INDEX by_doc ON tenants.tenant_settings USING gin (value)`
	if _, err := connect(t, db, "nself_owner").Exec(t.Context(), plant, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	as := func(role string) string {
		return told(runAudit(t, Config{Conn: connect(t, db, role), Metadata: ourMetadata(t)}).Findings)
	}
	owner, superuser := as("nself_owner"), as("postgres")
	for _, want := range []string{"rls-disabled: tenants.tenant_settings", "grant-truncate: tenants.tenant_members (nself_app truncate)", "view-not-invoker: tenants.everyone"} {
		if !strings.Contains(owner, want) {
			t.Errorf("%s is not found in:\n%s", want, owner)
		}
	}
	if diff := cmp.Diff(superuser, owner); diff != "" {
		t.Error(diff)
	}
}

func TestAnAuditSaysWhatItLeftOut(t *testing.T) {
	report := runAudit(t, Config{Conn: connect(t, pgtest.Database(t), "nself_owner")})
	skipped := strings.Join(report.Skipped, "\n")
	for _, want := range []string{"Hasura's metadata", "skew"} {
		if !strings.Contains(skipped, want) {
			t.Errorf("%q is not told of in %q", want, skipped)
		}
	}
	if slices.ContainsFunc(report.Findings, func(f Finding) bool { return strings.HasPrefix(f.Rule, "metadata-") }) {
		t.Errorf("metadata was judged unseen: %s", told(report.Findings))
	}
}

func TestAnAuditChangesNothing(t *testing.T) {
	db := pgtest.Database(t)
	conn := connect(t, db, "postgres")
	runAudit(t, Config{Conn: conn, Metadata: ourMetadata(t)})
	var role, seqscan string
	if err := conn.QueryRow(t.Context(), `SELECT current_user, current_setting('enable_seqscan')`).Scan(&role, &seqscan); err != nil || role != "postgres" || seqscan != "on" {
		t.Errorf("after it the session is %s with enable_seqscan %s, %v", role, seqscan, err)
	}
}

// oneOfEach is the first plant of each rule.
func oneOfEach() []plant {
	var first []plant
	for _, p := range plants() {
		known := slices.ContainsFunc(first, func(other plant) bool { return other.rule == p.rule })
		if !known && p.rule != "table-missing" { // its list is the database's, the others' is not
			first = append(first, p)
		}
	}
	return first
}

func TestADatabaseWithOneOfEachFaultTellsThemAll(t *testing.T) {
	c := newCRM(t)
	planted := oneOfEach()
	for i, p := range planted {
		c.build(t, fmt.Sprintf("crm_%d", i))
		if p.sql != "" {
			execute(t, c.tx, c.here(p.sql))
		}
		if p.change != nil {
			p.change(c)
		}
	}
	found := c.audit(t)
	for _, f := range found {
		t.Logf("%-7s %-35s %s: %s", f.Severity, f.Rule, f.Object, f.What)
	}
	for i, p := range planted {
		object := strings.ReplaceAll(strings.ReplaceAll(p.object, "crm", fmt.Sprintf("crm_%d", i)), "%database%", c.tx.Conn().Config().Database)
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == p.rule && f.Object == object }) {
			t.Errorf("%s of %s is not among the findings", p.rule, object)
		}
	}
	if len(planted) < len(rules)-5 { // table-missing, and those that no plant can make
		t.Errorf("only %d of %d rules were broken", len(planted), len(rules))
	}
}
