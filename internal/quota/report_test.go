package quota_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

func (w world) used(t *testing.T, tenant id.Tenant, meter string, used int64) func() bool {
	return func() bool {
		got, _ := w.total(t, tenant, meter)
		return got.Equal(decimal.NewFromInt(used))
	}
}

// waits reports whether somebody waits for a lock in this database.
func (w world) waits(t *testing.T) func() bool {
	return func() (is bool) {
		t.Helper()
		err := w.super.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&is)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
}

func TestALockedTotalHoldsUpNobodyElsesReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := start(t, w.Pool(t, "nself_server"))
	tenants := w.tenants(t, 40)
	for _, tenant := range tenants {
		must(t, p, ask(tenant, "hits", 1))
	}
	for _, tenant := range tenants {
		eventually(t, "the first is reported", w.used(t, tenant, "hits", 1))
	}
	w.locking(t, tenants[:1], func() {
		for _, tenant := range tenants {
			must(t, p, ask(tenant, "hits", 1))
		}
		for _, tenant := range tenants[1:] {
			eventually(t, "the others' are reported", w.used(t, tenant, "hits", 2))
		}
	})
	p.stop()
	for _, tenant := range tenants {
		w.stands(t, tenant, "hits", 2, 0)
	}
}

func TestOfAClosedPeriodNoLeaseIsCounted(t *testing.T) {
	w := newWorld(t)
	tenant, lease := w.tenant(t), id.New[id.Lease]()
	report := func(number int64) error {
		_, err := w.pool.Exec(t.Context(), reportSQL, tenant, lease, number, 10, false)
		return err
	}
	if _, err := w.pool.Exec(t.Context(), leaseSQL, tenant, lease, 1); err != nil {
		t.Fatal(err)
	}
	w.exec(t, `UPDATE billing.usage_periods SET ends_at = now() WHERE tenant_id = $1`, tenant)
	if err := report(2); err != nil {
		t.Fatal(err)
	}
	w.stands(t, tenant, "hits", 10, 40) // over, but not closed
	told := make(chan error, 1)
	err := pgx.BeginFunc(t.Context(), w.super, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`SELECT FROM billing.usage_periods WHERE tenant_id = $1 FOR UPDATE`, // as usage.ClosePeriods does
			`UPDATE billing.usage_periods SET closed_at = now() WHERE tenant_id = $1`,
		} {
			if _, err := tx.Exec(t.Context(), sql, tenant); err != nil {
				return err
			}
		}
		go func() { told <- report(3) }()
		eventually(t, "the report waits for who closes the period", w.waits(t))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	w.stands(t, tenant, "hits", 10, 30)
}

func TestWhatIsGrantedWhileMoreIsAskedForIsNotGrantedAgain(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenantOf(t, "hits", 1000)
	p := start(t, w.Pool(t, "nself_server"))
	must(t, p, ask(tenant, "hits", 1)) // of a lease of 100
	more := make(chan string, 1)
	w.locking(t, []id.Tenant{tenant}, func() {
		go func() { more <- word(p.Take(t.Context(), ask(tenant, "hits", 100))) }()
		eventually(t, "more is asked for", w.waits(t))
		must(t, p, ask(tenant, "hits", 9))
	})
	if got := <-more; got != "allowed" {
		t.Errorf("the 100 are %s", got)
	}
	rest := must(t, plain{w.pool}, ask(tenant, "hits", 2000)).Remaining
	must(t, plain{w.pool}, quota.Ask{Tenant: tenant, Meter: "hits", Amount: *rest})
	storm(t, []taker{p}, tenant, "hits", 1)
	p.stop()
	w.stands(t, tenant, "hits", 1000, 0)
}
