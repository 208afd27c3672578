package prove

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

// reports hold what tenants wrote, and do not say who.
const reports = `CREATE TABLE crm.reports (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL);
INSERT INTO crm.reports (body) VALUES ('topsecret'); GRANT SELECT ON crm.reports TO nself_hasura;`

func withReports(t *testing.T, tree fstest.MapFS) {
	t.Helper()
	added(tablesDirectory+"tables.yaml", "- \"!include crm_reports.yaml\"\n")(t, tree)
	permission := "permission: {columns: [id, body], filter: {}}}\n"
	added(crm+"reports.yaml", "table: {schema: crm, name: reports}\nselect_permissions:\n  - {role: tenant_owner, "+permission+"  - {role: tenant_member, "+permission+"  - {role: tenant_guest, "+permission)(t, tree)
}

// namesAlone shows guests the names of everybody's contacts, which nobody may insert.
func namesAlone(t *testing.T, tree fstest.MapFS) {
	t.Helper()
	file := tree[crm+"contacts.yaml"]
	text := string(file.Data)
	text = text[:strings.Index(text, "insert_permissions:")]
	at := strings.Index(text, "- role: tenant_guest")
	guest := strings.Replace(text[at:], "columns: ["+crmTables["contacts"].columns+"]\n      filter: "+tenantFilter, "columns: [name]\n      filter: {}", 1)
	file.Data = []byte(text[:at] + guest)
}

func TestATableThatMayBeSharedIsNotProvedUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	tree := smallTree(t)
	withReports(t, tree)
	namesAlone(t, tree)
	s := newStand(t, tree, reports, nowhereElse)
	s.settle(t)
	for table, reason := range map[string]string{"crm_reports": looksShared, "crm_contacts": looksAlike} {
		o := s.options(t, s.url)
		o.As, o.Only = []string{s.token(t, s.mine, "guest")}, []string{table}
		report, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if want := (Unproved{"tenant_guest", table, reason}); report.OK() || !slices.Equal(report.Unproved, []Unproved{want}) {
			t.Errorf("unproved %v, want %v", report.Unproved, want)
		}
		o.Shared = append(o.Shared, table)
		if report, err = Run(t.Context(), o); err != nil || !report.OK() || !slices.Equal(report.SharedTables, []string{table}) {
			t.Errorf("%v; accepted %v, unproved %v, faults %v", err, report.SharedTables, report.Unproved, report.Faults)
		}
	}
}

func TestALeakOfATableThatIsAcceptedIsOne(t *testing.T) {
	t.Parallel()
	s := newStand(t, setNamed(t, "select filter missing").tree(t), "", nowhereElse)
	s.settle(t)
	o := s.options(t, s.url)
	o.Only, o.Shared = []string{"crm_contacts"}, []string{"crm_contacts"}
	report, err := Run(t.Context(), o)
	if err != nil || len(report.Leaks) == 0 || report.OK() || len(report.SharedTables) > 0 {
		t.Errorf("%v %d leaks, accepted %v", err, len(report.Leaks), report.SharedTables)
	}
}

func TestTokensThatSeeNothingProveNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t, goodTree(t), "", nowhereElse)
	s.settle(t)
	suspend := func(tenant string) {
		const suspendSQL = `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`
		if _, err := s.admin.Exec(t.Context(), suspendSQL, tenant); err != nil {
			t.Fatal(err)
		}
	}
	says := func(name, words string, change func(*Options)) {
		t.Helper()
		o := s.options(t, s.url)
		o.Only = []string{"crm_contacts"}
		change(&o)
		report, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if report.OK() || !slices.ContainsFunc(report.Faults, func(f string) bool { return strings.Contains(f, words) }) {
			t.Errorf("%s: faults %q, unproved %v", name, report.Faults, report.Unproved)
		}
	}
	says("as a user without a tenant", "no token to try as has x-hasura-tenant-id", func(o *Options) {
		o.As, o.Only = []string{s.token(t, s.mine, "user")}, nil
	})
	says("against a user without a tenant", "the token to try against has no x-hasura-tenant-id", func(o *Options) { o.Against = s.token(t, s.theirs, "user") })
	suspend(s.theirs.ID.String())
	says("against a suspended tenant", "the token to try against sees and plants no row that is its tenant's", func(*Options) {})
	suspend(s.mine.ID.String())
	says("as a suspended tenant", "nothing is proved as tenant_member: the token sees no row that is its tenant's", func(*Options) {})
}

func TestATokenWhoseSessionEndsOnTheWayProvesNothing(t *testing.T) {
	t.Parallel()
	s := newStand(t, goodTree(t), "", nowhereElse)
	s.settle(t)
	var sent atomic.Int64
	o := s.options(t, between(t, s, func(string) {
		if sent.Add(1) != 150 {
			return
		}
		const endSQL = `UPDATE auth.sessions SET ended_at = now(), end_reason = 'signed_out' WHERE tenant_id = $1`
		if _, err := s.admin.Exec(t.Context(), endSQL, s.mine.ID.String()); err != nil {
			t.Error(err)
		}
	}))
	o.ReadOnly, o.Only = true, []string{"crm_contacts", "crm_deals", "crm_notes"}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() || !slices.ContainsFunc(report.Faults, func(f string) bool { return strings.Contains(f, "by the end the token sees no row") }) {
		t.Errorf("%d requests, faults %q", sent.Load(), report.Faults)
	}
}

func TestATableWithoutRowsOfTheOtherTenantIsNotProved(t *testing.T) {
	t.Parallel()
	tree := smallTree(t)
	filterOf("notes", "select", "{}")(t, tree)
	s := newStand(t, tree, "", nowhereElse)
	s.settle(t)
	if _, err := s.admin.Exec(t.Context(), "DELETE FROM crm.notes"); err != nil {
		t.Fatal(err)
	}
	o := s.options(t, s.url)
	o.ReadOnly = true
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Unproved{"tenant_member", "crm_notes", noForeign}); report.OK() || !slices.Equal(report.Unproved, []Unproved{want}) {
		t.Errorf("unproved %v, want %v", report.Unproved, want)
	}
}
