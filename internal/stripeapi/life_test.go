package stripeapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/billing"
	standin "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/stripeapi"
)

func TestACustomersFactsComeBackAsTheyWereMade(t *testing.T) {
	w := newWorld(t)
	made, clock := w.customer("pm_card_visa")
	found := must(w.Customer(t.Context(), made.ID))(t)
	listed := found
	listed.ClockAt = time.Time{}
	same(t, listed)(made, nil)
	if found.Tenant != tenant(t) || found.Operation != operation(t) || found.ClockID != clock.ID || !found.ClockAt.Equal(w.startAt) || found.DefaultPaymentMethod == "" {
		t.Errorf("%+v", found)
	}
	method := must(w.PaymentMethod(t.Context(), found.DefaultPaymentMethod))(t)
	if method.Customer != made.ID || method.Brand != "visa" || method.Last4 != "4242" || method.Kind != "card" || method.ExpYear == 0 {
		t.Errorf("%+v", method)
	}
	if diff := cmp.Diff([]billing.Customer{listed}, all(t, w.Customers(t.Context(), stripeapi.CustomerFilter{Clock: clock.ID})), ids); diff != "" {
		t.Error(diff)
	}
	if others := all(t, w.Customers(t.Context(), stripeapi.CustomerFilter{})); len(others) != 0 {
		t.Errorf("%+v is listed without the clock", others)
	}
}

func TestADeletedCustomerIsToldAsThat(t *testing.T) {
	w := newWorld(t)
	made, _ := w.customer("pm_card_visa")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "https://api.stripe.com/v1/customers/"+made.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer sk_test_1")
	deleted, err := w.server.Transport().RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = deleted.Body.Close()
	same(t, billing.Customer{ID: made.ID, Deleted: true})(w.Customer(t.Context(), made.ID))
}

func TestAMonthIsPaidAndARenewalFails(t *testing.T) {
	w := newWorld(t)
	customer, clock := w.customer("pm_card_visa")
	sub := w.subscribe(customer.ID, 0)
	if sub.Status != "active" || sub.Customer != customer.ID || sub.Operation != operation(t) || len(sub.Items) != 1 || sub.Items[0].AmountMinor != 4900 || sub.Items[0].Quantity != 2 {
		t.Fatalf("%+v", sub)
	}
	in := must(w.Invoice(t.Context(), sub.LatestInvoice))(t)
	if in.Status != "paid" || in.PaidMinor != 9800 || in.Subscription != sub.ID || in.Reason != "subscription_create" || in.PaidAt.IsZero() || in.Charge == "" || in.Number == "" {
		t.Errorf("%+v", in)
	}
	charge := must(w.Charge(t.Context(), in.Charge))(t)
	if charge.Status != "succeeded" || charge.AmountMinor != 9800 || charge.Invoice != in.ID || charge.Last4 != "4242" {
		t.Errorf("%+v", charge)
	}
	bad := must(w.AttachPaymentMethod(t.Context(), w.key(), "pm_card_chargeCustomerFail", customer.ID))(t)
	must(w.UpdateCustomer(t.Context(), w.key(), customer.ID, stripeapi.CustomerChange{DefaultPaymentMethod: bad.ID}))(t)
	w.advance(clock.ID, sub.CurrentPeriodEnd.Add(2*time.Hour))
	late := must(w.Subscription(t.Context(), sub.ID))(t)
	open := must(w.Invoice(t.Context(), late.LatestInvoice))(t)
	if late.Status != "past_due" || open.Status != "open" || open.Attempts != 1 || open.NextAttemptAt.IsZero() || open.RemainingMinor != 9800 {
		t.Errorf("%+v\n%+v", late, open)
	}
	if _, err := w.PayInvoice(t.Context(), w.key(), open.ID, ""); !stripeapi.Is(err, stripeapi.Declined) {
		t.Errorf("error: %v", err)
	}
	good := must(w.AttachPaymentMethod(t.Context(), w.key(), "pm_card_mastercard", customer.ID))(t)
	if paid := must(w.PayInvoice(t.Context(), w.key(), open.ID, good.ID))(t); paid.Status != "paid" {
		t.Errorf("%+v", paid)
	}
	if again := must(w.Subscription(t.Context(), sub.ID))(t); again.Status != "active" {
		t.Errorf("%+v", again)
	}
	statuses := map[string]int{}
	for _, charge := range all(t, w.Charges(t.Context(), stripeapi.ChargeFilter{Customer: customer.ID, Since: w.startAt})) {
		statuses[charge.Status]++
	}
	if diff := cmp.Diff(map[string]int{"succeeded": 2, "failed": 2}, statuses); diff != "" {
		t.Error(diff)
	}
	if listed := all(t, w.Invoices(t.Context(), stripeapi.InvoiceFilter{Customer: customer.ID, Subscription: sub.ID, Status: "paid"})); len(listed) != 2 {
		t.Errorf("%+v is listed", listed)
	}
}

