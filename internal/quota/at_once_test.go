package quota_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// storm asks for ones from every decider at once until each worker was refused, and
// counts what was granted.
func storm(t *testing.T, by []taker, tenant id.Tenant, meter string, workers int) int64 {
	t.Helper()
	var granted atomic.Int64
	var all sync.WaitGroup
	for _, one := range by {
		for range workers {
			all.Go(func() {
				for {
					d, err := one.Take(t.Context(), ask(tenant, meter, 1))
					if err != nil {
						t.Errorf("take: %v", err)
						return
					}
					if !d.Allowed {
						return
					}
					granted.Add(1)
				}
			})
		}
	}
	all.Wait()
	return granted.Load()
}

func TestDecidersTogetherGrantExactlyTheLimit(t *testing.T) {
	w := newWorld(t)
	for _, meter := range []string{"calls", "hits"} {
		t.Run(meter, func(t *testing.T) {
			tenant := w.tenant(t)
			w.limit(t, tenant, meter, 3000)
			by := []taker{plain{w.pool}}
			var stop []func()
			for range 3 {
				p := start(t, w.Pool(t, "nself_server"))
				by, stop = append(by, p), append(stop, p.stop)
			}
			if got := storm(t, by, tenant, meter, 20); got != 3000 {
				t.Errorf("%d were granted", got)
			}
			for _, end := range stop {
				end()
			}
			w.stands(t, tenant, meter, 3000, 0)
		})
	}
}

func TestTotalThatIsLockedForLongHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	locked := w.tenantOf(t, "calls", 10)
	must(t, plain{w.pool}, ask(locked, "calls", 1))
	p := start(t, w.Pool(t, "nself_server"))
	var all sync.WaitGroup
	err := pgx.BeginFunc(t.Context(), w.super, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT FROM billing.usage_totals WHERE tenant_id = $1 FOR UPDATE`, locked); err != nil {
			return err
		}
		for _, tenant := range w.tenants(t, 20) {
			all.Go(func() {
				if d, err := p.Take(t.Context(), ask(tenant, "calls", 1)); err != nil || !d.Allowed {
					t.Errorf("another: %+v, %v", d, err)
				}
			})
		}
		if d, err := p.Take(t.Context(), ask(locked, "calls", 1)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("the one that is locked: %+v, %v", d, err)
		}
		all.Wait()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	must(t, p, ask(locked, "calls", 9))
	w.stands(t, locked, "calls", 10, 0)
}
