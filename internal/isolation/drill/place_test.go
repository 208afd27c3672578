package drill_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nself/tenancy/internal/isolation/drill"
)

// withPlaces gives every tenant of the house a schema of its own with rows in it.
func (h *house) withPlaces(t *testing.T) {
	t.Helper()
	h.do(t, `INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES
	  (1, 'notes', 'CREATE TABLE notes (id serial PRIMARY KEY, body text NOT NULL)', repeat('0', 64))`)
	for _, tenant := range h.tenants {
		h.do(t, fmt.Sprintf(`UPDATE tenants.tenants SET strategy = 'schema' WHERE id = '%s'; SELECT tenants.create_tenant_schema('%[1]s', 'tenant_');
		  INSERT INTO %s.notes (body) VALUES ('a'), ('b')`, tenant.ID, place(tenant)))
	}
}

func place(tenant drill.Tenant) string { return "tenant_" + tenant.ID.String()[:8] }

// ofNotes are the checks of the tables of tenants' own schemas.
func ofNotes(report drill.Report, tenants []drill.Tenant) []drill.Check {
	return slices.DeleteFunc(slices.Clone(report.Checks), func(c drill.Check) bool {
		return !slices.ContainsFunc(tenants, func(tenant drill.Tenant) bool { return c.Table == place(tenant)+".notes" })
	})
}

func TestTheSchemasOfTenantsHoldAgainstOneAnother(t *testing.T) {
	h := newHouse(t)
	h.withPlaces(t)
	report, err := h.run(t, "nself_app", drill.Config{Tenants: h.tenants})
	if err != nil {
		t.Fatal(err)
	}
	checks := ofNotes(report, h.tenants)
	for _, c := range checks {
		if c.Leak || !c.Proved {
			t.Errorf("%+v", c)
		}
	}
	if len(checks) != 6*len(h.tenants) {
		t.Errorf("%d checks of %d schemas", len(checks), len(h.tenants))
	}
}

func TestAHoleInATenantsSchemaIsALeak(t *testing.T) {
	h := newHouse(t)
	h.withPlaces(t)
	for name, sql := range map[string]string{
		"sees no other's":                `CREATE POLICY hole ON %s.notes FOR SELECT TO nself_app USING (true)`,
		"inserts nothing for the other":  `CREATE POLICY hole ON %s.notes FOR INSERT TO nself_app WITH CHECK (true)`,
		"deletes nothing of the other's": `ALTER POLICY active_tenant ON %s.notes USING (true) WITH CHECK (false)`,
	} {
		t.Run(name, func(t *testing.T) {
			h.do(t, fmt.Sprintf(sql, place(h.tenants[0])))
			defer h.do(t, fmt.Sprintf(`DROP POLICY IF EXISTS hole ON %s.notes; SELECT tenants.wall_tenant_schema('%s')`, place(h.tenants[0]), h.tenants[0].ID))
			report, err := h.run(t, "nself_app", drill.Config{Tenants: h.tenants})
			if err != nil {
				t.Fatal(err)
			}
			if report.Held || !slices.ContainsFunc(ofNotes(report, h.tenants), func(c drill.Check) bool { return c.Name == name && c.Leak }) {
				t.Errorf("%+v", ofNotes(report, h.tenants))
			}
		})
	}
}
