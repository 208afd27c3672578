package actions_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

func TestTakingAndCheckingAnswerHowThingsStand(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	compute := map[string]any{"meter": "compute_hours", "amount": 2.5}
	golden(t, "checked", h.call(t, team.As(member.Guest), "checkQuota", compute),
		`{"meter":"compute_hours","allowed":true,"limit":10,"used":0,"held":0,"remaining":10,"enforcement":"hard","resetDate":"<time>"}`)
	golden(t, "taken", h.call(t, team.As(member.Plain), "takeQuota", compute),
		`{"meter":"compute_hours","allowed":true,"limit":10,"used":2.5,"held":0,"remaining":7.5,"enforcement":"hard","resetDate":"<time>"}`)
	golden(t, "one where absent", h.call(t, owner(team), "takeQuota", map[string]any{"meter": "api_requests"}),
		`{"meter":"api_requests","allowed":true,"limit":10000,"used":1,"held":0,"remaining":9999,"enforcement":"hard","resetDate":"<time>"}`)
	golden(t, "too much", h.call(t, owner(team), "checkQuota", map[string]any{"meter": "compute_hours", "amount": 8}),
		`{"meter":"compute_hours","allowed":false,"limit":10,"used":2.5,"held":0,"remaining":7.5,"enforcement":"hard","resetDate":"<time>"}`)
	golden(t, "a level", h.call(t, owner(team), "checkQuota", map[string]any{"meter": "users"}),
		`{"meter":"users","allowed":true,"limit":5,"used":4,"held":0,"remaining":1,"enforcement":"hard","resetDate":null}`)
	h.must(t, pgtest.Operator, "setTenantPlan", map[string]any{"tenant": team.Slug, "plan": "enterprise"})
	golden(t, "unlimited", h.call(t, owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "amount": 1000}),
		`{"meter":"compute_hours","allowed":true,"limit":-1,"used":1002.5,"held":0,"remaining":null,"enforcement":"hard","resetDate":"<time>"}`)
}

func TestWhatPassesAHardLimitIsRefusedWithFiguresAndHeaders(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	h.must(t, owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "amount": 9})
	for _, action := range []string{"takeQuota", "reserveQuota"} {
		got := h.refused(t, "quota-exceeded", owner(team), action, map[string]any{"meter": "compute_hours", "amount": 1.5, "idempotencyKey": "k"})
		e := got.body["extensions"].(map[string]any)
		after, _ := e["retryAfter"].(float64)
		reset, _ := e["resetDate"].(string)
		if got.status != http.StatusTooManyRequests || e["meter"] != "compute_hours" || e["limit"] != 10.0 || e["current"] != 9.0 || e["remaining"] != 1.0 ||
			times.FindString(reset) != reset || after < 1 || !strings.Contains(fmt.Sprint(got.body["message"]), "10 hours") {
			t.Errorf("%s: %d %s", action, got.status, got.raw)
		}
		if wait := got.header.Get("Retry-After"); wait != fmt.Sprint(int(after)) || got.header.Get("RateLimit-Policy") != `"compute_hours";q=10` ||
			got.header.Get("RateLimit") != `"compute_hours";r=1;t=`+wait {
			t.Errorf("%s: %v", action, got.header)
		}
	}
	level := h.refused(t, "quota-exceeded", owner(team), "reserveQuota", map[string]any{"meter": "storage", "amount": 1 << 40})
	if e := level.body["extensions"].(map[string]any); e["resetDate"] != nil || e["retryAfter"] != nil || e["remaining"] != float64(1<<30) || level.header.Get("Retry-After") != "" {
		t.Errorf("a level, which nothing resets: %s %v", level.raw, level.header)
	}
	if used, held := h.used(t, team, "compute_hours"), h.count(t, `SELECT count(*) FROM billing.usage_totals WHERE held <> 0`); used != "9" || held != 0 {
		t.Errorf("used %s, held %d", used, held)
	}
}

