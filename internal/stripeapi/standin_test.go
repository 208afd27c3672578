package stripeapi_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	standin "github.com/nself/tenancy/internal/local/stripe"
	"github.com/nself/tenancy/internal/stripeapi"
)

func TestErrorsOfTheStandInAreTold(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.customer("pm_card_visa")
	for kind, faults := range map[stripeapi.Kind][]standin.FaultKind{
		stripeapi.Busy: {standin.FaultRateLimit}, stripeapi.Stored: {standin.FaultErrorUndone}, stripeapi.Lost: {standin.FaultDropBefore}, stripeapi.Declined: {standin.FaultDecline},
	} {
		w.faults = faults
		if _, err := w.UpdateCustomer(t.Context(), w.key(), customer.ID, stripeapi.CustomerChange{DefaultPaymentMethod: customer.DefaultPaymentMethod}); !stripeapi.Is(err, kind) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := w.AttachPaymentMethod(t.Context(), w.key(), "pm_card_chargeDeclined", customer.ID); !stripeapi.Is(err, stripeapi.Declined) {
		t.Errorf("a card that is declined: %v", err)
	}
	other, _ := w.customer("pm_card_visa")
	if _, err := w.AttachPaymentMethod(t.Context(), w.key(), other.DefaultPaymentMethod, customer.ID); !stripeapi.Is(err, stripeapi.Refused) {
		t.Errorf("another's card: %v", err)
	}
	if _, err := w.Invoice(t.Context(), "in_none"); !stripeapi.Is(err, stripeapi.NotFound) {
		t.Errorf("an invoice that is not there: %v", err)
	}
}

func TestAKeyIsDoneOnceAndAnsweredAlike(t *testing.T) {
	w := newWorld(t)
	key := w.key()
	w.faults = []standin.FaultKind{standin.FaultDropAfter}
	in := stripeapi.CustomerInput{Email: "a@example.com"}
	if _, err := w.CreateCustomer(t.Context(), key, in); !stripeapi.Is(err, stripeapi.Lost) {
		t.Errorf("error: %v", err)
	}
	one, two := must(w.CreateCustomer(t.Context(), key, in))(t), must(w.CreateCustomer(t.Context(), key, in))(t)
	if listed := all(t, w.Customers(t.Context(), stripeapi.CustomerFilter{Email: "a@example.com"})); one.ID != two.ID || len(listed) != 1 {
		t.Errorf("%s, %s of %+v", one.ID, two.ID, listed)
	}
	if _, err := w.CreateCustomer(t.Context(), key, stripeapi.CustomerInput{Email: "b@example.com"}); !stripeapi.Is(err, stripeapi.Refused) {
		t.Errorf("other parameters: %v", err)
	}
	w.faults = []standin.FaultKind{standin.FaultErrorDone}
	key = w.key()
	for range 2 {
		if _, err := w.CreateCustomer(t.Context(), key, stripeapi.CustomerInput{Email: "c@example.com"}); !stripeapi.Is(err, stripeapi.Stored) {
			t.Errorf("error: %v", err)
		}
	}
	if listed := all(t, w.Customers(t.Context(), stripeapi.CustomerFilter{Email: "c@example.com"})); len(listed) != 1 {
		t.Errorf("%+v", listed)
	}
}

func TestALineWaitsForAnInvoiceAndGoesIntoItsOwn(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.customer("pm_card_visa")
	origin := stripeapi.Origin{Tenant: tenant(t), Operation: operation(t)}
	item := must(w.CreateInvoiceItem(t.Context(), w.key(), stripeapi.InvoiceItemInput{
		Origin: origin, Customer: customer.ID, AmountMinor: 120, Currency: "usd", Description: "3 more", Meter: "calls",
		PeriodStart: w.startAt.AddDate(0, -1, 0), PeriodEnd: w.startAt,
	}))(t)
	if item.Invoice != "" || item.AmountMinor != 120 || item.Meter != "calls" || item.Operation != operation(t) || item.Tenant != tenant(t) || !item.PeriodEnd.Equal(w.startAt) {
		t.Errorf("%+v", item)
	}
	draft := must(w.CreateInvoice(t.Context(), w.key(), stripeapi.InvoiceInput{Origin: origin, Customer: customer.ID, Currency: "usd", Pending: true}))(t)
	if draft.Status != "draft" || draft.TotalMinor != 120 {
		t.Errorf("%+v", draft)
	}
	if listed := all(t, w.InvoiceItems(t.Context(), stripeapi.InvoiceItemFilter{Customer: customer.ID})); len(listed) != 1 || listed[0].Invoice != draft.ID {
		t.Errorf("%+v is listed", listed)
	}
}

func TestACheckoutIsOpenedListedAndClosed(t *testing.T) {
	w := newWorld(t)
	customer, _ := w.customer("pm_card_visa")
	opened := must(w.CreateCheckoutSession(t.Context(), w.key(), stripeapi.CheckoutInput{
		Origin: stripeapi.Origin{Tenant: tenant(t), Operation: operation(t)}, Customer: customer.ID, TrialDays: 14,
		Items: []stripeapi.SubscriptionItem{{Price: w.cheap, Quantity: 1}}, SuccessURL: "https://example.com/paid", CancelURL: "https://example.com/not",
	}))(t)
	if opened.Status != "open" || opened.URL == "" || opened.Customer != customer.ID || opened.Operation != operation(t) || opened.ExpiresAt.IsZero() {
		t.Errorf("%+v", opened)
	}
	same(t, opened)(w.CheckoutSession(t.Context(), opened.ID))
	open := func() int {
		return len(all(t, w.CheckoutSessions(t.Context(), stripeapi.CheckoutFilter{Customer: customer.ID, Status: "open", Since: w.startAt.Add(-time.Hour)})))
	}
	if open() != 1 {
		t.Errorf("%d are open", open())
	}
	if closed := must(w.ExpireCheckoutSession(t.Context(), w.key(), opened.ID))(t); closed.Status != "expired" || closed.URL != "" || open() != 0 {
		t.Errorf("%+v", closed)
	}
	if address := must(w.CreatePortalSession(t.Context(), w.key(), customer.ID, "https://example.com"))(t); address == "" {
		t.Error("the portal has no address")
	}
}

func TestPricesAndEndpointsAreSetUp(t *testing.T) {
	w := newWorld(t)
	newer := must(w.CreatePrice(t.Context(), w.key(), stripeapi.PriceInput{Product: "nself_plan_pro", LookupKey: "nself:plan:pro", AmountMinor: 5900, Currency: "usd"}))(t)
	listed := all(t, w.Prices(t.Context(), stripeapi.PriceFilter{LookupKeys: []string{"nself:plan:pro", "nself:plan:none"}}))
	if diff := cmp.Diff([]stripeapi.Price{newer}, listed); diff != "" {
		t.Error(diff)
	}
	if got := all(t, w.Prices(t.Context(), stripeapi.PriceFilter{Product: "nself_plan_pro"})); len(got) != 3 {
		t.Errorf("%+v", got)
	}
	same(t, stripeapi.Product{ID: "nself_plan_pro", Name: "Pro", Active: true})(w.Product(t.Context(), "nself_plan_pro"))
	made := must(w.CreateWebhookEndpoint(t.Context(), w.key(), "https://example.com/hook", []string{"invoice.paid"}))(t)
	if made.Secret == "" || !made.Enabled || made.APIVersion != stripeapi.Version {
		t.Errorf("%+v", made)
	}
	changed := must(w.UpdateWebhookEndpoint(t.Context(), w.key(), made.ID, []string{"charge.failed"}))(t)
	if changed.Secret != "" || !slices.Equal(changed.Events, []string{"charge.failed"}) {
		t.Errorf("%+v", changed)
	}
	if diff := cmp.Diff([]stripeapi.WebhookEndpoint{changed}, all(t, w.WebhookEndpoints(t.Context()))); diff != "" {
		t.Error(diff)
	}
}
