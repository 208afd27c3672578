package purchase_test

import (
	"net/http"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/stripeapi"
)

// joins adds so many people to a team.
func (w *world) joins(t *testing.T, team pgtest.Team, people int) {
	t.Helper()
	for range people {
		_, err := member.Add(t.Context(), w.pool, session.Session{Role: session.Operator, Tenant: team.ID}, pgtest.User(t, w.pool), member.Plain)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) seats(t *testing.T) func(d *purchase.Desk) (int64, error) {
	return func(d *purchase.Desk) (int64, error) { return d.Seats(t.Context(), w.pool) }
}

func TestWhatWasPaidIsPutBackExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET per_seat = true WHERE code IN ('pro', 'enterprise')`)
	team := w.clocked(t, "pro")
	first := w.main(t, team).Items[0].Price
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.exec(t, `UPDATE billing.plans SET price_minor = 12900 WHERE code = 'pro'`)
	if _, err := w.desk(t, nil).Setup(t.Context(), purchase.SetupInput{}); err != nil {
		t.Fatal(err)
	}
	w.joins(t, team, 6)
	w.must(t, team, purchase.ChangePlan{Plan: "pro"})
	if s := w.main(t, team); s.Items[0].Price != first || s.Items[0].Quantity != 4 || s.KeepsPlan != "" {
		t.Errorf("%+v", s)
	}
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.must(t, team, purchase.ChangePlan{Plan: "enterprise"})
	w.pays(t, team, 4*9900, 10*49900-4*9900)
}

func TestSeatsWhileACheaperPlanIsAgreedCostWhatTheyDoAtThePriceThatHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET per_seat = true`)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.joins(t, team, 2)
	w.begun(t, w.seats(t), 1)
	s := w.main(t, team)
	items := collect(t, w.client(t).InvoiceItems(t.Context(), stripeapi.InvoiceItemFilter{Customer: s.Customer}))
	if len(items) != 1 || items[0].AmountMinor < 2*9900*99/100 || items[0].AmountMinor > 2*9900 || s.KeepsQuantity != 6 || s.Items[0].Quantity != 6 {
		t.Errorf("%+v, %+v", items, s)
	}
	w.passes(t, team, 32*day)
	if paid := w.paid(t, team); len(paid) != 2 || paid[1] != 6*2900+items[0].AmountMinor {
		t.Errorf("charged %v", paid)
	}
}

func TestACancellationAfterACheaperPlanIsAgreedCreditsWhatWasPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "enterprise")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.passes(t, team, day)
	w.must(t, team, purchase.Cancel{})
	if credit := -scan[int64](t, w, `SELECT balance_minor FROM billing.customers WHERE tenant_id = $1`, team.ID); credit < 49900*9/10 || credit > 49900 {
		t.Errorf("%d was credited", credit)
	}
}

func TestAChangeThatFailsForAgeLeavesTheCheaperPlanAgreed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, in := range []purchase.Input{purchase.ChangePlan{Plan: "enterprise"}, purchase.Cancel{}} {
		team := w.clocked(t, "pro")
		w.must(t, team, purchase.ChangePlan{Plan: "starter"})
		op, err := w.begin(t, w.desk(t, nil), team, in)
		if err != nil {
			t.Fatal(err)
		}
		way := &trouble{at: "nself:" + op.String() + ":update:0", what: crashBefore}
		if _, cancels := in.(purchase.Cancel); cancels {
			way = &trouble{lose: http.MethodDelete}
		}
		crash(func() { _ = w.desk(t, way).Finish(t.Context(), team.ID, op) })
		if s := w.main(t, team); s.KeepsPlan != "" || s.Items[0].AmountMinor != 9900 {
			t.Fatalf("%T put nothing back: %+v", in, s)
		}
		w.free(t, op)
		w.ages(t, op, "21 hours")
		w.finish(t, w.desk(t, nil), team.ID, op)
		if s := w.main(t, team); w.state(t, op) != "failed unavailable" || s.KeepsPlan != "pro" || s.KeepsPrice == "" || s.Items[0].AmountMinor != 2900 {
			t.Errorf("%T: %s, %+v", in, w.state(t, op), s)
		}
	}
}

