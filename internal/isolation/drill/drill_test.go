package drill_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/isolation/drill"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// house is a database with a table of the customer's that the drill may write to.
type house struct {
	db      *pgtest.DB
	admin   *pgxpool.Pool
	tenants []drill.Tenant
}

const contacts = `
CREATE SCHEMA crm AUTHORIZATION nself_owner;
SET LOCAL ROLE nself_owner;
CREATE TABLE crm.contacts (tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE, id int GENERATED ALWAYS AS IDENTITY,
	name text NOT NULL, size int GENERATED ALWAYS AS (length(name)) STORED, PRIMARY KEY (tenant_id, id));
ALTER TABLE crm.contacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON crm.contacts TO nself_owner USING (true) WITH CHECK (true);
CREATE POLICY active_tenant ON crm.contacts TO nself_tenant, nself_app
	USING (tenant_id = (SELECT tenants.active_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id()));
CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.contacts
	FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
GRANT USAGE ON SCHEMA crm TO nself_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON crm.contacts TO nself_app;
INSERT INTO crm.contacts (tenant_id, name) SELECT id, 'contact ' || n FROM tenants.tenants, generate_series(1, 3) n;
INSERT INTO nself.tenant_tables VALUES ('crm', 'contacts', '{"table": "crm.contacts", "grants": {"nself_app": ["select", "insert", "update", "delete"]}}')`

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{db: pgtest.Database(t)}
	h.admin = h.db.Superuser(t)
	server := h.db.Pool(t, "nself_server")
	for range 3 {
		team := pgtest.NewTeam(t, server)
		h.tenants = append(h.tenants, drill.Tenant{ID: team.ID, Name: team.Slug})
	}
	h.do(t, contacts)
	return h
}

func (h *house) do(t *testing.T, sql string) {
	t.Helper()
	if _, err := h.admin.Exec(context.WithoutCancel(t.Context()), "BEGIN;"+sql+";COMMIT", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (h *house) run(t *testing.T, role string, cfg drill.Config) (drill.Report, error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), h.db.URL(role))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	return drill.Run(t.Context(), conn, cfg)
}

func crm() []isolation.Name { return []isolation.Name{{Schema: "crm", Name: "contacts"}} }

func (h *house) rows(t *testing.T) string {
	t.Helper()
	var sum string
	const sumSQL = `SELECT string_agg(c::text, ' ' ORDER BY c::text) FROM crm.contacts c`
	if err := h.admin.QueryRow(t.Context(), sumSQL).Scan(&sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestAWallThatStandsHoldsInEveryTableAndLosesNothing(t *testing.T) {
	h := newHouse(t)
	before := h.rows(t)
	report, err := h.run(t, "nself_app", drill.Config{Tenants: h.tenants})
	if err != nil || !report.Held || report.Role != "nself_app" || len(report.Tenants) != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	var unproved []string
	tables := map[string]bool{}
	for _, c := range report.Checks {
		tables[c.Table] = true
		if c.Table == "crm.contacts" && !c.Proved {
			unproved = append(unproved, c.Name+": "+c.Detail)
		}
	}
	if len(unproved) > 0 {
		t.Errorf("not proved: %q", unproved)
	}
	for _, table := range []string{"tenants.tenants", "tenants.tenant_members", "tenants.tenant_settings", "auth.users", "crm.contacts"} {
		if !tables[table] {
			t.Errorf("%s was not tried: %v", table, tables)
		}
	}
	if h.rows(t) != before {
		t.Error("the drill changed the rows")
	}
}

func TestEveryLeakIsFoundByTheCheckThatLooksForIt(t *testing.T) {
	for check, plant := range map[string]string{
		"sees no other's":                      `CREATE POLICY wide ON crm.contacts FOR SELECT TO nself_app USING (tenants.current_tenant_id() IS NOT NULL)`,
		"sees nothing without context":         `CREATE POLICY wide ON crm.contacts FOR SELECT TO nself_app USING (tenants.current_tenant_id() IS NULL)`,
		"inserts nothing for the other":        `CREATE POLICY wide ON crm.contacts FOR INSERT TO nself_app WITH CHECK (true)`,
		"moves nothing to the other":           `DROP TRIGGER tenant_id_is_immutable ON crm.contacts; CREATE POLICY wide ON crm.contacts TO nself_app USING (true)`,
		"updates nothing of the other's":       `ALTER TABLE crm.contacts DISABLE ROW LEVEL SECURITY`,
		"deletes nothing of the other's":       `ALTER TABLE crm.contacts DISABLE ROW LEVEL SECURITY; ALTER TABLE crm.contacts DISABLE TRIGGER ALL`,
		"leaves the other's rows as they were": `CREATE POLICY wide ON crm.contacts TO nself_app USING (true)`,
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.do(t, plant)
			before := h.rows(t)
			report, err := h.run(t, "nself_app", drill.Config{Tables: crm(), Tenants: h.tenants[:2]})
			if err != nil {
				t.Fatal(err)
			}
			if report.Held || !slices.ContainsFunc(report.Checks, func(c drill.Check) bool { return c.Leak && c.Name == check }) {
				t.Errorf("%s found nothing: %+v", plant, report.Checks)
			}
			if h.rows(t) != before {
				t.Errorf("%s: what leaked was not taken back", plant)
			}
		})
	}
}

func TestRolesThatProveNothingAreRefused(t *testing.T) {
	h := newHouse(t)
	h.do(t, "ALTER ROLE nself_hasura BYPASSRLS")
	t.Cleanup(func() { h.do(t, "ALTER ROLE nself_hasura NOBYPASSRLS") })
	for role, words := range map[string]string{
		"postgres": "a superuser", "nself_owner": "an owner of the tables", "nself_hasura": "BYPASSRLS", "nself_server": "may not become nself_app",
	} {
		if _, err := h.run(t, role, drill.Config{Tenants: h.tenants}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", role, err, words)
		}
	}
}

func TestARoleThatMayBecomeTheLeastOneServes(t *testing.T) {
	h := newHouse(t)
	h.do(t, "GRANT nself_app TO nself_server")
	t.Cleanup(func() { h.do(t, "REVOKE nself_app FROM nself_server") })
	if report, err := h.run(t, "nself_server", drill.Config{Tenants: h.tenants}); err != nil || !report.Held {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	h := newHouse(t)
	h.do(t, "DELETE FROM crm.contacts WHERE tenant_id = '"+h.tenants[0].ID.String()+"'")
	h.do(t, "UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = '"+h.tenants[1].ID.String()+"'")
	none := []isolation.Name{{Schema: "crm", Name: "deals"}}
	for words, cfg := range map[string]drill.Config{
		"two active tenants with rows are needed; without any, or not active: " + h.tenants[0].Name + ", " + h.tenants[1].Name: {Tables: crm(), Tenants: h.tenants},
		"two active tenants with rows are needed": {},
		"crm.deals is no declared tenant table":   {Tables: none, Tenants: h.tenants},
	} {
		if _, err := h.run(t, "nself_app", cfg); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
}

func TestATableWithoutRowsIsNotProved(t *testing.T) {
	h := newHouse(t)
	h.do(t, "DELETE FROM crm.contacts WHERE tenant_id <> '"+h.tenants[0].ID.String()+"'")
	all, err := h.run(t, "nself_app", drill.Config{Tenants: h.tenants[:2]})
	if err != nil || !all.Held {
		t.Errorf("with other tables: %+v, %v", all, err)
	}
	for _, c := range all.Checks {
		if c.Table == "crm.contacts" && c.Name == "sees no other's" && c.Proved {
			t.Errorf("proved without rows: %s", c.Detail)
		}
	}
}
