package purchase_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	stand "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
)

// begun runs a routine, and gives the operations that it began.
func (w *world) begun(t *testing.T, run func(d *purchase.Desk) (int64, error), want int) []id.Operation {
	t.Helper()
	return w.begunBy(t, w.desk(t, nil), run, want)
}

func (w *world) begunBy(t *testing.T, d *purchase.Desk, run func(d *purchase.Desk) (int64, error), want int) []id.Operation {
	t.Helper()
	w.queued.ops = nil
	n, err := run(d)
	if err != nil || int(n) != want || len(w.queued.ops) != want {
		t.Fatalf("it says %d, %v; begun: %v, want %d", n, err, w.queued.ops, want)
	}
	return w.queued.ops
}

func TestSeatsFollowThePeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET per_seat = true WHERE code = 'pro'`)
	team := w.team(t)
	w.must(t, team, buyPro)
	w.pays(t, team, 4*9900)
	seats := func(d *purchase.Desk) (int64, error) { return d.Seats(t.Context(), w.pool) }
	w.begun(t, seats, 0)
	w.exec(t, `DELETE FROM tenants.tenant_members WHERE tenant_id = $1 AND user_id = $2`, team.ID, team.Guest)
	w.begun(t, seats, 1)
	if s := w.main(t, team); s.Items[0].Quantity != 3 {
		t.Errorf("%+v", s.Items)
	}
	w.begun(t, seats, 0)
}

// used has the team use more than its soft limit in a period that is closed.
func (w *world) used(t *testing.T, team pgtest.Team) {
	t.Helper()
	w.exec(t, `INSERT INTO billing.meters (code, name, unit, aggregation, deciding, lease_size, on_outage) VALUES ('calls', 'Calls', 'calls', 'count', 'strict', 1, 'refuse') ON CONFLICT DO NOTHING`)
	w.exec(t, `INSERT INTO billing.plan_limits (plan, meter, "limit", enforcement, overage_minor, overage_unit) VALUES ('pro', 'calls', 10, 'soft', 25, 100) ON CONFLICT DO NOTHING`)
	w.exec(t, `SELECT billing.period($1, now())`, team.ID)
	w.exec(t, `UPDATE billing.usage_periods SET ends_at = now() + interval '2 seconds' WHERE tenant_id = $1`, team.ID)
	w.exec(t, `INSERT INTO billing.usage_totals (tenant_id, meter, period_start, used)
		SELECT tenant_id, 'calls', starts_at, 111 FROM billing.usage_periods WHERE tenant_id = $1`, team.ID)
	w.exec(t, `UPDATE billing.usage_periods SET closed_at = now() WHERE tenant_id = $1`, team.ID)
}

func TestAnOverageIsReportedOnceWhateverStripeAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bill := func(d *purchase.Desk) (int64, error) { return d.Overages(t.Context(), w.pool) }
	for what, kind := range map[string]stand.FaultKind{
		"nothing wrong": stand.FaultNone, "500 not done": stand.FaultErrorUndone, "500 done": stand.FaultErrorDone, "dropped after": stand.FaultDropAfter,
	} {
		team := w.team(t)
		w.must(t, team, buyPro)
		w.used(t, team)
		w.faults.Store("/v1/invoiceitems", kind)
		op := w.begun(t, bill, 1)[0]
		w.begun(t, bill, 0)
		w.finish(t, w.desk(t, nil), team.ID, op)
		items := collect(t, w.client(t).InvoiceItems(t.Context(), stripeapi.InvoiceItemFilter{Customer: w.customer(t, team)}))
		if len(items) != 1 || items[0].AmountMinor != 50 || items[0].Subscription == "" || items[0].Meter != "calls" || items[0].Tenant != team.ID {
			t.Errorf("%s: %+v", what, items)
		}
		got := scan[string](t, w, `SELECT item_id || ' ' || units || ' ' || amount_minor || ' ' || (reported_at IS NOT NULL) FROM billing.overages WHERE tenant_id = $1`, team.ID)
		if want := items[0].ID + " 2 50 true"; got != want {
			t.Errorf("%s: kept %s, want %s", what, got, want)
		}
	}
}

func TestWhatWasUsedBeforeSubscribingIsNotBilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.used(t, team)
	w.exec(t, `UPDATE billing.usage_periods SET starts_at = now() - interval '3 days', ends_at = now() - interval '1 hour' WHERE tenant_id = $1`, team.ID)
	w.must(t, team, buyPro)
	w.begun(t, func(d *purchase.Desk) (int64, error) { return d.Overages(t.Context(), w.pool) }, 0)
}

func TestAnOverageAfterTheEndIsInvoicedByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	w.used(t, team)
	client := w.client(t)
	if _, err := client.CancelSubscription(t.Context(), "by-hand", w.main(t, team).ID, stripeapi.CancelInput{}); err != nil {
		t.Fatal(err)
	}
	w.begun(t, func(d *purchase.Desk) (int64, error) { return d.Overages(t.Context(), w.pool) }, 1)
	items := collect(t, client.InvoiceItems(t.Context(), stripeapi.InvoiceItemFilter{Customer: w.customer(t, team)}))
	if len(items) != 1 || items[0].Invoice == "" {
		t.Fatalf("%+v", items)
	}
	invoice, err := client.Invoice(t.Context(), items[0].Invoice)
	if err != nil || invoice.TotalMinor != 50 || invoice.Subscription != "" {
		t.Errorf("%+v, %v", invoice, err)
	}
}

func TestATestClockIsForATenantThatBoughtNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	at := time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)
	started, err := w.desk(t, nil).StartClock(t.Context(), team.ID, at)
	if err != nil || !started.Equal(at) {
		t.Fatalf("%v, %v", started, err)
	}
	if _, err := w.desk(t, nil).StartClock(t.Context(), team.ID, at); !fault.Is(err, fault.WrongStatus) {
		t.Errorf("a second clock: %v", err)
	}
	moved, err := w.desk(t, nil).AdvanceClock(t.Context(), team.ID, at.Add(time.Hour))
	if err != nil || !moved.Equal(at.Add(time.Hour)) {
		t.Errorf("%v, %v", moved, err)
	}
	if _, err := w.desk(t, nil).AdvanceClock(t.Context(), team.ID, at); !fault.Is(err, fault.InvalidInput) || !strings.Contains(err.Error(), "2027-01-31T11:00:00Z, where the clock stands") {
		t.Errorf("backwards: %v", err)
	}
	other := w.team(t)
	w.must(t, other, buyPro)
	if _, err := w.desk(t, nil).AdvanceClock(t.Context(), other.ID, at); !fault.Is(err, fault.WrongStatus) {
		t.Errorf("without a clock: %v", err)
	}
}
