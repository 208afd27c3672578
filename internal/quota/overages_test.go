package quota_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/quota"
)

func TestOveragesOfAPeriodAreWhatTheReportCharges(t *testing.T) {
	w := newWorld(t)
	w.exec(t, `INSERT INTO billing.plan_limits (plan, meter, "limit", enforcement, overage_minor, overage_unit) VALUES
		('starter', 'calls', 10, 'soft', 25, 100), ('starter', 'minutes', 5, 'soft', 7, 1), ('starter', 'views', 5, 'soft', NULL, 1)`)
	tenant := w.tenant(t)
	w.exec(t, `UPDATE tenants.tenants SET plan = 'starter' WHERE id = $1`, tenant)
	must(t, plain{w.pool}, ask(tenant, "calls", 111))
	must(t, plain{w.pool}, ask(tenant, "views", 50))
	must(t, plain{w.pool}, quota.Ask{Tenant: tenant, Meter: "minutes", Amount: decimal.RequireFromString("6.000000001")})
	report, _ := read(t, w, tenant)
	got, err := quota.Overages(t.Context(), w.pool, tenant, report.Period.StartsAt)
	if err != nil {
		t.Fatal(err)
	}
	want := []quota.Overage{
		{Meter: "calls", Name: "Calls", Billable: decimal.NewFromInt(111), Limit: 10, Units: 2, AmountMinor: 50, Currency: "usd"},
		{Meter: "minutes", Name: "Minutes", Billable: decimal.RequireFromString("6.000000001"), Limit: 5, Units: 2, AmountMinor: 14, Currency: "usd"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if report.ChargeMinor != 2900+50+14 {
		t.Errorf("the report charges %d", report.ChargeMinor)
	}
	none, err := quota.Overages(t.Context(), w.pool, tenant, report.Period.StartsAt.Add(time.Hour))
	if err != nil || len(none) > 0 {
		t.Errorf("a period that is not there: %v, %v", none, err)
	}
}

func TestAPeriodIsBilledByTheTermsThatHeldWhenItEnded(t *testing.T) {
	w := newWorld(t)
	w.exec(t, `INSERT INTO billing.plan_limits (plan, meter, "limit", enforcement, overage_minor, overage_unit) VALUES
		('pro', 'calls', 100, 'soft', 25, 1), ('starter', 'calls', 10, 'soft', 50, 1), ('free', 'calls', 1, 'hard', NULL, 1)`)
	w.exec(t, `INSERT INTO billing.addons (code, name, price_minor) VALUES ('more', 'More', 500)`)
	w.exec(t, `INSERT INTO billing.addon_limits (addon, meter, amount) VALUES ('more', 'calls', 5)`)
	const toFreeSQL, addonGoneSQL = `UPDATE tenants.tenants SET plan = 'free' WHERE id = $1`, `DELETE FROM billing.tenant_addons WHERE tenant_id = $1`
	for name, change := range map[string]struct{ before, after []string }{
		"nothing changes":          {},
		"a cheaper plan from then": {after: []string{`UPDATE tenants.tenants SET plan = 'starter' WHERE id = $1`}},
		"canceled with the period": {after: []string{addonGoneSQL, toFreeSQL}},
		"canceled in the middle":   {before: []string{toFreeSQL, addonGoneSQL}},
		"the add-on gone":          {after: []string{addonGoneSQL}},
		"another limit agreed":     {after: []string{`INSERT INTO billing.tenant_limits (tenant_id, meter, "limit", reason) VALUES ($1, 'calls', 1000, 'kindness')`}},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := w.tenant(t)
			w.exec(t, `UPDATE tenants.tenants SET plan = 'pro' WHERE id = $1`, tenant)
			w.exec(t, `INSERT INTO billing.tenant_addons (tenant_id, addon, quantity) VALUES ($1, 'more', 1)`, tenant)
			must(t, plain{w.pool}, ask(tenant, "calls", 111))
			report, _ := read(t, w, tenant)
			for _, sql := range change.before {
				w.exec(t, sql, tenant)
			}
			w.exec(t, `UPDATE billing.usage_periods SET ends_at = now(), closed_at = now() WHERE tenant_id = $1`, tenant)
			for _, sql := range change.after {
				w.exec(t, sql, tenant)
			}
			got, err := quota.Overages(t.Context(), w.pool, tenant, report.Period.StartsAt)
			want := []quota.Overage{{Meter: "calls", Name: "Calls", Billable: decimal.NewFromInt(111), Limit: 105, Units: 6, AmountMinor: 150, Currency: "usd"}}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}

func TestChargeIsOfEachSeatAndAddon(t *testing.T) {
	w := newWorld(t)
	team := pgtest.NewTeam(t, w.pool)
	w.exec(t, `INSERT INTO billing.addons (code, name, price_minor, currency) VALUES ('extra', 'Extra', 500, 'usd'), ('foreign', 'Foreign', 900, 'eur')`)
	w.exec(t, `INSERT INTO billing.tenant_addons (tenant_id, addon, quantity) VALUES ($1, 'extra', 3), ($1, 'foreign', 1)`, team.ID)
	w.exec(t, `UPDATE tenants.tenants SET plan = 'starter' WHERE id = $1`, team.ID)
	if report, _ := read(t, w, team.ID); report.ChargeMinor != 2900+3*500 {
		t.Errorf("with three add-ons it is %d", report.ChargeMinor)
	}
	w.exec(t, `UPDATE billing.plans SET per_seat = true WHERE code = 'starter'`)
	w.exec(t, `WITH machine AS (INSERT INTO auth.users (email, kind, tenant_id) VALUES ('machine@key.invalid', 'service', $1) RETURNING id)
		INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT $1, id, 'member' FROM machine`, team.ID)
	if report, _ := read(t, w, team.ID); report.ChargeMinor != 4*2900+3*500 {
		t.Errorf("with four people and a machine it is %d", report.ChargeMinor)
	}
}
