package actions_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/pgtest"
)

// deliver sends an event as Hasura does, and wants it answered with 200.
func (h house) deliver(t testing.TB, handler, body string) {
	t.Helper()
	if got := h.post(t, "/events/"+handler, []byte(body), headers(secret, "application/json")); got.status != 200 {
		t.Fatalf("%s: %d %s", handler, got.status, got.raw)
	}
}

func TestParkedEventsAreListedAndReplayedByTheOperator(t *testing.T) {
	h := newHouse(t)
	golden(t, "none", h.call(t, pgtest.Operator, "parkedEvents", nil), `[]`)
	team := pgtest.NewTeam(t, h.db)
	if _, err := h.under.Superuser(t).Exec(t.Context(), `CREATE SCHEMA crm; GRANT USAGE ON SCHEMA crm TO nself_server; CREATE TABLE crm.documents (tenant_id uuid)`); err != nil {
		t.Fatal(err)
	}
	body := `{"id":"5d9c2f60-0b4e-4d86-a7ff-1d0a3c9b1a11","created_at":"2026-11-23T00:25:48.223125","table":{"schema":"crm","name":"documents"},
		"trigger":{"name":"documents_used"},"event":{"op":"INSERT","data":{"old":null,"new":{"tenant_id":"` + team.ID.String() + `"}},"session_variables":null}}`
	h.deliver(t, "usage", body)
	h.deliver(t, "usage", body)
	listed := h.call(t, pgtest.Operator, "parkedEvents", map[string]any{"limit": 5})
	if len(listed.list) != 1 {
		t.Fatalf("parked: %s", listed.raw)
	}
	one := listed.list[0].(map[string]any)
	if one["reason"] == "" || one["deliveries"] != 2.0 || one["receivedAt"] == nil {
		t.Errorf("parked: %v", one)
	}
	kept := map[string]any{"id": one["id"], "source": one["source"], "trigger": one["trigger"], "handler": one["handler"], "trigger in it": one["payload"].(map[string]any)["trigger"]}
	want := map[string]any{"id": "5d9c2f60-0b4e-4d86-a7ff-1d0a3c9b1a11", "source": "hasura", "trigger": "documents_used", "handler": "usage", "trigger in it": map[string]any{"name": "documents_used"}}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Error(diff)
	}
	named := map[string]any{"id": one["id"]}
	if got := h.must(t, pgtest.Operator, "replayEvent", named); got["outcome"] != "parked" || got["reason"] == nil {
		t.Errorf("nothing was mended: %v", got)
	}
	h.must(t, pgtest.Operator, "defineMeter", map[string]any{"code": "documents", "aggregation": "count"})
	h.must(t, pgtest.Operator, "addMeterSource", map[string]any{"table": "crm.documents", "meter": "documents"})
	golden(t, "mended", h.call(t, pgtest.Operator, "replayEvent", named), `{"outcome":"done","reason":null}`)
	golden(t, "again", h.call(t, pgtest.Operator, "replayEvent", named), `{"outcome":"repeated","reason":null}`)
	h.deliver(t, "usage", body)
	if used := h.used(t, team, "documents"); used != "1" {
		t.Errorf("used %s", used)
	}
	h.refused(t, "not-found", pgtest.Operator, "replayEvent", map[string]any{"id": "nobody's"})
	golden(t, "none left", h.call(t, pgtest.Operator, "parkedEvents", nil), `[]`)
}

func TestParkedEventsAreListedPageByPageAndOneByOne(t *testing.T) {
	h := newHouse(t)
	const form = `{"id":%q,"table":{"schema":"crm","name":"x"},"trigger":{"name":"x"},"event":{"op":"INSERT","data":{"old":null,"new":{}},"session_variables":null}}`
	for _, id := range []string{"first", "second", "third"} {
		h.deliver(t, "usage", fmt.Sprintf(form, id))
	}
	for _, c := range []struct {
		input map[string]any
		want  string
	}{
		{nil, "third second first"}, {map[string]any{"limit": 2}, "third second"}, {map[string]any{"limit": 2, "after": "second"}, "first"},
		{map[string]any{"id": "second"}, "second"}, {map[string]any{"id": "nobody's"}, ""}, {map[string]any{"after": "first"}, ""},
	} {
		var ids []string
		for _, e := range h.call(t, pgtest.Operator, "parkedEvents", c.input).list {
			ids = append(ids, e.(map[string]any)["id"].(string))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.input, got, c.want)
		}
	}
}

func TestReconciliationTellsTheTotalsOfATenantThatDiffer(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	named := map[string]any{"tenant": team.Slug}
	for _, of := range []pgtest.Team{team, other} {
		h.must(t, owner(of), "recordUsage", map[string]any{"events": []any{event("a", 2.5)}})
	}
	if got := h.call(t, pgtest.Operator, "reconcileUsage", named); got.status != 200 || got.raw != "[]" {
		t.Errorf("nothing differs: %d %s", got.status, got.raw)
	}
	h.exec(t, `UPDATE billing.usage_totals SET used = used + 1 WHERE meter = 'compute_hours'`)
	want := `[{"tenantId":"<id>","meter":"compute_hours","periodStart":"<time>","what":"used","total":3.5,"counted":2.5,"foundAt":"<time>"}]`
	golden(t, "reconciled", h.call(t, pgtest.Operator, "reconcileUsage", named), want)
	golden(t, "kept", h.call(t, pgtest.Operator, "usageDrift", nil), want)
	h.call(t, pgtest.Operator, "reconcileUsage", map[string]any{"tenant": other.Slug})
	golden(t, "of this tenant alone", h.call(t, pgtest.Operator, "reconcileUsage", named), want)
	h.refused(t, "invalid-input", pgtest.Operator, "reconcileUsage", nil)
	h.refused(t, "not-found", pgtest.Operator, "reconcileUsage", map[string]any{"tenant": "nobodys"})
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE action = 'reconcile_usage' AND tenant_id = $1 AND after->>'differ' = '1'`, team.ID); n != 2 {
		t.Errorf("%d rows in the audit log", n)
	}
}

func TestWhatTheOperatorRecordsIsInTheAuditLogAndATenantsOwnEventsAreNot(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	operator := map[string]any{"tenant": team.Slug, "events": []any{event("a", 1), event("a", 1), event("b", -1), event("c", 1)}}
	for range 2 { // of the second time nothing is new
		h.must(t, pgtest.Operator, "recordUsage", operator)
	}
	h.must(t, owner(team), "recordUsage", map[string]any{"events": []any{event("d", 1)}})
	const audited = `SELECT count(*) FROM audit.log WHERE action = 'record_usage' AND tenant_id = $1`
	if all, right := h.count(t, audited, team.ID), h.count(t, audited+` AND after = '{"accepted": 2, "duplicates": 1, "refused": 1}'`, team.ID); all != 1 || right != 1 {
		t.Errorf("%d rows, %d of them right", all, right)
	}
}
