package quota_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

func reserve(t *testing.T, w world, a quota.Ask) quota.Reservation {
	t.Helper()
	r, d, err := quota.Reserve(t.Context(), w.pool, a, time.Minute)
	if err != nil || !d.Allowed || r.State != "open" {
		t.Fatalf("reserve %s: %+v, %+v, %v", a.Amount, r, d, err)
	}
	return r
}

func whole(amount int64) decimal.Decimal { return decimal.NewFromInt(amount) }

func TestReservationsHoldUntilTheyEnd(t *testing.T) {
	w := newWorld(t)
	for _, meter := range []string{"calls", "minutes", "hits", "storage"} {
		t.Run(meter, func(t *testing.T) {
			tenant := w.tenant(t)
			w.limit(t, tenant, meter, 10)
			level := meter == "storage"
			first, second := reserve(t, w, ask(tenant, meter, 4)), reserve(t, w, ask(tenant, meter, 6))
			if r, d, err := quota.Reserve(t.Context(), w.pool, ask(tenant, meter, 1), time.Minute); err != nil || d.Allowed || !r.ID.IsZero() {
				t.Errorf("past the limit: %+v, %+v, %v", r, d, err)
			}
			w.stands(t, tenant, meter, 0, 10)
			if _, err := quota.Settle(t.Context(), w.pool, tenant, first.ID, whole(5)); !fault.Is(err, fault.QuotaExceeded) {
				t.Errorf("settle past the limit: %v", err)
			}
			for range 2 {
				if got, err := quota.Release(t.Context(), w.pool, tenant, second.ID); err != nil || got.State != "released" || got.EndedAt == nil {
					t.Errorf("release: %+v, %v", got, err)
				}
			}
			for range 2 {
				got, err := quota.Settle(t.Context(), w.pool, tenant, first.ID, whole(7))
				if err != nil || got.State != "settled" || !got.Settled.Equal(whole(7)) {
					t.Errorf("settle: %+v, %v", got, err)
				}
			}
			if level {
				w.stands(t, tenant, meter, 0, 0)
			} else {
				w.stands(t, tenant, meter, 7, 0)
			}
			for _, again := range []func() (quota.Reservation, error){
				func() (quota.Reservation, error) {
					return quota.Settle(t.Context(), w.pool, tenant, first.ID, whole(6))
				},
				func() (quota.Reservation, error) { return quota.Release(t.Context(), w.pool, tenant, first.ID) },
				func() (quota.Reservation, error) {
					return quota.Settle(t.Context(), w.pool, tenant, second.ID, whole(1))
				},
			} {
				if _, err := again(); !fault.Is(err, fault.ReservationEnded) {
					t.Errorf("ended otherwise: %v", err)
				}
			}
			if _, err := quota.Release(t.Context(), w.pool, w.tenant(t), first.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("by another tenant: %v", err)
			}
		})
	}
}

const overdueSQL = `UPDATE billing.quota_reservations SET expires_at = now() - interval '1 second' WHERE id = $1`

func TestReservationThatIsOverHoldsNothing(t *testing.T) {
	w := newWorld(t)
	for _, meter := range []string{"calls", "hits", "storage"} {
		t.Run(meter, func(t *testing.T) {
			tenant := w.tenant(t)
			w.limit(t, tenant, meter, 10)
			over := func(amount int64) id.Reservation {
				r := reserve(t, w, ask(tenant, meter, amount))
				w.exec(t, overdueSQL, r.ID)
				return r.ID
			}
			first := over(8)
			if d, err := quota.Check(t.Context(), w.pool, ask(tenant, meter, 10)); err != nil || !d.Allowed {
				t.Errorf("check: %+v, %v", d, err)
			}
			if _, err := quota.Settle(t.Context(), w.pool, tenant, first, whole(1)); !fault.Is(err, fault.ReservationEnded) {
				t.Errorf("settle: %v", err)
			}
			reserve(t, w, ask(tenant, meter, 10)) // whoever needs the room ends it
			w.stands(t, tenant, meter, 0, 10)
			w.exec(t, `UPDATE billing.quota_reservations SET expires_at = now() - interval '1 second' WHERE tenant_id = $1 AND state = 'open'`, tenant)
			for _, want := range []int64{1, 0} {
				if ended, err := quota.ExpireReservations(t.Context(), w.pool); err != nil || ended != want {
					t.Errorf("expired %d, want %d: %v", ended, want, err)
				}
			}
			w.stands(t, tenant, meter, 0, 0)
		})
	}
}

