package quota_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// each runs a test with the function Take and with a Decider: they answer alike.
func each(t *testing.T, w world, test func(t *testing.T, by taker)) {
	t.Run("function", func(t *testing.T) { test(t, plain{w.pool}) })
	t.Run("decider", func(t *testing.T) { test(t, start(t, w.pool)) })
}

func allowed(t *testing.T, by taker, asks ...quota.Ask) (all []bool) {
	t.Helper()
	for _, a := range asks {
		all = append(all, must(t, by, a).Allowed)
	}
	return all
}

func TestTakeGrantsUntilTheLimitWhateverTheMeterAddsUp(t *testing.T) {
	w := newWorld(t)
	value := func(tenant id.Tenant, v string) quota.Ask {
		return quota.Ask{Tenant: tenant, Meter: "visitors", Value: v}
	}
	each(t, w, func(t *testing.T, by taker) {
		tenant := w.tenant(t)
		for _, meter := range []string{"calls", "minutes", "peak", "visitors", "hits", "views"} {
			w.limit(t, tenant, meter, 10)
		}
		for meter, c := range map[string]struct {
			amounts []int64
			want    []bool
		}{
			"calls": {[]int64{4, 7, 6, 0, 1}, []bool{true, false, true, true, false}},
			"hits":  {[]int64{4, 7, 6, 0, 1}, []bool{true, false, true, true, false}},
			"peak":  {[]int64{4, 11, 10, 3, 12}, []bool{true, false, true, true, false}},
		} {
			var asks []quota.Ask
			for _, amount := range c.amounts {
				asks = append(asks, ask(tenant, meter, amount))
			}
			if diff := cmp.Diff(c.want, allowed(t, by, asks...)); diff != "" {
				t.Errorf("%s: %s", meter, diff)
			}
		}
		w.limit(t, tenant, "visitors", 2)
		if diff := cmp.Diff([]bool{true, true, true, true, false, true}, allowed(t, by,
			value(tenant, "ann"), value(tenant, "ann"), value(tenant, "bob"), value(tenant, "ann"), value(tenant, "eve"), value(tenant, "bob"))); diff != "" {
			t.Errorf("visitors: %s", diff)
		}
		for _, meter := range []string{"minutes", "views"} {
			tenth := quota.Ask{Tenant: tenant, Meter: meter, Amount: decimal.RequireFromString("3.333333333")}
			if diff := cmp.Diff([]bool{true, true, true, false}, allowed(t, by, tenth, tenth, tenth, tenth)); diff != "" {
				t.Errorf("%s: %s", meter, diff)
			}
			tenth.Amount = decimal.RequireFromString("0.000000001")
			if diff := cmp.Diff([]bool{true, false}, allowed(t, by, tenth, tenth)); diff != "" {
				t.Errorf("%s, the last billionth: %s", meter, diff)
			}
		}
	})
}

