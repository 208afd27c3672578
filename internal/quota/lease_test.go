package quota_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

func TestLeaseIsReportedAndHandedBackWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.tenant(t)
	w.limit(t, tenant, "hits", 10_000)
	p := start(t, w.pool)
	for range 30 {
		must(t, p, ask(tenant, "hits", 1))
	}
	eventually(t, "30 are reported, 70 held", func() bool {
		used, held := w.total(t, tenant, "hits")
		return used.Equal(whole(30)) && held.Equal(whole(70))
	})
	must(t, p, ask(tenant, "hits", 5))
	p.stop()
	w.stands(t, tenant, "hits", 35, 0)
	must(t, p, ask(tenant, "hits", 5)) // strict from now on
	w.stands(t, tenant, "hits", 40, 0)
}

func TestLeaseOfADeadProcessIsHeldUntilItsPeriodIsClosed(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	w.limit(t, tenant, "hits", 1000)
	dead := quota.New(quota.DeciderConfig{DB: w.Pool(t, "nself_server")}) // Run never runs: as if killed
	for range 10 {
		must(t, dead, ask(tenant, "hits", 1))
	}
	alive := start(t, w.pool)
	granted := storm(t, []taker{alive, plain{w.pool}}, tenant, "hits", 5)
	alive.stop()
	if granted+10 > 1000 || granted < 1000-100 {
		t.Errorf("the others got %d: the limit is 1000, the dead process's lease at most 100", granted)
	}
	w.stands(t, tenant, "hits", granted, 1000-granted)

	if ended, err := quota.ExpireReservations(t.Context(), w.pool); err != nil || ended != 0 {
		t.Errorf("ended %d leases of an open period: %v", ended, err)
	}
	w.exec(t, `UPDATE billing.usage_periods SET ends_at = now() - interval '4 days', closed_at = now() WHERE tenant_id = $1`, tenant)
	for _, want := range []int64{1, 0} {
		if ended, err := quota.ExpireReservations(t.Context(), w.pool); err != nil || ended != want {
			t.Errorf("ended %d leases, want %d: %v", ended, want, err)
		}
	}
	w.stands(t, tenant, "hits", granted, 0)
}

const (
	leaseSQL  = `SELECT "left" FROM billing.lease($1, 'hits', $2, $3, 'test', 1, 50, 1)`
	reportSQL = `SELECT "left" FROM billing.report_leases(ARRAY[$1::uuid], ARRAY[$2::uuid], ARRAY[$3::bigint], ARRAY[$4::numeric], ARRAY[$5::boolean])`
)

func TestWhatIsToldTwiceUnderOneNumberIsCountedOnce(t *testing.T) {
	w := newWorld(t)
	tenant, lease := w.tenant(t), id.New[id.Lease]()
	w.limit(t, tenant, "hits", 1000)
	left := func(sql string, args ...any) (left decimal.Decimal) {
		t.Helper()
		if err := w.pool.QueryRow(t.Context(), sql, append([]any{tenant, lease}, args...)...).Scan(&left); err != nil {
			t.Fatal(err)
		}
		return left
	}
	for _, c := range []struct {
		what string
		got  decimal.Decimal
		want int64
	}{
		{"begin", left(leaseSQL, 1), 50}, {"begin again", left(leaseSQL, 1), 50},
		{"report", left(reportSQL, 2, 20, false), 30}, {"report again", left(reportSQL, 2, 20, false), 30}, {"report late", left(reportSQL, 1, 20, false), 30},
		{"more", left(leaseSQL, 3), 80}, {"more again", left(leaseSQL, 3), 80},
		{"finish", left(reportSQL, 4, 5, true), 0}, {"finish again", left(reportSQL, 4, 5, true), 0}, {"report after the end", left(reportSQL, 5, 5, false), 0},
	} {
		if !c.got.Equal(whole(c.want)) {
			t.Errorf("%s: %s are left, want %d", c.what, c.got, c.want)
		}
	}
	w.stands(t, tenant, "hits", 25, 0)
	var after *decimal.Decimal
	if err := w.pool.QueryRow(t.Context(), leaseSQL, tenant, lease, 6).Scan(&after); err != nil || after != nil {
		t.Errorf("a lease that ended is added to: %v, %v", after, err)
	}
	w.stands(t, tenant, "hits", 25, 0)
}

func TestLeasesShrinkNearTheLimit(t *testing.T) {
	w := newWorld(t)
	for limit, want := range map[int64]int64{100_000: 100, 400: 50, 80: 10, 4: 1} {
		tenant := w.tenant(t)
		w.limit(t, tenant, "hits", limit)
		by := quota.New(quota.DeciderConfig{DB: w.pool})
		must(t, by, ask(tenant, "hits", 1))
		w.stands(t, tenant, "hits", 0, want)
	}
}