func TestReservationIsSettledInThePeriodItWasMadeIn(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	r := reserve(t, w, ask(tenant, "calls", 5))
	w.exec(t, `UPDATE billing.usage_periods SET ends_at = now() - interval '1 minute' WHERE tenant_id = $1`, tenant)
	if _, err := quota.Settle(t.Context(), w.pool, tenant, r.ID, whole(3)); err != nil {
		t.Fatal(err)
	}
	must(t, plain{w.pool}, ask(tenant, "calls", 2))
	var late, now decimal.Decimal
	err := w.super.QueryRow(t.Context(), `SELECT min(used) FILTER (WHERE p.ends_at < now()), min(used) FILTER (WHERE p.ends_at > now())
		FROM billing.usage_totals t JOIN billing.usage_periods p ON p.tenant_id = t.tenant_id AND p.starts_at = t.period_start WHERE t.tenant_id = $1`, tenant).Scan(&late, &now)
	if err != nil || !late.Equal(whole(3)) || !now.Equal(whole(2)) {
		t.Errorf("%s in its period, %s in the next, %v", late, now, err)
	}
	var outside int
	err = w.super.QueryRow(t.Context(), `SELECT count(*) FROM billing.usage_records r JOIN billing.usage_periods p ON p.tenant_id = r.tenant_id AND p.starts_at = r.period_start
		WHERE r.at < p.starts_at OR r.at >= p.ends_at`).Scan(&outside)
	if err != nil || outside != 0 {
		t.Errorf("%d records are dated outside their period, %v", outside, err)
	}
}

func TestReservationsAtOnceNeverPassTheLimit(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	w.limit(t, tenant, "storage", 100)
	var held atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				r, d, err := quota.Reserve(t.Context(), w.pool, ask(tenant, "storage", 7), time.Minute)
				if err != nil {
					t.Errorf("reserve: %v", err)
					return
				}
				if d.Allowed {
					if now := held.Add(7); now > 100 {
						t.Errorf("%d are reserved", now)
					}
					held.Add(-7)
					if _, err := quota.Release(t.Context(), w.pool, tenant, r.ID); err != nil {
						t.Errorf("release: %v", err)
					}
				}
			}
		})
	}
	all.Wait()
	w.stands(t, tenant, "storage", 0, 0)
}

func TestReserveRefusesWhatCannotBeKeptAside(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	for name, c := range map[string]struct {
		meter  string
		amount int64
		ttl    time.Duration
	}{
		"users": {"users", 1, time.Minute}, "a maximum": {"peak", 1, time.Minute}, "values": {"visitors", 1, time.Minute},
		"nothing": {"calls", 0, time.Minute}, "no time": {"calls", 1, 0}, "more than a day": {"calls", 1, 25 * time.Hour},
	} {
		if _, _, err := quota.Reserve(t.Context(), w.pool, ask(tenant, c.meter, c.amount), c.ttl); !fault.Is(err, fault.InvalidInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPruneEndedKeepsWhatIsOpenOrYoung(t *testing.T) {
	w := newWorld(t)
	tenant := w.tenant(t)
	old, young, open := reserve(t, w, ask(tenant, "calls", 1)), reserve(t, w, ask(tenant, "calls", 1)), reserve(t, w, ask(tenant, "calls", 1))
	for _, r := range []quota.Reservation{old, young} {
		if _, err := quota.Release(t.Context(), w.pool, tenant, r.ID); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, w.pool)
	must(t, p, ask(tenant, "hits", 1))
	p.stop()
	w.exec(t, `UPDATE billing.quota_reservations SET ended_at = now() - interval '36 days' WHERE id = $1`, old.ID)
	w.exec(t, `UPDATE billing.quota_leases SET returned_at = now() - interval '36 days'`)
	for _, want := range []int64{2, 0} {
		if gone, err := quota.PruneEnded(t.Context(), w.pool); err != nil || gone != want {
			t.Errorf("pruned %d, want %d: %v", gone, want, err)
		}
	}
	if _, err := quota.Release(t.Context(), w.pool, tenant, open.ID); err != nil {
		t.Error(err)
	}
}