func TestOneKeyTakesAndReservesOnceHoweverOften(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	for _, action := range []string{"takeQuota", "reserveQuota"} {
		input := map[string]any{"meter": "compute_hours", "amount": 2, "idempotencyKey": "k"}
		replies := make([]reply, 6)
		var wait sync.WaitGroup
		for i := range replies {
			wait.Go(func() { replies[i] = h.call(t, owner(team), action, input) })
		}
		wait.Wait()
		for _, got := range replies {
			if got.status != http.StatusOK || fmt.Sprint(got.body) != fmt.Sprint(replies[0].body) {
				t.Errorf("%s answered %s and %s", action, got.raw, replies[0].raw)
			}
		}
		input["amount"] = "2.0"
		h.must(t, owner(team), action, input)
		input["amount"] = 3
		h.refused(t, "idempotency-key-reused", owner(team), action, input)
	}
	if n := h.count(t, `SELECT count(*) FROM billing.usage_totals WHERE tenant_id = $1 AND meter = 'compute_hours' AND used = 2 AND held = 2`, team.ID); n != 1 {
		t.Error("something was taken twice")
	}
	h.must(t, team.As(member.Plain), "takeQuota", map[string]any{"meter": "compute_hours", "amount": 2, "idempotencyKey": "k"})
	if used := h.used(t, team, "compute_hours"); used != "4" {
		t.Errorf("another's key took nothing: used %s", used)
	}
}

func TestAKeyWhoseTakingWasRefusedIsStillGood(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	input := map[string]any{"meter": "compute_hours", "amount": 20, "idempotencyKey": "k"}
	h.refused(t, "quota-exceeded", owner(team), "takeQuota", input)
	h.must(t, pgtest.Operator, "setTenantLimit", map[string]any{"tenant": team.Slug, "meter": "compute_hours", "limit": 30})
	for range 2 {
		if got := h.must(t, owner(team), "takeQuota", input); got["used"] != 20.0 {
			t.Errorf("taken %v", got)
		}
	}
}

func TestAReservationIsSettledOrReleasedAndEndsThen(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	const form = `{"id":"<id>","tenantId":"<id>","meter":"compute_hours","amount":4,"state":"%s","settled":%s,"createdAt":"<time>","expiresAt":"<time>","endedAt":%s}`
	reserve := func() map[string]any {
		got := h.call(t, team.As(member.Plain), "reserveQuota", map[string]any{"meter": "compute_hours", "amount": 4, "ttlSeconds": 60})
		golden(t, "reserved", got, fmt.Sprintf(form, "open", "null", "null"))
		return map[string]any{"id": got.body["id"]}
	}
	first, second := reserve(), reserve()
	h.refused(t, "quota-exceeded", owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "amount": 3})
	for range 2 {
		golden(t, "released", h.call(t, owner(team), "releaseQuota", second), fmt.Sprintf(form, "released", "null", `"<time>"`))
	}
	first["amount"] = 20
	h.refused(t, "quota-exceeded", owner(team), "settleQuota", first)
	first["amount"] = "5.5"
	for range 2 {
		golden(t, "settled", h.call(t, owner(team), "settleQuota", first), fmt.Sprintf(form, "settled", "5.5", `"<time>"`))
	}
	if used := h.used(t, team, "compute_hours"); used != "5.5" {
		t.Errorf("used %s", used)
	}
	second["amount"] = 1
	for action, input := range map[string]map[string]any{"settleQuota": second, "releaseQuota": {"id": first["id"]}} {
		got := h.refused(t, "reservation-ended", owner(team), action, input)
		if got.status != http.StatusConflict || got.body["extensions"].(map[string]any)["state"] == nil {
			t.Errorf("%s: %d %s", action, got.status, got.raw)
		}
	}
	first["amount"] = 1
	h.refused(t, "reservation-ended", owner(team), "settleQuota", first)
}

