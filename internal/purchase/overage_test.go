package purchase_test

import (
	"testing"

	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
)

func (w *world) overages(t *testing.T) func(d *purchase.Desk) (int64, error) {
	return func(d *purchase.Desk) (int64, error) { return d.Overages(t.Context(), w.pool) }
}

func TestWhatWasUsedBeforeTheEndIsBilledByWhatHeldThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	w.used(t, team)
	w.must(t, team, purchase.Cancel{})
	w.begun(t, w.overages(t), 1)
	if got := scan[int64](t, w, `SELECT amount_minor FROM billing.overages WHERE tenant_id = $1`, team.ID); got != 50 {
		t.Errorf("an overage of %d", got)
	}
}

func TestAnOverageThatWasNotReportedIsTakenUpAgainOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, there := range []bool{false, true} {
		team := w.team(t)
		w.must(t, team, buyPro)
		w.used(t, team)
		crashed := &trouble{}
		crash(func() {
			d := w.desk(t, crashed)
			crashed.path, crashed.what = "/v1/invoiceitems", crashBefore
			if there {
				crashed.what = crashAfter
			}
			_, _ = d.Overages(t.Context(), w.pool)
		})
		w.exec(t, `UPDATE billing.operations SET state = 'failed', failure = '{"code":"unavailable","message":"old"}', ended_at = now(), lease = NULL,
			leased_until = NULL, created_at = now() - interval '25 hours' WHERE kind = 'report_overage'`)
		w.begun(t, w.overages(t), 0)
		w.exec(t, `UPDATE billing.overages SET created_at = now() - interval '25 hours' WHERE tenant_id = $1`, team.ID)
		w.begun(t, w.overages(t), 1)
		w.begun(t, w.overages(t), 0)
		items := collect(t, w.client(t).InvoiceItems(t.Context(), stripeapi.InvoiceItemFilter{Customer: w.customer(t, team)}))
		if len(items) != 1 || scan[string](t, w, `SELECT item_id FROM billing.overages WHERE tenant_id = $1`, team.ID) != items[0].ID {
			t.Errorf("already at Stripe %v: %+v", there, items)
		}
	}
}

func TestAnOverageOfASubscriptionThatEndsMeanwhileIsInvoicedByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	w.used(t, team)
	lost := &trouble{lose: "POST"}
	op := w.begunBy(t, w.desk(t, lost), w.overages(t), 1)[0]
	if w.state(t, op) != "open" {
		t.Fatal(w.state(t, op))
	}
	client := w.client(t)
	if _, err := client.CancelSubscription(t.Context(), "by-hand", w.main(t, team).ID, stripeapi.CancelInput{}); err != nil {
		t.Fatal(err)
	}
	w.finish(t, w.desk(t, nil), team.ID, op)
	items := collect(t, client.InvoiceItems(t.Context(), stripeapi.InvoiceItemFilter{Customer: w.customer(t, team)}))
	if w.state(t, op) != "done" || len(items) != 1 || items[0].Invoice == "" || items[0].Subscription != "" {
		t.Errorf("%s: %+v", w.state(t, op), items)
	}
}

func TestWhoeverNoLongerBuysIsBilledNothingMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	former, never := w.team(t), w.team(t)
	w.must(t, former, buyPro)
	w.must(t, former, purchase.Cancel{})
	w.exec(t, `UPDATE billing.subscriptions SET created_at = now() - interval '400 days', ended_at = now() - interval '300 days'`)
	for _, one := range []string{former.ID.String(), never.ID.String()} {
		w.exec(t, `SELECT billing.period($1, now())`, one)
	}
	w.exec(t, `UPDATE billing.usage_periods SET starts_at = now() - interval '40 days', ends_at = now() - interval '9 days', closed_at = now()`)
	w.begun(t, w.overages(t), 0)
	if n := scan[int64](t, w, `SELECT count(*) FROM billing.usage_periods WHERE billed_at IS NULL`); n != 0 {
		t.Errorf("%d periods are looked at for ever", n)
	}
}
