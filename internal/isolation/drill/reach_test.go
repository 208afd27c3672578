package drill_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/isolation/drill"
)

// deals refer to contacts, and cannot be without one.
const deals = `
SET LOCAL ROLE nself_owner;
CREATE TABLE crm.deals (tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE, id uuid NOT NULL DEFAULT gen_random_uuid(),
	contact_id int NOT NULL, title text NOT NULL, PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, contact_id) REFERENCES crm.contacts);
ALTER TABLE crm.deals ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON crm.deals TO nself_owner USING (true) WITH CHECK (true);
CREATE POLICY active_tenant ON crm.deals TO nself_app
	USING (tenant_id = (SELECT tenants.active_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id()));
CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.deals
	FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
GRANT SELECT, INSERT, UPDATE, DELETE ON crm.deals TO nself_app;
INSERT INTO crm.deals (tenant_id, contact_id, title) SELECT tenant_id, id, 'deal' FROM crm.contacts;
INSERT INTO nself.tenant_tables VALUES ('crm', 'deals', '{"table": "crm.deals", "grants": {"nself_app": ["select", "insert", "update", "delete"]}}')`

// events are partitioned, and one of the partitions can be named.
const events = `
SET LOCAL ROLE nself_owner;
CREATE TABLE crm.events (tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE, day int NOT NULL, PRIMARY KEY (tenant_id, day)) PARTITION BY RANGE (day);
ALTER TABLE crm.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON crm.events TO nself_owner USING (true) WITH CHECK (true);
CREATE POLICY active_tenant ON crm.events TO nself_app USING (tenant_id = (SELECT tenants.active_tenant_id()));
CREATE TABLE crm.events_1 PARTITION OF crm.events FOR VALUES FROM (0) TO (10);
CREATE TABLE crm.events_2 PARTITION OF crm.events FOR VALUES FROM (10) TO (20);
GRANT SELECT, DELETE ON crm.events TO nself_app;
INSERT INTO crm.events SELECT id, day FROM tenants.tenants, generate_series(8, 12) day;
INSERT INTO nself.tenant_tables VALUES ('crm', 'events', '{"table": "crm.events", "grants": {"nself_app": ["select", "delete"]}}')`

func named(tables ...string) []isolation.Name {
	var list []isolation.Name
	for _, table := range tables {
		list = append(list, isolation.Name{Schema: "crm", Name: table})
	}
	return list
}

func TestEveryWayThatNeedsNoSightOfTheRowsIsTried(t *testing.T) {
	for _, faults := range [][]fault{{
		{`CREATE POLICY wide ON crm.deals FOR DELETE TO nself_app USING (true)`, "crm.deals", "deletes nothing of the other's"},
		{`CREATE POLICY wide ON crm.contacts FOR SELECT TO nself_app USING (tenants.current_user_id() IS NOT NULL)`, "crm.contacts", "sees no other's"},
		{`GRANT DELETE ON crm.events_2 TO nself_app`, "crm.events_2", "deletes nothing of the other's"},
	}, {
		{`CREATE POLICY wide ON crm.deals FOR UPDATE TO nself_app USING (true) WITH CHECK (true)`, "crm.deals", "updates nothing of the other's"},
		{`CREATE POLICY wide ON crm.contacts FOR SELECT TO nself_app USING (tenants.current_session() ->> 'x-hasura-role' = 'tenant_guest')`, "crm.contacts", "sees no other's"},
	}, {
		{`ALTER POLICY active_tenant ON crm.deals WITH CHECK (true)`, "crm.deals", "inserts nothing for the other"},
		{`GRANT TRUNCATE ON crm.contacts TO nself_app`, "crm.contacts", "truncates nothing"},
		{`GRANT SELECT ON crm.events_2 TO nself_app`, "crm.events_2", "sees no other's"},
	}, {
		{`ALTER TABLE crm.deals ADD UNIQUE (tenant_id, contact_id); ALTER POLICY active_tenant ON crm.deals WITH CHECK (true)`, "crm.deals", "inserts nothing for the other"},
		{`CREATE POLICY wide ON crm.contacts FOR SELECT TO nself_app USING (tenants.current_user_id() IS NOT NULL AND NOT tenants.current_session() ? 'x-hasura-role')`, "crm.contacts", "sees no other's"},
	}, {
		{`CREATE POLICY wide ON crm.contacts FOR DELETE TO nself_app USING (true)`, "crm.contacts", "deletes nothing of the other's"},
		{`GRANT TRUNCATE ON crm.deals TO nself_app`, "crm.deals", "truncates nothing"},
	}} {
		t.Run(faults[0].plant, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			for _, plant := range []string{deals, events} {
				h.do(t, plant)
			}
			h.finds(t, faults)
		})
	}
}