func TestAChangeThatWasMadeAndNotNotedIsFoundThoughItIsOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	op, err := w.begin(t, w.desk(t, nil), team, purchase.ChangePlan{Plan: "enterprise"})
	if err != nil {
		t.Fatal(err)
	}
	crash(func() {
		_ = w.desk(t, &trouble{at: "nself:" + op.String() + ":update:0", what: crashAfter}).Finish(t.Context(), team.ID, op)
	})
	w.free(t, op)
	w.ages(t, op, "21 hours")
	w.finish(t, w.desk(t, nil), team.ID, op)
	if w.state(t, op) != "done" || w.plan(t, team) != "enterprise" {
		t.Errorf("%s, the plan is %s", w.state(t, op), w.plan(t, team))
	}
	w.pays(t, team, 9900, 49900-9900)
}

// crash runs what may end its goroutine.
func crash(run func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	<-done
}

func TestSeatsBeginNothingWhereOnlyTheRowIsBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET per_seat = true WHERE code = 'pro'`)
	team, gone := w.team(t), w.team(t)
	w.must(t, team, buyPro)
	w.must(t, gone, buyPro)
	w.exec(t, `UPDATE billing.subscriptions SET quantity = 1`) // an event that was missed
	if _, err := w.client(t).CancelSubscription(t.Context(), "by-hand", w.main(t, gone).ID, stripeapi.CancelInput{}); err != nil {
		t.Fatal(err)
	}
	w.begun(t, w.seats(t), 0)
	got := scan[string](t, w, `SELECT string_agg(status || ' ' || quantity, ', ' ORDER BY status) FROM billing.subscriptions`)
	if got != "active 4, canceled 4" {
		t.Errorf("the rows say %s", got)
	}
}

func TestSeatsThatCouldNotBeSetAreTriedAgainAfterAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET per_seat = true WHERE code = 'pro'`)
	team := w.team(t)
	w.must(t, team, buyPro)
	w.joins(t, team, 1)
	w.exec(t, `INSERT INTO billing.operations (tenant_id, kind, actor, state, failure, ended_at)
		VALUES ($1, 'set_seats', '{"role":"server"}', 'failed', '{"code":"invalid-input","message":"no"}', now() - interval '50 minutes')`, team.ID)
	w.begun(t, w.seats(t), 0)
	w.exec(t, `UPDATE billing.operations SET ended_at = ended_at - interval '11 minutes' WHERE state = 'failed'`)
	w.begun(t, w.seats(t), 1)
	if n := scan[int64](t, w, `SELECT count(*) FROM audit.log WHERE action = 'billing_set_seats'`); n != 1 {
		t.Errorf("%d rows in the audit log", n)
	}
}

func TestWhileSomethingIsOwedNothingElseIsBought(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.SetAddon{Addon: "extra-storage", Quantity: 2})
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_chargeCustomerFail"})
	w.passes(t, team, 32*day)
	for _, in := range []purchase.Input{purchase.ChangePlan{Plan: "starter"}, purchase.ChangePlan{Plan: "enterprise"},
		purchase.SetAddon{Addon: "extra-storage", Quantity: 3}, purchase.SetAddon{Addon: "extra-storage"}} {
		contains(t, w.refused(t, team, in, fault.WrongStatus), "pay what is open first")
	}
}

// Stripe calls a subscription active whose latest invoice is paid, an older one open or not.
func TestWhileAnOlderInvoiceIsOwedNothingElseIsBought(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.exec(t, `INSERT INTO billing.invoices (tenant_id, stripe_id, subscription_id, status, currency, subtotal_minor, total_minor, due_minor, paid_minor,
			remaining_minor, attempts, period_start, period_end, finalized_at, livemode, created_at)
		SELECT tenant_id, 'in_older', subscription_id, 'open', currency, 2900, 2900, 2900, 0, 2900, 1, period_start, period_end, finalized_at, livemode, created_at
		FROM billing.invoices`)
	w.exec(t, `UPDATE billing.accounts SET state = 'past_due'`) // as whoever settles it next has it, too
	for _, in := range []purchase.Input{purchase.ChangePlan{Plan: "enterprise"}, purchase.SetAddon{Addon: "extra-storage", Quantity: 3}} {
		contains(t, w.refused(t, team, in, fault.WrongStatus), "an invoice is owed")
	}
}
