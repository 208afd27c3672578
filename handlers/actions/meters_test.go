package actions_test

import (
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestAMeterIsDefinedChangedUsedAndThenStays(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	golden(t, "defined", h.call(t, pgtest.Operator, "defineMeter", map[string]any{"code": "visitors", "aggregation": "unique", "unit": "people", "defaultLimit": "2"}),
		`{"code":"visitors","name":"visitors","unit":"people","aggregation":"unique","deciding":"strict","leaseSize":100,"onOutage":"refuse","defaultLimit":2,"builtIn":false,"createdAt":"<time>"}`)
	golden(t, "changed", h.call(t, pgtest.Operator, "defineMeter", map[string]any{"code": "visitors", "name": "Visitors", "leaseSize": 7}),
		`{"code":"visitors","name":"Visitors","unit":"people","aggregation":"unique","deciding":"strict","leaseSize":7,"onOutage":"refuse","defaultLimit":2,"builtIn":false,"createdAt":"<time>"}`)
	for _, visitor := range []string{"ann", "bob", "ann"} {
		h.must(t, owner(team), "takeQuota", map[string]any{"meter": "visitors", "value": visitor})
	}
	h.refused(t, "quota-exceeded", owner(team), "takeQuota", map[string]any{"meter": "visitors", "value": "eve"})
	for visitor, allowed := range map[string]bool{"ann": true, "eve": false} {
		if got := h.must(t, owner(team), "checkQuota", map[string]any{"meter": "visitors", "value": visitor}); got["allowed"] != allowed || got["used"] != 2.0 {
			t.Errorf("%s: %v", visitor, got)
		}
	}
	h.refused(t, "invalid-input", owner(team), "takeQuota", map[string]any{"meter": "visitors"})
	for _, got := range []reply{
		h.call(t, pgtest.Operator, "removeMeter", map[string]any{"code": "visitors"}),
		h.call(t, pgtest.Operator, "removeMeter", map[string]any{"code": "users"}),
		h.call(t, pgtest.Operator, "defineMeter", map[string]any{"code": "visitors", "aggregation": "sum"}),
		h.call(t, pgtest.Operator, "removeMeter", map[string]any{"code": "nothing"}),
	} {
		if got.status < 400 || got.status >= 500 {
			t.Errorf("%d %s", got.status, got.raw)
		}
	}
	h.must(t, pgtest.Operator, "defineMeter", map[string]any{"code": "unused"})
	golden(t, "removed", h.call(t, pgtest.Operator, "removeMeter", map[string]any{"code": "unused"}), `{"code":"unused"}`)
}

func TestATableOfTheCustomersIsMadeASourceAndTakenAway(t *testing.T) {
	h := newHouse(t)
	past := h.under.Superuser(t)
	if _, err := past.Exec(t.Context(), `CREATE SCHEMA crm; GRANT USAGE ON SCHEMA crm TO nself_server;
		CREATE TABLE crm.documents (tenant_id uuid, pages numeric, made_at timestamptz, title text)`); err != nil {
		t.Fatal(err)
	}
	h.must(t, pgtest.Operator, "defineMeter", map[string]any{"code": "pages"})
	source := map[string]any{"table": "crm.documents", "meter": "pages", "amountColumn": "pages", "timeColumn": "made_at"}
	want := `{"table":"crm.documents","meter":"pages","tenantColumn":"tenant_id","amountColumn":"pages","valueColumn":null,"timeColumn":"made_at","builtIn":false}`
	golden(t, "added", h.call(t, pgtest.Operator, "addMeterSource", source), want)
	list := h.call(t, pgtest.Operator, "meterSources", nil)
	if len(list.list) != 3 {
		t.Errorf("sources: %s", list.raw)
	}
	for _, wrong := range []map[string]any{
		{"table": "crm.nothing", "meter": "pages"}, {"table": "crm.documents", "meter": "pages", "amountColumn": "nothing"},
		{"table": "crm.documents", "meter": "pages", "amountColumn": "title"}, {"table": "crm.documents", "meter": "nothing"},
	} {
		if got := h.call(t, pgtest.Operator, "addMeterSource", wrong); got.status < 400 || got.status >= 500 {
			t.Errorf("%v: %d %s", wrong, got.status, got.raw)
		}
	}
	named := map[string]any{"table": "crm.documents", "meter": "pages"}
	golden(t, "removed", h.call(t, pgtest.Operator, "removeMeterSource", named), `{"table":"crm.documents","meter":"pages"}`)
	h.refused(t, "not-found", pgtest.Operator, "removeMeterSource", named)
}