func TestMetersThatAreNotTakenAreRefused(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	for _, c := range []struct{ action, meter, code string }{
		{"takeQuota", "storage", "invalid-input"}, {"takeQuota", "users", "invalid-input"}, {"reserveQuota", "users", "invalid-input"},
		{"takeQuota", "nothing", "not-found"}, {"checkQuota", "nothing", "not-found"}, {"reserveQuota", "nothing", "not-found"}, {"takeQuota", "", "not-found"},
		{"takeQuota", "compute_hours'; --", "not-found"},
	} {
		h.refused(t, c.code, owner(team), c.action, map[string]any{"meter": c.meter, "amount": 1})
	}
	h.refused(t, "invalid-input", owner(team), "takeQuota", map[string]any{"meter": "api_requests", "amount": 0.5})
	h.refused(t, "invalid-input", owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "value": "x"})
}

func TestWhatManyTakeAtOnceNeverPassesTheLimit(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	var granted atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 5 {
				switch got := h.call(t, owner(team), "takeQuota", map[string]any{"meter": "compute_hours", "amount": 0.7}); got.code() {
				case nil:
					granted.Add(1)
				case "quota-exceeded":
				default:
					t.Errorf("answered %d %s", got.status, got.raw)
				}
			}
		})
	}
	wait.Wait()
	if used := h.used(t, team, "compute_hours"); granted.Load() != 14 || used != "9.8" {
		t.Errorf("granted %d times, used %s", granted.Load(), used)
	}
}

func TestATenantOutOfServiceUsesNothing(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	h.must(t, pgtest.Operator, "suspendTenant", map[string]any{"tenant": team.Slug})
	for action, input := range map[string]map[string]any{
		"recordUsage": {"events": []any{event("a", 1)}}, "takeQuota": {"meter": "compute_hours"}, "reserveQuota": {"meter": "compute_hours", "amount": 1},
		"checkQuota": {"meter": "compute_hours"}, "tenantUsage": {},
	} {
		h.refused(t, "tenant-not-active", owner(team), action, input)
	}
	operator := pgtest.Operator
	operator.Tenant = team.ID
	for _, action := range []string{"takeQuota", "reserveQuota", "checkQuota"} {
		h.refused(t, "tenant-not-active", operator, action, map[string]any{"meter": "compute_hours", "amount": 1})
	}
	h.must(t, operator, "tenantUsage", nil)
}

func TestWhoeverActsInAUsersPlaceUsesNothingOfTheirs(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	inPlace := h.inPlaceOf(t, team, member.Owner)
	for action, input := range map[string]map[string]any{
		"recordUsage": {"events": []any{event("a", 1)}}, "takeQuota": {"meter": "compute_hours"}, "reserveQuota": {"meter": "compute_hours", "amount": 1},
		"settleQuota": {"id": team.ID, "amount": 1}, "releaseQuota": {"id": team.ID},
	} {
		h.refused(t, "forbidden", inPlace, action, input)
	}
	h.must(t, inPlace, "checkQuota", map[string]any{"meter": "compute_hours"})
	h.must(t, inPlace, "tenantUsage", nil)
}

func TestAKeyOfAMachineUsesAsItsRoleMay(t *testing.T) {
	h := newHouse(t)
	team := h.free(t)
	for role, of := range map[string]session.Role{"member": session.Member, "guest": session.Guest} {
		made := h.must(t, owner(team), "createApiKey", map[string]any{"name": role, "role": role})
		machine := as(t, of, made["userId"], team)
		h.must(t, machine, "checkQuota", map[string]any{"meter": "compute_hours"})
		if got := h.call(t, machine, "takeQuota", map[string]any{"meter": "compute_hours"}); (got.status == http.StatusOK) != (role == "member") {
			t.Errorf("a %s: %d %s", role, got.status, got.raw)
		}
	}
}