func TestWhoFindsAllLeasedToOthersIsRefusedWithTheFigures(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	w.limit(t, tenant, "bulk", 100)
	first, second := start(t, w.pool), start(t, w.Pool(t, "nself_server"))
	must(t, first, ask(tenant, "bulk", 60))
	w.exec(t, `UPDATE billing.usage_totals SET held = 100 WHERE tenant_id = $1`, tenant)
	w.exec(t, `UPDATE billing.quota_leases SET held = 100 WHERE tenant_id = $1`, tenant)
	d := must(t, second, ask(tenant, "bulk", 1))
	if d.Allowed || d.Limit != 100 || !d.Used.Add(d.Held).Equal(whole(100)) || !d.Remaining.IsZero() || d.ResetDate.IsZero() {
		t.Errorf("%+v", d)
	}
	first.stop()
	if d := must(t, second, ask(tenant, "bulk", 40)); !d.Allowed {
		t.Errorf("after it was handed back: %+v", d)
	}
	second.stop()
	w.stands(t, tenant, "bulk", 100, 0)
}

func TestChangedLimitHoldsAtOnceWhereItIsNotified(t *testing.T) {
	w := newWorld(t)
	for name, payload := range map[string]func(id.Tenant) string{
		"of the tenant": func(of id.Tenant) string { return "limits:" + of.String() },
		"of all":        func(id.Tenant) string { return "limits:*" },
		"a reconnect":   func(id.Tenant) string { return "*" },
	} {
		t.Run(name, func(t *testing.T) {
			tenant := w.tenant(t)
			w.limit(t, tenant, "hits", 1000)
			p := start(t, w.pool)
			for range 20 {
				must(t, p, ask(tenant, "hits", 1))
			}
			w.limit(t, tenant, "hits", 21)
			p.changes.say(payload(tenant))
			if d := must(t, p, ask(tenant, "hits", 2)); d.Allowed || d.Limit != 21 || !d.Remaining.Equal(whole(1)) {
				t.Errorf("lowered: %+v", d)
			}
			w.limit(t, tenant, "hits", 22)
			if d := must(t, p, ask(tenant, "hits", 2)); !d.Allowed {
				t.Errorf("raised, and not even notified: %+v", d)
			}
			p.stop()
			w.stands(t, tenant, "hits", 22, 0)
		})
	}
}

func TestLeaseEndsWithItsPeriodByTheProcessesOwnClock(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	w.limit(t, tenant, "hits", 50)
	must(t, plain{w.pool}, ask(tenant, "hits", 1)) // makes the period
	w.exec(t, `UPDATE billing.usage_periods SET ends_at = now() + interval '400 milliseconds' WHERE tenant_id = $1`, tenant)
	p := start(t, w.pool)
	d := must(t, p, ask(tenant, "hits", 7))
	for time.Now().Before(d.ResetDate.Add(50 * time.Millisecond)) {
		time.Sleep(10 * time.Millisecond)
	}
	after := must(t, p, ask(tenant, "hits", 50))
	if !after.Allowed || !after.ResetDate.After(d.ResetDate) {
		t.Errorf("in the next period: %+v", after)
	}
	p.stop()
	var first, second decimal.Decimal
	err := w.super.QueryRow(t.Context(), `SELECT (array_agg(used ORDER BY period_start))[1], (array_agg(used ORDER BY period_start))[2] FROM billing.usage_totals WHERE tenant_id = $1`, tenant).Scan(&first, &second)
	if err != nil || !first.Equal(whole(8)) || !second.Equal(whole(50)) {
		t.Errorf("%s, then %s, %v", first, second, err)
	}
	w.stands(t, tenant, "hits", 58, 0)
}

// statements counts those that report leases.
type statements struct{ reports atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (s *statements) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if strings.Contains(data.SQL, "report_leases") {
		s.reports.Add(1)
	}
}

func (s *statements) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func TestManyLeasesAreReportedInFewStatements(t *testing.T) {
	w := newWorld(t)
	config, err := pgxpool.ParseConfig(w.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	var sent statements
	config.ConnConfig.Tracer = &sent
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p := start(t, pool)
	meters := []string{"hits", "views", "bulk", "api_requests"}
	var all sync.WaitGroup
	for _, tenant := range w.tenants(t, 600) {
		all.Go(func() {
			for _, meter := range meters {
				if d, err := p.Take(t.Context(), ask(tenant, meter, 1)); err != nil || !d.Allowed {
					t.Errorf("%+v, %v", d, err)
				}
			}
		})
	}
	all.Wait()
	before := sent.reports.Load()
	p.stop()
	var leases, kept, used int
	err = w.super.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE returned_at IS NULL), sum(reported)::int FROM billing.quota_leases`).Scan(&leases, &kept, &used)
	if err != nil || leases != 2400 || kept != 0 || used != 2400 {
		t.Errorf("%d leases, %d not handed back, %d used, %v", leases, kept, used, err)
	}
	if took := sent.reports.Load() - before; took < 3 || took > 6 {
		t.Errorf("it took %d statements", took)
	}
}

func TestDeciderLeavesNoGoroutines(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	for range 3 {
		p := start(t, w.pool)
		storm(t, []taker{p}, w.tenantOf(t, "hits", 200), "hits", 20)
		must(t, p, ask(tenant, "calls", 1))
		p.stop()
	}
	eventually(t, "no goroutine of the package runs", func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "quota.(*")
	})
}
