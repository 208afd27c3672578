package purchase_test

import (
	"testing"
	"time"

	"github.com/nself/tenancy/internal/fault"
	stand "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
)

// clocked is a team whose customer lives by a test clock, and has the plan.
func (w *world) clocked(t *testing.T, plan string) pgtest.Team {
	t.Helper()
	team := w.team(t)
	if _, err := w.desk(t, nil).StartClock(t.Context(), team.ID, time.Now().Truncate(time.Second)); err != nil {
		t.Fatal(err)
	}
	w.must(t, team, purchase.Subscribe{Plan: plan, PaymentMethod: "pm_card_visa"})
	return team
}

// passes lets time go by for the team's account.
func (w *world) passes(t *testing.T, team pgtest.Team, howLong time.Duration) {
	t.Helper()
	to := scan[time.Time](t, w, `SELECT billing.clock($1)`, team.ID).Add(howLong)
	if _, err := w.desk(t, nil).AdvanceClock(t.Context(), team.ID, to); err != nil {
		t.Fatal(err)
	}
}

func TestADearerPlanComesAtOnceAndIsPaidForTheRestOfThePeriod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "starter")
	w.must(t, team, purchase.ChangePlan{Plan: "pro"})
	if plan := w.plan(t, team); plan != "pro" {
		t.Errorf("the plan is %s", plan)
	}
	w.pays(t, team, 2900, 9900-2900)
	contains(t, w.refused(t, team, purchase.ChangePlan{Plan: "pro"}, fault.InvalidInput), "which the tenant has")
	contains(t, w.refused(t, team, purchase.ChangePlan{Plan: "free"}, fault.InvalidInput), "cancel instead")
}

func TestADearerPlanThatIsNotPaidChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "starter")
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_chargeCustomerFail"})
	err := w.refused(t, team, purchase.ChangePlan{Plan: "pro"}, fault.PaymentFailed)
	if err.Details["declineCode"] == nil {
		t.Errorf("no decline code: %v", err)
	}
	w.pays(t, team, 2900)
	if plan, status := w.plan(t, team), w.main(t, team).Status; plan != "starter" || status != "active" {
		t.Errorf("%s, %s", plan, status)
	}
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_visa"})
	w.must(t, team, purchase.ChangePlan{Plan: "pro"})
}

func TestACheaperPlanHoldsFromTheNextPeriod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	if plan := w.plan(t, team); plan != "pro" {
		t.Errorf("what is paid for is lost: the plan is %s", plan)
	}
	contains(t, w.refused(t, team, purchase.ChangePlan{Plan: "starter"}, fault.InvalidInput), "is agreed already")
	w.pays(t, team, 9900)
	w.passes(t, team, 32*day)
	w.pays(t, team, 9900, 2900)
	if plan := w.plan(t, team); plan != "starter" {
		t.Errorf("in the next period the plan is %s", plan)
	}
}

func TestACheaperPlanThatIsTakenBackCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.must(t, team, purchase.ChangePlan{Plan: "pro"})
	w.pays(t, team, 9900)
	if s := w.main(t, team); s.KeepsPlan != "" || s.Items[0].AmountMinor != 9900 {
		t.Errorf("%+v", s)
	}
	w.passes(t, team, 32*day)
	w.pays(t, team, 9900, 9900)
}

func TestFromACheaperPlanToADearerOnePaysTheDifferenceToWhatWasPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.must(t, team, purchase.ChangePlan{Plan: "enterprise"})
	w.pays(t, team, 9900, 49900-9900)
	if s := w.main(t, team); s.KeepsPlan != "" || w.plan(t, team) != "enterprise" {
		t.Errorf("%s, %+v", w.plan(t, team), s)
	}
}

func TestADearerPlanThatIsNotPaidLeavesTheCheaperOneAgreed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_chargeCustomerFail"})
	w.refuses(t, team, purchase.ChangePlan{Plan: "enterprise"}, fault.PaymentFailed)
	s := w.main(t, team)
	if s.KeepsPlan != "pro" || s.Items[0].AmountMinor != 2900 || w.plan(t, team) != "pro" {
		t.Errorf("%s, %+v", w.plan(t, team), s)
	}
	w.pays(t, team, 9900)
}

