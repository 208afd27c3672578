package actions_test

import (
	"testing"
	"time"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestALimitOfItsOwnHoldsInPlaceOfThePlansUntilItEnds(t *testing.T) {
	h := newHouse(t)
	team, other := h.free(t), h.free(t)
	five := map[string]any{"meter": "compute_hours", "amount": 5}
	h.must(t, owner(team), "takeQuota", five)
	limit := map[string]any{"tenant": team.Slug, "meter": "compute_hours", "limit": 6, "reason": " agreed by phone "}
	golden(t, "set", h.call(t, pgtest.Operator, "setTenantLimit", limit),
		`{"tenantId":"<id>","meter":"compute_hours","limit":6,"enforcement":"hard","reason":"agreed by phone","expiresAt":null,"createdAt":"<time>","updatedAt":"<time>"}`)
	h.refused(t, "quota-exceeded", owner(team), "takeQuota", five)
	h.must(t, owner(other), "takeQuota", five)
	limit["enforcement"], limit["expiresAt"], limit["reason"] = "soft", time.Now().Add(time.Hour), nil
	golden(t, "set anew", h.call(t, pgtest.Operator, "setTenantLimit", limit),
		`{"tenantId":"<id>","meter":"compute_hours","limit":6,"enforcement":"soft","reason":null,"expiresAt":"<time>","createdAt":"<time>","updatedAt":"<time>"}`)
	golden(t, "soft", h.call(t, owner(team), "takeQuota", five),
		`{"meter":"compute_hours","allowed":true,"limit":6,"used":10,"held":0,"remaining":0,"enforcement":"soft","resetDate":"<time>"}`)
	h.exec(t, `UPDATE billing.tenant_limits SET expires_at = now() WHERE tenant_id = $1`, team.ID)
	if got := h.must(t, owner(team), "checkQuota", five); got["limit"] != 10.0 || got["allowed"] != false {
		t.Errorf("past its time: %v", got)
	}
	named := map[string]any{"tenant": team.Slug, "meter": "compute_hours"}
	if got := h.must(t, pgtest.Operator, "removeTenantLimit", named); got["limit"] != 6.0 || got["enforcement"] != "soft" {
		t.Errorf("removed %v", got)
	}
	h.refused(t, "not-found", pgtest.Operator, "removeTenantLimit", named)
	if n := h.count(t, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action IN ('set_tenant_limit', 'remove_tenant_limit')
		AND target = 'limit:compute_hours' AND actor_role = 'admin'`, team.ID); n != 3 {
		t.Errorf("%d audit rows", n)
	}
	h.refused(t, "not-found", pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "nothing", "limit": 1})
	h.refused(t, "not-found", pgtest.Operator, "setTenantLimit", map[string]any{"tenant": "nobody", "meter": "users", "limit": 1})
}

func TestUsersAreRefusedWithTheMetersFigures(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "users", "limit": 4})
	if got := h.must(t, owner(team), "tenantStats", nil); got["maxUsers"] != 4.0 {
		t.Errorf("stats: %v", got)
	}
	adding := with(h.local(t, team))
	got := h.refused(t, "quota-exceeded", owner(team), "addMember", adding)
	golden(t, "refused", got, `{"code":"quota-exceeded","extensions":{"code":"quota-exceeded","current":4,"limit":4,"meter":"users","remaining":0},`+
		`"message":"the tenant may have 4 users and has 4; remove somebody or change the plan"}`)
	if got.status != 429 || got.header.Get("Retry-After") != "" || got.header.Get("RateLimit-Policy") != `"users";q=4` {
		t.Errorf("%d %v", got.status, got.header)
	}
	h.must(t, pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "users", "limit": 4, "enforcement": "soft"})
	h.must(t, owner(team), "addMember", adding)
}

func TestAPlanForNobodyTakesNoTenant(t *testing.T) {
	h := newHouse(t)
	h.exec(t, `INSERT INTO billing.plans (code, name, price_minor, position) VALUES ('empty', 'Empty', 0, 99)`)
	h.exec(t, `INSERT INTO billing.plan_limits (plan, meter, "limit") VALUES ('empty', 'users', 0)`)
	got := h.refused(t, "quota-exceeded", pgtest.Operator, "createTenant", map[string]any{"name": "N", "plan": "empty", "ownerUserId": pgtest.User(t, h.db)})
	golden(t, "refused", got, `{"code":"quota-exceeded","extensions":{"code":"quota-exceeded","current":0,"limit":0,"meter":"users","remaining":0},`+
		`"message":"plan \"empty\" is for no users at all; choose another"}`)
}

func TestABillingCycleMovesTheEndOfThePeriodAndKeepsTheCounts(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	h.must(t, owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "amount": 7})
	anchor := time.Now().UTC().Add(48 * time.Hour).Truncate(time.Second)
	got := h.call(t, pgtest.Operator, "setBillingCycle", map[string]any{"tenant": team.Slug, "anchorAt": anchor})
	golden(t, "cycle", got, `{"startsAt":"<time>","endsAt":"<time>","closedAt":null}`)
	if ends, err := time.Parse(time.RFC3339, got.body["endsAt"].(string)); err != nil || !ends.Equal(anchor) {
		t.Errorf("ends at %v, want %v", got.body["endsAt"], anchor)
	}
	if got := h.must(t, owner(team), "checkQuota", map[string]any{"meter": "compute_hours"}); got["used"] != 7.0 {
		t.Errorf("counts: %v", got)
	}
	h.must(t, pgtest.Operator, "setBillingCycle", map[string]any{"tenant": team.Slug, "anchorAt": nil})
	h.refused(t, "not-found", pgtest.Operator, "setBillingCycle", map[string]any{"tenant": "nobody"})
}

func TestATimeZoneThatIsNoneIsRefused(t *testing.T) {
	h := newHouse(t)
	team := pgtest.NewTeam(t, h.db)
	h.must(t, team.As(member.Admin), "setTenantSetting", map[string]any{"key": "time_zone", "value": "Asia/Tokyo"})
	for _, value := range []any{"Moon/Tranquillity", "", "Local", 9, nil, []string{"UTC"}} {
		h.refused(t, "invalid-input", owner(team), "setTenantSetting", map[string]any{"key": "time_zone", "value": value})
	}
	h.must(t, owner(team), "setTenantSetting", map[string]any{"key": "locale", "value": "tlh"})
}