func TestAPlanIsChangedKeptAndForgotten(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.customer("pm_card_visa")
	sub := w.subscribe(customer.ID, 0)
	dearer := stripeapi.SubscriptionChange{Items: []stripeapi.ItemChange{{ID: sub.Items[0].ID, Price: w.dear, Quantity: 2}}, Proration: stripeapi.ProrateAtOnce, Payment: stripeapi.PayOrFail}
	sub = must(w.UpdateSubscription(t.Context(), w.key(), sub.ID, dearer))(t)
	in := must(w.Invoice(t.Context(), sub.LatestInvoice))(t)
	if sub.Items[0].Price != w.dear || in.PaidMinor != 10000 || in.Reason != "subscription_update" {
		t.Errorf("%+v\n%+v", sub, in)
	}
	kept := stripeapi.Kept{Plan: "max", Until: sub.CurrentPeriodEnd, Price: w.dear, Quantity: 1}
	sub = must(w.UpdateSubscription(t.Context(), w.key(), sub.ID, stripeapi.SubscriptionChange{
		Items: []stripeapi.ItemChange{{ID: sub.Items[0].ID, Price: w.cheap, Quantity: 2}}, Proration: stripeapi.ProrateNot, Kept: &kept,
	}))(t)
	if sub.Items[0].Price != w.cheap || sub.Items[0].Quantity != 2 || sub.KeepsPlan != "max" || !sub.KeepsUntil.Equal(kept.Until) || sub.KeepsPrice != w.dear || sub.KeepsQuantity != 1 || sub.Operation != operation(t) || sub.LatestInvoice != in.ID {
		t.Errorf("%+v", sub)
	}
	sub = must(w.UpdateSubscription(t.Context(), w.key(), sub.ID, stripeapi.SubscriptionChange{Kept: &stripeapi.Kept{}}))(t)
	if sub.KeepsPlan != "" || !sub.KeepsUntil.IsZero() || sub.Operation != operation(t) {
		t.Errorf("%+v", sub)
	}
}

func TestADearerPlanThatIsNotPaidChangesNothing(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.customer("pm_card_visa")
	sub := w.subscribe(customer.ID, 0)
	bad := must(w.AttachPaymentMethod(t.Context(), w.key(), "pm_card_chargeCustomerFail", customer.ID))(t)
	must(w.UpdateCustomer(t.Context(), w.key(), customer.ID, stripeapi.CustomerChange{DefaultPaymentMethod: bad.ID}))(t)
	_, err := w.UpdateSubscription(t.Context(), w.key(), sub.ID, stripeapi.SubscriptionChange{
		Items: []stripeapi.ItemChange{{ID: sub.Items[0].ID, Price: w.dear, Quantity: 2}}, Proration: stripeapi.ProrateAtOnce, Payment: stripeapi.PayOrFail,
	})
	if !stripeapi.Is(err, stripeapi.Declined) {
		t.Errorf("error: %v", err)
	}
	same(t, sub)(w.Subscription(t.Context(), sub.ID))
}

func TestASubscriptionEndsOnceHoweverOftenItIsAsked(t *testing.T) {
	w := newWorld(t)
	customer, clock := w.customer("pm_card_visa")
	sub := w.subscribe(customer.ID, 0)
	w.advance(clock.ID, w.startAt.AddDate(0, 0, 14))
	yes := true
	if sub = must(w.UpdateSubscription(t.Context(), w.key(), sub.ID, stripeapi.SubscriptionChange{CancelAtPeriodEnd: &yes}))(t); !sub.CancelAtPeriodEnd || sub.CancelAt.IsZero() {
		t.Errorf("%+v", sub)
	}
	key := w.key()
	w.faults = []standin.FaultKind{standin.FaultDropAfter}
	if _, err := w.CancelSubscription(t.Context(), key, sub.ID, stripeapi.CancelInput{Prorate: true, InvoiceNow: true}); !stripeapi.Is(err, stripeapi.Lost) {
		t.Errorf("error: %v", err)
	}
	ended := must(w.CancelSubscription(t.Context(), key, sub.ID, stripeapi.CancelInput{Prorate: true, InvoiceNow: true}))(t)
	if ended.Status != "canceled" || ended.EndedAt.IsZero() {
		t.Errorf("%+v", ended)
	}
	if credit := must(w.Customer(t.Context(), customer.ID))(t).BalanceMinor; credit >= 0 {
		t.Errorf("the balance is %d", credit)
	}
	if listed := all(t, w.Subscriptions(t.Context(), stripeapi.SubscriptionFilter{Customer: customer.ID})); len(listed) != 1 {
		t.Errorf("%+v is listed", listed)
	}
}

func TestATrialWithoutAWayToPayPausesAndIsResumed(t *testing.T) {
	w := newWorld(t)
	clock := must(w.CreateClock(t.Context(), w.key(), "", w.startAt))(t)
	customer := must(w.CreateCustomer(t.Context(), w.key(), stripeapi.CustomerInput{Clock: clock.ID}))(t)
	sub := w.subscribe(customer.ID, 14)
	if sub.Status != "trialing" || !sub.TrialEnd.Equal(w.startAt.AddDate(0, 0, 14)) {
		t.Fatalf("%+v", sub)
	}
	w.advance(clock.ID, sub.TrialEnd.Add(time.Hour))
	if sub = must(w.Subscription(t.Context(), sub.ID))(t); sub.Status != "paused" {
		t.Fatalf("%+v", sub)
	}
	method := must(w.AttachPaymentMethod(t.Context(), w.key(), "pm_card_visa", customer.ID))(t)
	must(w.UpdateCustomer(t.Context(), w.key(), customer.ID, stripeapi.CustomerChange{DefaultPaymentMethod: method.ID}))(t)
	if sub = must(w.ResumeSubscription(t.Context(), w.key(), sub.ID))(t); sub.Status != "active" {
		t.Errorf("%+v", sub)
	}
}

func TestAPaymentThatHasToBeConfirmedTellsItsSecret(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.customer("pm_card_authenticationRequired")
	sub := w.subscribe(customer.ID, 0)
	in := must(w.Invoice(t.Context(), sub.LatestInvoice))(t)
	if sub.Status != "incomplete" || in.Status != "open" || !in.ActionRequired || in.ClientSecret == "" || in.HostedURL == "" {
		t.Errorf("%+v\n%+v", sub, in)
	}
}