func TestATrialGoesOnWithAPlanThatHasOneAsLongAsThatWouldHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET trial_days = CASE code WHEN 'pro' THEN 14 ELSE 7 END WHERE code IN ('pro', 'starter')`)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.ChangePlan{Plan: "starter"})
	s := w.main(t, team)
	if plan := w.plan(t, team); plan != "starter" || s.Status != "trialing" || !s.TrialEnd.Equal(s.CreatedAt.Add(7*day)) {
		t.Errorf("the plan is %s, %+v", plan, s)
	}
	w.pays(t, team)
	w.passes(t, team, 8*day)
	w.pays(t, team, 2900)
}

func TestWhatIsOfNoTrialEndsItAndIsPaidAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET trial_days = 14 WHERE code = 'pro'`)
	team, other, poor := w.team(t), w.team(t), w.team(t)
	w.must(t, team, buyPro)
	w.must(t, team, purchase.ChangePlan{Plan: "enterprise"})
	w.pays(t, team, 49900)
	w.must(t, other, buyPro)
	w.must(t, other, purchase.SetAddon{Addon: "extra-storage", Quantity: 2})
	w.pays(t, other, 9900+2*500)
	w.must(t, poor, purchase.Subscribe{Plan: "pro"})
	for _, in := range []purchase.Input{purchase.ChangePlan{Plan: "enterprise"}, purchase.SetAddon{Addon: "extra-storage", Quantity: 1000}} {
		if _, err := w.do(t, poor, in); err == nil {
			t.Errorf("%T without a card is had", in)
		}
	}
	if s := w.main(t, poor); s.Status != "trialing" || w.plan(t, poor) != "pro" || len(s.Items) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAnotherCurrencyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `INSERT INTO billing.plans (code, name, price_minor, currency) VALUES ('yen', 'Yen', 50000, 'jpy')`)
	w.exec(t, `INSERT INTO billing.addons (code, name, price_minor, currency) VALUES ('yens', 'Yens', 500, 'jpy')`)
	if _, err := w.desk(t, nil).Setup(t.Context(), purchase.SetupInput{}); err != nil {
		t.Fatal(err)
	}
	team := w.team(t)
	w.must(t, team, buyPro)
	contains(t, w.refused(t, team, purchase.ChangePlan{Plan: "yen"}, fault.InvalidInput), "sold in jpy")
	contains(t, w.refused(t, team, purchase.SetAddon{Addon: "yens", Quantity: 1}, fault.InvalidInput), "sold in jpy")
	other := w.team(t)
	w.must(t, other, purchase.Subscribe{Plan: "yen", PaymentMethod: "pm_card_visa"})
	w.pays(t, other, 50000)
}

func TestADearerPlanIsPaidOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for what, kind := range map[string]stand.FaultKind{"500 not done": stand.FaultErrorUndone, "500 done": stand.FaultErrorDone, "dropped after": stand.FaultDropAfter} {
		t.Run(what, func(t *testing.T) {
			team := w.team(t)
			w.must(t, team, purchase.Subscribe{Plan: "starter", PaymentMethod: "pm_card_visa"})
			d := w.desk(t, nil)
			op, err := w.begin(t, d, team, purchase.ChangePlan{Plan: "pro"})
			if err != nil {
				t.Fatal(err)
			}
			w.faults.Store("nself:"+op.String()+":update:0", kind)
			w.finish(t, d, team.ID, op)
			if paid := w.paid(t, team); len(paid) != 2 || w.state(t, op) != "done" || w.plan(t, team) != "pro" {
				t.Errorf("charged %v, the operation is %s, the plan %s", paid, w.state(t, op), w.plan(t, team))
			}
		})
	}
}

func TestAddonsAreHadPaidAndTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	const limitSQL = `SELECT "limit" FROM billing.entitlement($1, 'storage')`
	before := scan[int64](t, w, limitSQL, team.ID)
	w.must(t, team, purchase.SetAddon{Addon: "extra-storage", Quantity: 2})
	if now := scan[int64](t, w, limitSQL, team.ID); now != before+2*1000 {
		t.Errorf("the limit is %d", now)
	}
	w.pays(t, team, 9900, 1000)
	w.must(t, team, purchase.SetAddon{Addon: "extra-storage", Quantity: 3})
	w.pays(t, team, 9900, 1000, 500)
	contains(t, w.refused(t, team, purchase.SetAddon{Addon: "extra-storage", Quantity: 3}, fault.InvalidInput), "so many")
	w.must(t, team, purchase.SetAddon{Addon: "extra-storage"})
	if now := scan[int64](t, w, limitSQL, team.ID); now != before {
		t.Errorf("without the add-on the limit is %d", now)
	}
	w.passes(t, team, 32*day)
	w.pays(t, team, 9900, 1000, 500, 9900-1500) // the rest of the period is credited
	w.refuses(t, team, purchase.SetAddon{Addon: "nothing", Quantity: 1}, fault.NotFound)
	w.refuses(t, team, purchase.SetAddon{Addon: "extra-storage", Quantity: -1}, fault.InvalidInput)
}

func TestASubscriptionIsCanceledWithItsPeriodAndResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.refuses(t, team, purchase.Resume{}, fault.WrongStatus)
	if result := w.must(t, team, purchase.Cancel{AtPeriodEnd: true}); !result.Subscription.CancelAtPeriodEnd || result.Subscription.Status != "active" {
		t.Errorf("%+v", result.Subscription)
	}
	w.refuses(t, team, purchase.Cancel{AtPeriodEnd: true}, fault.WrongStatus)
	if result := w.must(t, team, purchase.Resume{}); result.Subscription.CancelAtPeriodEnd {
		t.Errorf("%+v", result.Subscription)
	}
	w.must(t, team, purchase.Cancel{AtPeriodEnd: true})
	w.passes(t, team, 32*day)
	if plan := w.plan(t, team); plan != "free" {
		t.Errorf("after the end the plan is %s", plan)
	}
	w.pays(t, team, 9900)
	w.refuses(t, team, purchase.Resume{}, fault.WrongStatus)
	w.refuses(t, team, purchase.Cancel{}, fault.WrongStatus)
	w.refuses(t, team, purchase.ChangePlan{Plan: "starter"}, fault.WrongStatus)
	w.must(t, team, buyPro)
	w.pays(t, team, 9900, 9900)
}

func TestCancelingNowCreditsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.passes(t, team, 5*day)
	result := w.must(t, team, purchase.Cancel{})
	if result.Subscription.Status != "canceled" || w.plan(t, team) != "free" {
		t.Errorf("%s, %+v", w.plan(t, team), result.Subscription)
	}
	if balance := scan[int64](t, w, `SELECT balance_minor FROM billing.customers WHERE tenant_id = $1`, team.ID); balance >= 0 {
		t.Errorf("the balance is %d", balance)
	}
	w.pays(t, team, 9900)
}

func TestWhatIsOwedIsPaidByTheNewCardAndOnlyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.clocked(t, "pro")
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_chargeCustomerFail"})
	w.passes(t, team, 32*day)
	if s := w.main(t, team); s.Status != "past_due" {
		t.Fatalf("%+v", s)
	}
	w.refuses(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_chargeCustomerFail"}, fault.PaymentFailed)
	d := w.desk(t, nil)
	op, err := w.begin(t, d, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_visa"})
	if err != nil {
		t.Fatal(err)
	}
	s := w.main(t, team)
	w.faults.Store("nself:"+op.String()+":pay-"+s.LatestInvoice+":0", stand.FaultErrorDone)
	if result, err := d.Run(t.Context(), team.ID, op); err != nil || result.Subscription.Status != "active" {
		t.Fatalf("%+v, %v", result.Subscription, err)
	}
	w.pays(t, team, 9900, 9900)
	if state := scan[string](t, w, `SELECT state FROM billing.accounts WHERE tenant_id = $1`, team.ID); state != "active" {
		t.Errorf("the account is %s", state)
	}
	client := w.client(t)
	if open := collect(t, client.Invoices(t.Context(), stripeapi.InvoiceFilter{Customer: w.customer(t, team), Status: "open"})); len(open) != 0 {
		t.Errorf("%d invoices are open", len(open))
	}
}
