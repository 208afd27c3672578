package storm_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
)

// sumsSQL sees one moment: every total beside what its records come to.
const sumsSQL = `
WITH counted AS (
  SELECT r.tenant_id, r.meter, r.period_start, count(*) AS events,
    CASE m.aggregation WHEN 'max' THEN max(r.amount) WHEN 'unique' THEN count(DISTINCT r.value) ELSE sum(r.amount) END AS used
  FROM billing.usage_records r JOIN billing.meters m ON m.code = r.meter
  GROUP BY r.tenant_id, r.meter, r.period_start, m.aggregation),
kept AS (
  SELECT tenant_id, count(*) AS keys FROM billing.usage_keys GROUP BY tenant_id)
SELECT (SELECT count(*) FROM billing.usage_totals t FULL JOIN counted c USING (tenant_id, meter, period_start)
        WHERE (t.used, t.events) IS DISTINCT FROM (c.used, c.events))
     + (SELECT count(*) FROM kept FULL JOIN (SELECT tenant_id, sum(events) AS keys FROM counted GROUP BY tenant_id) s USING (tenant_id)
        WHERE kept.keys IS DISTINCT FROM s.keys)`

// wantSums demands that at this moment every total is the sum of its records, and that
// there is a key for each record, as at every other moment.
func (f *flood) wantSums(t *testing.T) {
	t.Helper()
	var differ int
	f.ask(t, func(conn *pgx.Conn) error { return conn.QueryRow(t.Context(), sumsSQL).Scan(&differ) })
	if differ != 0 {
		t.Errorf("%d totals are not the sum of their records, or their keys are not theirs", differ)
	}
}

const totalsSQL = `
SELECT tenant_id, meter, used, events FROM billing.usage_totals t
WHERE meter IN ('gigabytes', 'calls', 'peak', 'visitors')`

// wantTotals demands what the plan comes to.
func (f *flood) wantTotals(t *testing.T) {
	t.Helper()
	want := f.plan.totals()
	found := map[place]sum{}
	f.ask(t, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(t.Context(), totalsSQL)
		var at place
		var tenant id.Tenant
		var used decimal.Decimal
		var events int64
		_, err := pgx.ForEachRow(rows, []any{&tenant, &at.meter, &used, &events}, func() error {
			at.tenant = tenant
			found[at] = sum{found[at].used.Add(used), found[at].events + events}
			return nil
		})
		return err
	})
	for at, s := range want {
		if got := found[at]; !got.used.Equal(s.used) || got.events != s.events {
			t.Errorf("%s of %s: %s of %d events, want %s of %d", at.meter, at.tenant, got.used, got.events, s.used, s.events)
		}
	}
	if len(found) != len(want) || len(want) != 4*tenants {
		t.Errorf("%d totals, want %d", len(found), len(want))
	}
}
