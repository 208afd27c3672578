package purchase_test

import (
	"net/http"
	"testing"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
)

func TestACheckoutIsToldAgainAndItsAddressIsKeptNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	first := w.must(t, team, purchase.Checkout{Plan: "pro", SuccessURL: "https://shop.example.com/?paid={CHECKOUT_SESSION_ID}"})
	if first.URL == "" || first.ExpiresAt.IsZero() {
		t.Fatalf("%+v", first)
	}
	again, err := w.desk(t, nil).Run(t.Context(), team.ID, first.Operation)
	if err != nil || again.URL != first.URL {
		t.Errorf("%+v, %v", again, err)
	}
	if n := scan[int](t, w, `SELECT count(*) FROM billing.operations o WHERE position($1 in o::text) > 0`, first.URL); n != 0 {
		t.Error("the operation keeps the address")
	}
	second := w.must(t, team, purchase.Checkout{Plan: "starter"})
	open := collect(t, w.client(t).CheckoutSessions(t.Context(), stripeapi.CheckoutFilter{Customer: w.customer(t, team), Status: "open"}))
	if len(open) != 1 || open[0].URL != second.URL {
		t.Errorf("two can be paid: %+v", open)
	}
	w.must(t, team, buyPro)
	if open := collect(t, w.client(t).CheckoutSessions(t.Context(), stripeapi.CheckoutFilter{Customer: w.customer(t, team), Status: "open"})); len(open) != 0 {
		t.Errorf("after subscribing a checkout is open: %+v", open)
	}
	w.pays(t, team, 9900)
}

func TestASubscriptionThatWasNotHeardOfIsNoReasonForASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, purchase.Checkout{Plan: "pro"})
	client, customer := w.client(t), w.customer(t, team)
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_visa"})
	price := scan[string](t, w, `SELECT price_id FROM billing.prices WHERE plan = 'starter' AND active`)
	_, err := client.CreateSubscription(t.Context(), "by-hand", stripeapi.SubscriptionInput{Customer: customer, Items: []stripeapi.SubscriptionItem{{Price: price, Quantity: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	w.refuses(t, team, buyPro, fault.AlreadySubscribed)
	w.pays(t, team, 2900)
	if main, err := billing.MainOf(t.Context(), w.pool, team.ID); err != nil || *main.Plan != "starter" {
		t.Errorf("it is not brought in: %+v, %v", main, err)
	}
}

func TestBrowsersAreSentBackToThisInstallationAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	for _, address := range []string{
		"https://evil.org/", "https://example.com.evil.org/", "https://evil.org/?example.com", "https://example.com@evil.org/", "https:/example.com",
		"http://shop.example.com/", "javascript://example.com/%0aalert(1)", "https://example.com\\@evil.org", "//example.com/", "https://evilexample.com", "https://a b.example.com/",
	} {
		w.refuses(t, team, purchase.Checkout{Plan: "pro", SuccessURL: address}, fault.InvalidInput)
		w.refuses(t, team, purchase.Checkout{Plan: "pro", CancelURL: address}, fault.InvalidInput)
		w.refuses(t, team, purchase.Portal{ReturnURL: address}, fault.InvalidInput)
	}
	for _, address := range []string{"https://example.com", "https://shop.example.com:8443/paid?x=1#y", ""} {
		w.must(t, team, purchase.Checkout{Plan: "pro", SuccessURL: address, CancelURL: address})
	}
}

func TestThePortalIsOpenedForACustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	first := w.must(t, team, purchase.Portal{})
	again, err := w.desk(t, nil).Run(t.Context(), team.ID, first.Operation)
	if err != nil || first.URL == "" || again.URL != first.URL {
		t.Errorf("%+v, %+v, %v", first, again, err)
	}
	if n := scan[int](t, w, `SELECT count(*) FROM billing.operations o WHERE position($1 in o::text) > 0`, first.URL); n != 0 {
		t.Error("the operation keeps the address")
	}
}

func TestACustomerDeletedAtStripeIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	team := w.team(t)
	w.must(t, team, buyPro)
	former := w.customer(t, team)
	w.deleteCustomer(t, former)
	w.must(t, team, purchase.SetPaymentMethod{PaymentMethod: "pm_card_visa"})
	if now := w.customer(t, team); now == former {
		t.Fatal("the customer is still the deleted one")
	}
	w.must(t, team, purchase.Subscribe{Plan: "starter"})
	w.pays(t, team, 2900)
}

// deleteCustomer is what a person in Stripe's dashboard can do, and this program never does.
func (w *world) deleteCustomer(t testing.TB, customer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://stripe.test/v1/customers/"+customer, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk_test_purchase")
	answer, err := w.stripe.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("delete %s: %s", customer, answer.Status)
	}
}
