package prove

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/tracking"
)

// ownSQL is a tenant migration for those with a schema of their own.
const ownSQL = `CREATE TABLE notes (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text NOT NULL, parent_id uuid REFERENCES notes)`

// withOwnSchemas gives both tenants a schema of their own, and tracks them.
func (s *stand) withOwnSchemas(t *testing.T) {
	t.Helper()
	if _, err := s.admin.Exec(t.Context(), `DELETE FROM tenants.tenant_schemas`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.Exec(t.Context(), `UPDATE nself.tenant_migrations SET body = $1`, ownSQL); err != nil {
		t.Fatal(err)
	}
	for _, team := range []string{s.mine.ID.String(), s.theirs.ID.String()} {
		for _, sql := range []string{`UPDATE tenants.tenants SET strategy = 'schema' WHERE id = $1`, `SELECT tenants.create_tenant_schema($1, 'place_')`} {
			if _, err := s.admin.Exec(t.Context(), sql, team); err != nil {
				t.Fatal(err)
			}
		}
	}
	client, err := hasuraapi.New(s.url, hasuraapi.Credential{AdminSecret: adminSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tracking.New(tracking.Config{DB: s.admin, Hasura: client, Log: slog.New(slog.DiscardHandler)}).Track(t.Context()); err != nil || n != 2 {
		t.Fatalf("tracked %d schemas: %v", n, err)
	}
}

// tryOwnSchemas tries as the own tenant's owner and guest, and expects no proof of tables
// of schemas: those of the own one are no other's.
func (s *stand) tryOwnSchemas(t *testing.T, only ...string) *Report {
	t.Helper()
	report, err := Run(t.Context(), Options{Endpoint: s.url, Against: s.token(t, s.theirs, "owner"), Only: only,
		As: []string{s.token(t, s.mine, "owner"), s.token(t, s.mine, "guest")}, Shared: []string{"place_*", "plans", "planLimits", "meters", "addons", "addonLimits", "crm_stages",
			"invitations", "apiKeys", "ownershipTransfers"}})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// places are the schemas of the own tenant and of the other one.
func (s *stand) places() (mine, theirs string) {
	return "place_" + s.mine.ID.String()[:8], "place_" + s.theirs.ID.String()[:8]
}

func TestTheOthersOwnSchemaIsOutOfReach(t *testing.T) {
	t.Parallel()
	s := newStand(t, goodTree(t), "", "")
	s.withOwnSchemas(t)
	report := s.tryOwnSchemas(t)
	for _, leak := range report.Leaks {
		t.Errorf("%s, %s at %s: %s\n%s\n%v", leak.Role, leak.Kind, leak.Field, leak.Finding, leak.Query, leak.Variables)
	}
	mine, theirs := s.places()
	if !report.OK() || !slices.Contains(report.SharedTables, mine+"_notes") || slices.Contains(report.SharedTables, theirs+"_notes") {
		t.Errorf("unproved %v, accepted %v, left %v, faults %v", report.Unproved, report.SharedTables, report.Left, report.Faults)
	}
}

func TestAnotherTenantsFilterOnAnOwnSchemaIsALeak(t *testing.T) {
	t.Parallel()
	s := newStand(t, goodTree(t), "", "")
	s.withOwnSchemas(t)
	client, err := hasuraapi.New(s.url, hasuraapi.Credential{AdminSecret: adminSecret}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exported, err := client.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Every permission on the other's schema now names the own tenant.
	exported.Metadata = []byte(strings.ReplaceAll(string(exported.Metadata), s.theirs.ID.String(), s.mine.ID.String()))
	if err := client.Replace(t.Context(), exported); err != nil {
		t.Fatal(err)
	}
	_, theirs := s.places()
	if _, err := s.admin.Exec(t.Context(), "INSERT INTO "+theirs+".notes (body) VALUES ('secret')"); err != nil {
		t.Fatal(err)
	}
	if report := s.tryOwnSchemas(t, theirs+"_notes"); report.OK() {
		t.Errorf("it passes: %v", report.SharedTables)
	}
}

func TestAReadUnderOneNameThatShowsTheOthersTableIsALeak(t *testing.T) {
	t.Parallel()
	s := newStand(t, goodTree(t), "", "")
	s.withOwnSchemas(t)
	_, theirs := s.places()
	if _, err := s.admin.Exec(t.Context(), `INSERT INTO `+theirs+`.notes (body) VALUES ('secret'); CREATE OR REPLACE FUNCTION tenant_reads.notes_of_tenant(hasura_session json)
		RETURNS SETOF tenant_reads.notes LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS 'SELECT id, body, parent_id FROM `+theirs+`.notes'`); err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), Options{Endpoint: s.url, Against: s.token(t, s.theirs, "owner"), Only: []string{"notes"}, ReadOnly: true, As: []string{s.token(t, s.mine, "owner")}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(report.Leaks, func(l Leak) bool { return l.Field == "notes" && strings.Contains(l.Finding, theirs+"_notes") }) {
		t.Errorf("leaks %v, unproved %v", report.Leaks, report.Unproved)
	}
}