func TestUnlimitedIsUnlimitedAtEveryComparison(t *testing.T) {
	w := newWorld(t)
	each(t, w, func(t *testing.T, by taker) {
		tenant := w.tenant(t)
		for _, meter := range []string{"calls", "peak", "hits", "api_requests", "compute_hours"} {
			for _, limit := range []int64{0, -1} {
				w.limit(t, tenant, meter, limit)
				if p, is := by.(process); is {
					p.changes.say("limits:" + tenant.String())
				}
				d := must(t, by, ask(tenant, meter, 1_000_000))
				if d.Allowed != (limit == -1) || d.Limit != limit || (d.Remaining == nil) != (limit == -1) {
					t.Errorf("%s, limit %d: %+v", meter, limit, d)
				}
			}
			d, err := quota.Check(t.Context(), w.pool, ask(tenant, meter, 1_000_000))
			if err != nil || !d.Allowed || d.Remaining != nil {
				t.Errorf("check %s: %+v, %v", meter, d, err)
			}
		}
		report, err := quota.Read(t.Context(), w.pool, tenant, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range report.Meters {
			if s.Limit == entitlement.Unlimited && (s.Remaining != nil || s.Percent != nil || s.Reached != 0) {
				t.Errorf("%+v", s)
			}
		}
		if n := notices(t, w, tenant); n != 0 {
			t.Errorf("%d notices", n)
		}
	})
}

func notices(t *testing.T, w world, tenant id.Tenant) (n int) {
	t.Helper()
	if err := w.super.QueryRow(t.Context(), `SELECT count(*) FROM billing.quota_notices WHERE tenant_id = $1`, tenant).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSoftLimitNeverBlocks(t *testing.T) {
	w := newWorld(t)
	each(t, w, func(t *testing.T, by taker) {
		tenant := w.tenant(t)
		for _, meter := range []string{"calls", "hits", "peak"} {
			w.softLimit(t, tenant, meter, 5)
			d := must(t, by, ask(tenant, meter, 9))
			if !d.Allowed || d.Enforcement != entitlement.Soft || !d.Remaining.IsZero() || !d.Used.Equal(decimal.NewFromInt(9)) {
				t.Errorf("%s: %+v", meter, d)
			}
			if d, err := quota.Check(t.Context(), w.pool, ask(tenant, meter, 1000)); err != nil || !d.Allowed {
				t.Errorf("check %s: %+v, %v", meter, d, err)
			}
		}
		if _, d, err := quota.Reserve(t.Context(), w.pool, ask(tenant, "calls", 100), time.Minute); err != nil || !d.Allowed {
			t.Errorf("reserve: %+v, %v", d, err)
		}
	})
}

func TestOfATenantThatIsNotActiveNothingIsTaken(t *testing.T) {
	w := newWorld(t)
	each(t, w, func(t *testing.T, by taker) {
		team := pgtest.NewTeam(t, w.pool)
		inside := pgtest.Operator
		inside.Tenant = team.ID
		must(t, by, ask(team.ID, "hits", 1))
		if err := pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) error { return suspend(t, tx, inside) }); err != nil {
			t.Fatal(err)
		}
		if p, is := by.(process); is {
			p.changes.say("tenant:" + team.ID.String())
		}
		for _, meter := range []string{"calls", "hits"} {
			for who, c := range map[id.Tenant]fault.Code{team.ID: fault.TenantNotActive, id.New[id.Tenant](): fault.NotFound} {
				if _, err := by.Take(t.Context(), ask(who, meter, 1)); !fault.Is(err, c) {
					t.Errorf("take: %v", err)
				}
				if _, err := quota.Check(t.Context(), w.pool, ask(who, meter, 1)); !fault.Is(err, c) {
					t.Errorf("check: %v", err)
				}
				if _, _, err := quota.Reserve(t.Context(), w.pool, ask(who, meter, 1), time.Minute); !fault.Is(err, c) {
					t.Errorf("reserve: %v", err)
				}
			}
		}
		if _, err := by.Take(t.Context(), ask(team.ID, "nothing", 1)); !fault.Is(err, fault.NotFound) {
			t.Errorf("an unknown meter: %v", err)
		}
	})
}

