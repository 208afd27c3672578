package events_test

import (
	"fmt"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestAManualEventMayHoldAnyJSON(t *testing.T) {
	h := newHouse(t)
	h.meter(t, "documents", "sum", &pages)
	team := pgtest.NewTeam(t, h.db)
	anything := []string{
		"null", "7", "[]", `"x"`, "true", "{}", "1e400", `{"tenant_id":null}`, `{"tenant_id":7,"pages":1}`, `{"tenant_id":"x","pages":1}`,
		fmt.Sprintf(`{"tenant_id":%q}`, team.ID), fmt.Sprintf(`{"tenant_id":%q,"pages":-1,"size_bytes":-1}`, team.ID),
		fmt.Sprintf(`{"tenant_id":%q,"pages":"NaN","size_bytes":"NaN"}`, team.ID), fmt.Sprintf(`{"tenant_id":%q,"pages":1e400,"size_bytes":1e400}`, team.ID),
		fmt.Sprintf(`{"tenant_id":%q,"pages":[],"size_bytes":{}}`, team.ID), fmt.Sprintf(`{"tenant_id":%q,"pages":true,"size_bytes":null}`, team.ID),
		`{"tenant_id":"00000000-0000-4000-8000-000000000001","pages":1,"size_bytes":1}`, `{"tenant_id":"\u0000","pages":1}`, `{"tenant_id":"\ud800"}`,
	}
	before := 0
	for _, table := range []string{"public.documents", objects, "tenants.tenant_members", "billing.usage_totals", "public.nothing", `x"; --.y`} {
		for _, name := range []string{"usage", "quota"} {
			for _, row := range anything {
				before++
				w := h.deliverTo(name, delivery{table: table, op: "MANUAL", new: row}.String())
				if got := outcome(t, w); got != "parked" || w.Header().Get("Retry-After") != "" {
					t.Errorf("%s of %s with %s: %s %v", name, table, row, got, w.Header())
				}
			}
		}
	}
	if got := h.count(t, `SELECT count(*) FROM nself.inbox WHERE state = 'parked' AND reason <> '' AND handler IN ('usage', 'quota')`); got != before {
		t.Errorf("%d of %d parked events have a reason and their handler", got, before)
	}
	if got := h.count(t, `SELECT count(*) FROM billing.usage_records`); got != 0 {
		t.Errorf("%d records", got)
	}
	row := fmt.Sprintf(`{"tenant_id":%q,"id":1,"pages":3}`, team.ID)
	if got := outcome(t, h.deliverTo("usage", delivery{table: "public.documents", op: "MANUAL", new: row}.String())); got != "done" || h.used(t, team, "documents") != "3" {
		t.Errorf("a manual event that is a row: %s, used %s", got, h.used(t, team, "documents"))
	}
	if got := outcome(t, h.deliverTo("usage", delivery{table: objects, op: "MANUAL", new: object(team, "3")}.String())); got != "parked" {
		t.Errorf("a manual event of a level: %s", got)
	}
}
