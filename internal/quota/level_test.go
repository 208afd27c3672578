package quota_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/quota"
)

func TestALevelBelowZeroIsToldAsNone(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenantOf(t, "storage", 10)
	w.exec(t, `SELECT billing.change_level($1, 'storage', -3, NULL)`, tenant)
	_, d, err := quota.Reserve(t.Context(), w.pool, ask(tenant, "storage", 11), time.Minute)
	if err != nil || d.Allowed || !d.Used.IsZero() || !d.Remaining.Equal(whole(10)) {
		t.Fatalf("%+v, %v", d, err)
	}
	if said := d.Refusal().Error(); strings.Contains(said, "-3") || !strings.Contains(said, " 0 are used") {
		t.Error(said)
	}
	if d, err := quota.Check(t.Context(), w.pool, ask(tenant, "storage", 11)); err != nil || d.Allowed || !d.Used.IsZero() {
		t.Errorf("check: %+v, %v", d, err)
	}
	if _, meters := read(t, w, tenant); !meters["storage"].Used.IsZero() {
		t.Errorf("read: %+v", meters["storage"])
	}
}

// A change whose transaction began before the period ended, and that waits for another
// which took the level into the next one, is counted there.
func TestALevelThatWaitedIntoTheNextPeriodIsCountedThere(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	const changeSQL = `SELECT billing.change_level($1, 'storage', $2::int, NULL)`
	w.exec(t, changeSQL, tenant, 100)
	slow, err := w.super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Rollback(context.WithoutCancel(t.Context())) }()
	w.exec(t, `UPDATE billing.usage_periods SET ends_at = clock_timestamp() WHERE tenant_id = $1`, tenant)
	changed := make(chan error, 1)
	err = pgx.BeginFunc(t.Context(), w.super, func(quick pgx.Tx) error {
		if _, err := quick.Exec(t.Context(), changeSQL, tenant, 10); err != nil {
			return err
		}
		go func() {
			_, err := slow.Exec(t.Context(), changeSQL, tenant, 1)
			changed <- err
		}()
		eventually(t, "the slow one waits", w.waits(t))
		return nil
	})
	if err := errors.Join(err, <-changed, slow.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	var now decimal.Decimal
	if err := w.super.QueryRow(t.Context(), `SELECT used FROM billing.usage_totals WHERE tenant_id = $1 ORDER BY period_start DESC LIMIT 1`, tenant).Scan(&now); err != nil || !now.Equal(whole(111)) {
		t.Errorf("the level is %s, %v", now, err)
	}
}
