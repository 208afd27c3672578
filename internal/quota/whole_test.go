package quota_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
)

const wholeSQL = `SELECT place FROM billing.take_whole($1, $2, $3::text[]::numeric[])`

// whole takes from each pair by itself, and tells from which it took.
func (w world) whole(t *testing.T, tenants []id.Tenant, meters, amounts []string) (taken []bool) {
	t.Helper()
	for i := range tenants {
		rows, err := w.pool.Query(t.Context(), wholeSQL, tenants[i:i+1], meters[i:i+1], amounts[i:i+1])
		if err != nil {
			t.Fatal(err)
		}
		places, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, len(places) == 1)
	}
	return taken
}

func TestWholeIsTakenOnlyOfWhatAddsUpAndFits(t *testing.T) {
	w := newWorld(t)
	limited, soft, fresh, suspended := w.tenantOf(t, "calls", 10), w.tenant(t), w.tenantOf(t, "calls", 10), w.tenantOf(t, "calls", 10)
	w.softLimit(t, soft, "calls", 1)
	for _, tenant := range []id.Tenant{limited, soft, suspended} {
		must(t, plain{w.pool}, ask(tenant, "calls", 1))
	}
	w.exec(t, `SELECT billing.hold($1, 'calls', 4, 4, 4)`, limited)
	w.exec(t, `SELECT billing.hold($1, 'storage', 1, 1, 1)`, limited)
	must(t, plain{w.pool}, ask(limited, "peak", 5))
	w.exec(t, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, suspended)
	tenants := []id.Tenant{limited, limited, limited, limited, limited, limited, soft, fresh, suspended}
	meters := []string{"calls", "calls", "calls", "calls", "storage", "peak", "calls", "calls", "calls"}
	amounts := []string{"6", "5", "1", "0", "1", "1", "100", "1", "1"}
	got := w.whole(t, tenants, meters, amounts)
	if diff := cmp.Diff([]bool{false, true, false, true, false, false, true, false, false}, got); diff != "" {
		t.Error(diff)
	}
	w.stands(t, limited, "calls", 6, 4)
	w.stands(t, soft, "calls", 101, 0)
	w.stands(t, suspended, "calls", 1, 0)
}

func TestDecidersGrantManyTenantsExactlyTheirLimits(t *testing.T) {
	w := newWorld(t)
	tenants := w.tenants(t, 12)
	for _, tenant := range tenants {
		w.limit(t, tenant, "calls", 150)
	}
	by := []taker{plain{w.pool}}
	for range 3 {
		by = append(by, start(t, w.Pool(t, "nself_server")))
	}
	got := make([]int64, len(tenants))
	var all sync.WaitGroup
	for i, tenant := range tenants {
		all.Go(func() { got[i] = storm(t, by, tenant, "calls", 3) })
	}
	all.Wait()
	for i, tenant := range tenants {
		if got[i] != 150 {
			t.Errorf("tenant %d: %d were granted", i, got[i])
		}
		w.stands(t, tenant, "calls", 150, 0)
	}
}