// fault is a hole in the wall, and the check that has to find it.
type fault struct{ plant, table, check string }

func (h *house) finds(t *testing.T, faults []fault) {
	t.Helper()
	for _, f := range faults {
		h.do(t, f.plant)
	}
	before := h.rows(t)
	report, err := h.run(t, "nself_app", drill.Config{Tables: named("contacts", "deals", "events"), Tenants: h.tenants[:2]})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		if report.Held || !slices.ContainsFunc(report.Checks, func(k drill.Check) bool { return k.Leak && k.Table == f.table && k.Name == f.check }) {
			t.Errorf("%s: %q of %s found nothing: %+v", f.plant, f.check, f.table, report.Checks)
		}
	}
	if h.rows(t) != before {
		t.Error("what leaked was not taken back")
	}
}

func TestTablesThatReferToOneAnotherAreProvedInEveryCheck(t *testing.T) {
	h := newHouse(t)
	h.do(t, deals)
	h.do(t, events)
	report, err := h.run(t, "nself_app", drill.Config{Tables: named("contacts", "deals", "events"), Tenants: h.tenants[:2]})
	if err != nil || !report.Held || report.Unproved > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if !slices.ContainsFunc(report.Checks, func(c drill.Check) bool {
		return c.Table == "crm.events" && strings.HasPrefix(c.Detail, "2 are reached")
	}) {
		t.Errorf("nothing of the partitions: %+v", report.Checks)
	}
}

// Somebody who sees none of the tenant's rows may still delete them: they are no others'.
func TestRowsOfTheOwnTenantThatARoleDoesNotSeeAreNoLeak(t *testing.T) {
	h := newHouse(t)
	h.do(t, `DROP POLICY active_tenant ON crm.contacts;
		CREATE POLICY seen ON crm.contacts FOR SELECT TO nself_app USING (tenant_id = (SELECT tenants.active_tenant_id()) AND tenants.current_session() ? 'x-hasura-role');
		CREATE POLICY gone ON crm.contacts FOR DELETE TO nself_app USING (tenant_id = (SELECT tenants.active_tenant_id()))`)
	report, err := h.run(t, "nself_app", drill.Config{Tenants: h.tenants[:2]})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if c.Leak {
			t.Errorf("false leak: %+v", c)
		}
	}
}

// swallow keeps every insert from being made, before any policy is asked.
const swallow = `CREATE FUNCTION crm.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the books are closed''; END';
CREATE TRIGGER refuse BEFORE INSERT ON crm.contacts FOR EACH ROW EXECUTE FUNCTION crm.refuse()`

func TestWhatFailsBeforeTheWallIsNotProved(t *testing.T) {
	h := newHouse(t)
	h.do(t, swallow)
	all, err := h.run(t, "nself_app", drill.Config{Tenants: h.tenants[:2]})
	if err != nil || !all.Held || all.Unproved == 0 {
		t.Errorf("of all tables: %+v, %v", all, err)
	}
	one, err := h.run(t, "nself_app", drill.Config{Tables: crm(), Tenants: h.tenants[:2]})
	if err != nil || one.Held || one.Unproved != 1 {
		t.Errorf("of a table that was named: %+v, %v", one, err)
	}
}
