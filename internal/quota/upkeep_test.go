package quota_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

func TestSweepGoesOnPastATotalThatIsLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenants := w.tenants(t, 3)
	for _, tenant := range tenants {
		w.limit(t, tenant, "calls", 10)
		must(t, plain{w.pool}, ask(tenant, "calls", 8))
	}
	told := map[string]int{}
	sweep := quota.Sweep(nil, func(meter string, threshold int) { told[meter] += threshold })
	for _, locked := range tenants[:2] { // whichever comes first
		w.exec(t, `DELETE FROM billing.quota_notices`)
		clear(told)
		w.locking(t, []id.Tenant{locked}, func() {
			if n, err := sweep(t.Context(), w.pool); err == nil || n != 2 {
				t.Errorf("%d are noticed, %v", n, err)
			}
		})
		if diff := cmp.Diff(map[string]int{"calls": 160}, told); diff != "" {
			t.Error(diff)
		}
	}
	if n, err := sweep(t.Context(), w.pool); err != nil || n != 1 {
		t.Errorf("%d are noticed in the end, %v", n, err)
	}
}

func TestExpiryGoesOnPastATotalThatIsLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenants := w.tenants(t, 2)
	for _, locked := range tenants { // whichever comes first
		for _, tenant := range tenants {
			reserve(t, w, ask(tenant, "calls", 4))
			if _, err := w.pool.Exec(t.Context(), leaseSQL, tenant, id.New[id.Lease](), 1); err != nil {
				t.Fatal(err)
			}
		}
		w.exec(t, `UPDATE billing.quota_reservations SET expires_at = now() WHERE state = 'open'`)
		w.exec(t, `UPDATE billing.usage_periods SET closed_at = now()`)
		w.locking(t, []id.Tenant{locked}, func() {
			if n, err := quota.ExpireReservations(t.Context(), w.pool); err == nil || n != 2 {
				t.Errorf("%d ended, %v", n, err)
			}
		})
		if n, err := quota.ExpireReservations(t.Context(), w.pool); err != nil || n != 2 {
			t.Errorf("%d ended after it, %v", n, err)
		}
		w.exec(t, `UPDATE billing.usage_periods SET closed_at = NULL`)
	}
	for _, tenant := range tenants {
		w.stands(t, tenant, "calls", 0, 0)
		w.stands(t, tenant, "hits", 0, 0)
	}
}

func TestWhoeverTakesEndsWhatIsOverdueOfItsOwnPeriodAlone(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenantOf(t, "calls", 10)
	reserve(t, w, ask(tenant, "calls", 4))
	w.exec(t, `UPDATE billing.usage_periods SET starts_at = starts_at - interval '40 days', ends_at = now() WHERE tenant_id = $1`, tenant)
	reserve(t, w, ask(tenant, "calls", 3))
	w.exec(t, `UPDATE billing.quota_reservations SET expires_at = now() WHERE tenant_id = $1`, tenant)
	if d := must(t, plain{w.pool}, ask(tenant, "calls", 10)); !d.Allowed || !d.Held.IsZero() {
		t.Errorf("%+v", d)
	}
	w.stands(t, tenant, "calls", 10, 4)
	if n, err := quota.ExpireReservations(t.Context(), w.pool); err != nil || n != 1 {
		t.Errorf("%d ended, %v", n, err)
	}
	w.stands(t, tenant, "calls", 10, 0)
}
