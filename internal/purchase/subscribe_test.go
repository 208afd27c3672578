package purchase_test

import (
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/purchase"
)

var buyPro = purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_visa"}

func TestSubscribeChargesOnceAndGivesThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	result := w.must(t, team, buyPro)
	if result.State != "done" || result.Subscription == nil || result.Subscription.Status != "active" || *result.Subscription.Plan != "pro" {
		t.Fatalf("%+v", result)
	}
	w.pays(t, team, 9900)
	if plan := w.plan(t, team); plan != "pro" {
		t.Errorf("the plan is %s", plan)
	}
	row := scan[string](t, w, `SELECT email || ' ' || (default_payment_method IS NOT NULL) FROM billing.customers WHERE tenant_id = $1`, team.ID)
	if email := scan[string](t, w, `SELECT email FROM auth.users WHERE id = $1`, team.Owner); row != email+" true" {
		t.Errorf("the customer is %s, want %s", row, email)
	}
	if n := scan[int](t, w, `SELECT count(*) FROM audit.log WHERE tenant_id = $1 AND action = 'billing_subscribe' AND actor_user_id = $2`, team.ID, team.Owner); n != 1 {
		t.Errorf("%d rows in the audit log", n)
	}
	w.refuses(t, team, buyPro, fault.AlreadySubscribed)
	w.refuses(t, team, purchase.Checkout{Plan: "starter"}, fault.AlreadySubscribed)
}

func TestSubscribeRefusesWhatCannotBeBought(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.exec(t, `INSERT INTO billing.plans (code, name, price_minor) VALUES ('unpriced', 'Unpriced', 100)`)
	contains(t, w.refused(t, team, purchase.Subscribe{Plan: "free", PaymentMethod: "pm_card_visa"}, fault.InvalidInput), "cancel instead")
	contains(t, w.refused(t, team, purchase.Subscribe{Plan: "unpriced", PaymentMethod: "pm_card_visa"}, fault.InvalidInput), "nself billing setup")
	contains(t, w.refused(t, team, purchase.Subscribe{Plan: "pro"}, fault.InvalidInput), "paymentMethod is needed")
	contains(t, w.refused(t, team, purchase.Subscribe{Plan: "Pro!", PaymentMethod: "../customers"}, fault.InvalidInput), "paymentMethod is")
	w.refuses(t, team, purchase.Subscribe{Plan: "nothing", PaymentMethod: "pm_card_visa"}, fault.NotFound)
	for _, in := range []purchase.Input{
		purchase.ChangePlan{Plan: "pro"}, purchase.SetAddon{Addon: "extra-storage", Quantity: 1}, purchase.Cancel{}, purchase.Resume{}, purchase.Portal{},
	} {
		w.refuses(t, team, in, fault.NoSubscription)
	}
}

func TestAPaymentMethodOfAnotherIsLikeNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	victim, thief := w.team(t), w.team(t)
	w.must(t, victim, buyPro)
	theirs := scan[string](t, w, `SELECT default_payment_method FROM billing.customers WHERE tenant_id = $1`, victim.ID)
	made := func(method string) string { return "there is no payment method \"" + method + "\" here" }
	for _, method := range []string{theirs, "pm_1NobodyHasThis"} {
		contains(t, w.refused(t, thief, purchase.Subscribe{Plan: "pro", PaymentMethod: method}, fault.NotFound), made(method))
		contains(t, w.refused(t, thief, purchase.SetPaymentMethod{PaymentMethod: method}, fault.NotFound), made(method))
	}
	if n := scan[int](t, w, `SELECT count(*) FROM billing.customers WHERE tenant_id = $1`, thief.ID); n != 0 {
		t.Error("a customer was made for the thief")
	}
	w.must(t, thief, buyPro) // and as a customer
	for _, method := range []string{theirs, "pm_1NobodyHasThis"} {
		contains(t, w.refused(t, thief, purchase.SetPaymentMethod{PaymentMethod: method}, fault.NotFound), made(method))
	}
	w.pays(t, victim, 9900)
	w.pays(t, thief, 9900)
}

func TestADeclinedFirstPaymentLeavesAnIncompleteSubscription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	result := w.must(t, team, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_chargeCustomerFail"})
	if result.Subscription == nil || result.Subscription.Status != "incomplete" || result.HostedURL == "" {
		t.Fatalf("%+v", result)
	}
	if plan := w.plan(t, team); plan != "free" {
		t.Errorf("the plan is %s", plan)
	}
	w.pays(t, team)
	w.must(t, team, buyPro)
	w.pays(t, team, 9900)
	if n := scan[int](t, w, `SELECT count(*) FROM billing.subscriptions WHERE tenant_id = $1 AND status = 'incomplete'`, team.ID); n != 0 {
		t.Error("the incomplete subscription is still there, and could be paid")
	}
}

func TestAPaymentToBeConfirmedTellsItsSecretAndKeepsItNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	result := w.must(t, team, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_authenticationRequired"})
	if result.ClientSecret == "" || result.HostedURL == "" {
		t.Fatalf("%+v", result)
	}
	if n := scan[int](t, w, `SELECT count(*) FROM billing.operations o WHERE position($1 in o::text) > 0`, result.ClientSecret); n != 0 {
		t.Error("the operation keeps the secret")
	}
}

func TestACardThatCannotBeKeptIsAPaymentFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	err := w.refused(t, team, purchase.Subscribe{Plan: "pro", PaymentMethod: "pm_card_chargeDeclined"}, fault.PaymentFailed)
	if code := err.Details["declineCode"]; code == nil || code == "" {
		t.Errorf("no decline code: %v", err)
	}
	w.pays(t, team)
}

func TestOnlyTheFirstSubscriptionHasATrial(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `UPDATE billing.plans SET trial_days = 14, per_seat = true WHERE code = 'pro'`)
	team := w.team(t)
	result := w.must(t, team, purchase.Subscribe{Plan: "pro"})
	if result.Subscription.Status != "trialing" || result.Subscription.Quantity != 4 {
		t.Fatalf("%+v", result.Subscription)
	}
	w.must(t, team, purchase.Cancel{})
	contains(t, w.refused(t, team, purchase.Subscribe{Plan: "pro"}, fault.InvalidInput), "paymentMethod is needed")
	if result = w.must(t, team, buyPro); result.Subscription.Status != "active" {
		t.Errorf("%+v", result.Subscription)
	}
	w.pays(t, team, 4*9900)
}

func TestOneChangeAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	d := w.desk(t, nil)
	first, err := w.begin(t, d, team, buyPro)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.begin(t, d, team, purchase.Subscribe{Plan: "starter", PaymentMethod: "pm_card_visa"})
	if !fault.Is(err, fault.OperationInProgress) {
		t.Fatalf("a second: %v", err)
	}
	if said := fault.From(err).Details; said["kind"] != "subscribe" || said["operationId"] != first {
		t.Errorf("details %v", said)
	}
	if _, err := d.Run(t.Context(), pgtest.NewTeam(t, w.pool).ID, first); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant's operation: %v", err)
	}
	if err := d.Finish(t.Context(), team.ID, first); err != nil {
		t.Fatal(err)
	}
	w.pays(t, team, 9900)
}