func TestAsksThatDoNotFitTheMeterAreRefusedBeforeTheDatabase(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	each(t, w, func(t *testing.T, by taker) {
		for name, a := range map[string]quota.Ask{
			"negative":           ask(tenant, "calls", -1),
			"half a call":        {Meter: "calls", Amount: decimal.RequireFromString("0.5")},
			"half a leased call": {Meter: "hits", Amount: decimal.RequireFromString("0.5")},
			"ten decimals":       {Meter: "minutes", Amount: decimal.RequireFromString("0.0000000001")},
			"past 10^18":         {Meter: "minutes", Amount: decimal.RequireFromString("1000000000000000001")},
			"a level":            ask(tenant, "storage", 1),
			"users":              ask(tenant, "users", 1),
			"no value":           ask(tenant, "visitors", 1),
			"a long value":       {Meter: "visitors", Value: strings.Repeat("x", 256)},
			"a value of a count": {Meter: "calls", Amount: decimal.NewFromInt(1), Value: "x"},
			"a null in a value":  {Meter: "visitors", Value: "a\x00b"},
		} {
			a.Tenant = tenant
			if d, err := by.Take(t.Context(), a); !fault.Is(err, fault.InvalidInput) {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
		}
	})
}

func TestRefusalTellsWhenToTryAgain(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	w.limit(t, tenant, "calls", 10)
	w.limit(t, tenant, "storage", 10)
	must(t, plain{w.pool}, ask(tenant, "calls", 8))
	d := must(t, plain{w.pool}, ask(tenant, "calls", 3))
	refusal := d.Refusal()
	if refusal == nil || refusal.Code != fault.QuotaExceeded {
		t.Fatalf("%+v", d)
	}
	after, _ := refusal.Details["retryAfter"].(int64)
	if left := time.Until(d.ResetDate).Seconds(); float64(after) < left || float64(after) > left+5 {
		t.Errorf("retryAfter %d, the period has %f left", after, left)
	}
	delete(refusal.Details, "retryAfter")
	want := map[string]any{"meter": "calls", "limit": int64(10), "current": json.Number("8"), "remaining": json.Number("2"), "resetDate": d.ResetDate.UTC().Format(time.RFC3339)}
	if diff := cmp.Diff(want, refusal.Details); diff != "" {
		t.Error(diff)
	}
	if must(t, plain{w.pool}, ask(tenant, "calls", 2)).Refusal() != nil {
		t.Error("what is allowed refuses")
	}
	level, err := quota.Check(t.Context(), w.pool, ask(tenant, "storage", 11))
	if err != nil || level.Allowed {
		t.Fatalf("%+v, %v", level, err)
	}
	want = map[string]any{"meter": "storage", "limit": int64(10), "current": json.Number("0"), "remaining": json.Number("10")}
	if diff := cmp.Diff(want, level.Refusal().Details); diff != "" {
		t.Error(diff)
	}
}

func TestTenantTakesForItselfAlone(t *testing.T) {
	w := newWorld(t)
	team, other := pgtest.NewTeam(t, w.pool), pgtest.NewTeam(t, w.pool)
	w.limit(t, team.ID, "calls", 3)
	err := pg.InTx(t.Context(), w.pool, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, team.As("member")); err != nil {
			return err
		}
		by := plain{tx}
		if diff := cmp.Diff([]bool{true, false}, allowed(t, by, ask(team.ID, "calls", 2), ask(team.ID, "calls", 2))); diff != "" {
			t.Error(diff)
		}
		if _, err := by.Take(t.Context(), ask(other.ID, "calls", 1)); !fault.Is(err, fault.NotFound) {
			t.Errorf("for another tenant: %v", err)
		}
		r, _, err := quota.Reserve(t.Context(), tx, ask(team.ID, "calls", 1), time.Minute)
		if err != nil {
			return err
		}
		_, err = quota.Settle(t.Context(), tx, team.ID, r.ID, decimal.NewFromInt(1))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stands(t, team.ID, "calls", 3, 0)
}

func suspend(t *testing.T, tx pgx.Tx, actor session.Session) error {
	_, err := tenant.Suspend(t.Context(), tx, actor, "")
	return err
}

func TestRefusalInAPeriodThatIsOverTellsNoTimeToTryAgain(t *testing.T) {
	refusal := quota.Decision{Meter: "calls", Limit: 10, ResetDate: time.Now().Add(-time.Second)}.Refusal()
	for _, detail := range []string{"resetDate", "retryAfter"} {
		if _, told := refusal.Details[detail]; told {
			t.Errorf("%s is told: %v", detail, refusal.Details[detail])
		}
	}
}
