package usage_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/usage"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func number(text string) decimal.Decimal { return decimal.RequireFromString(text) }

// define makes a meter of its own name.
func define(t *testing.T, db pg.DB, code string, kind usage.Aggregation) {
	t.Helper()
	if _, err := usage.DefineMeter(t.Context(), db, pgtest.Operator, usage.MeterInput{Code: code, Aggregation: &kind}); err != nil {
		t.Fatal(err)
	}
}

// became records events and gives what became of each, in one word.
func became(t *testing.T, db pg.DB, events ...usage.Event) []string {
	t.Helper()
	outcomes, err := usage.Record(t.Context(), db, pgtest.Operator, events)
	if err != nil {
		t.Fatal(err)
	}
	words := make([]string, len(outcomes))
	for i, o := range outcomes {
		words[i] = string(o.Status)
		if o.Status == usage.Refused {
			words[i] = o.Code
		}
		if (o.Reason == "") != (o.Status != usage.Refused) {
			t.Errorf("event %d is %s with the reason %q", i, o.Status, o.Reason)
		}
	}
	return words
}

// used is what the tenant has used of a meter in the period that now is in.
func used(t *testing.T, db pg.DB, tenant id.Tenant, meter string) string {
	t.Helper()
	return usedAt(t, db, tenant, meter, time.Now())
}

func usedAt(t *testing.T, db pg.DB, tenant id.Tenant, meter string, at time.Time) string {
	t.Helper()
	period, err := usage.PeriodOf(t.Context(), db, tenant, at)
	if err != nil {
		t.Fatal(err)
	}
	return text(t, db, `SELECT coalesce((SELECT trim_scale(used)::text FROM billing.usage_totals
		WHERE tenant_id = @tenant AND meter = @meter AND period_start = @start), 'nothing')`,
		pgx.NamedArgs{"tenant": tenant, "meter": meter, "start": period.StartsAt})
}

// text reads one text.
func text(t *testing.T, db pg.DB, sql string, args pgx.NamedArgs) string {
	t.Helper()
	found, err := pg.Scalar[string](t.Context(), db, sql, args)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// balanced fails where a total is not the sum of its events.
func balanced(t *testing.T, db pg.DB) {
	t.Helper()
	if _, err := usage.Reconcile(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	drifts, err := usage.Drifts(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drifts {
		t.Errorf("of %s %s is %s, and what it is of makes %s", d.Meter, d.What, d.Total, d.Counted)
	}
}

// plant changes what the program cannot: the past.
func plant(t *testing.T, db pg.DB, sql string, args pgx.NamedArgs) {
	t.Helper()
	tag, err := db.Exec(t.Context(), sql, args)
	if err != nil {
		t.Fatal(err)
	}
	if tag.RowsAffected() == 0 {
		t.Fatalf("no row was there for %s", sql)
	}
}

// lastMonth gives the tenant a period that was over a day ago, with one that runs since.
func lastMonth(t *testing.T, db pg.DB, tenant id.Tenant) usage.Period {
	t.Helper()
	plant(t, db, `INSERT INTO billing.usage_periods (tenant_id, starts_at, ends_at) VALUES
		(@tenant, now() - interval '32 days', now() - interval '1 day'), (@tenant, now() - interval '1 day', now() + interval '29 days')`,
		pgx.NamedArgs{"tenant": tenant})
	period, err := usage.PeriodOf(t.Context(), db, tenant, time.Now().AddDate(0, 0, -2))
	if err != nil {
		t.Fatal(err)
	}
	return period
}
