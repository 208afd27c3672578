package stripeapi_test

import (
	"io"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/stripemock"
	"github.com/nself/tenancy/internal/stripeapi"
)

// mockURL is where a stripe-mock of the test's own is served.
func mockURL(t *testing.T) string {
	t.Helper()
	mock, err := stripemock.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mock.Close(); err != nil {
			t.Error(err)
		}
	})
	return mock.URL()
}

func newClient(t *testing.T, config stripeapi.Config) *stripeapi.Client {
	t.Helper()
	if config.Key == "" {
		config.Key = "sk_test_1"
	}
	c, err := stripeapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// expect holds that a call was accepted and that its answer holds an object.
func expect(t *testing.T, name string) func(object any, err error) {
	return func(object any, err error) {
		t.Helper()
		value := reflect.ValueOf(object)
		if value.Kind() == reflect.Struct {
			value = value.FieldByName("ID")
		}
		if err != nil || value.String() == "" {
			t.Errorf("%s: %+v, %v", name, object, err)
		}
	}
}

func first[T any](all iter.Seq2[T, error]) (any, error) {
	for object, err := range all {
		return object, err
	}
	return "", nil
}

func someone() stripeapi.Origin {
	return stripeapi.Origin{Tenant: id.New[id.Tenant](), Operation: id.New[id.Operation]()}
}

// older asks for the version of endpoints that stripe-mock knows: its own.
func older(t *testing.T, r *http.Request) *http.Request {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(body), "api_version="+stripeapi.Version, "api_version=2022-11-15", 1)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	return r
}

// The next two tests send every parameter that there is, but for those of the third.

func TestEveryReadIsAcceptedAndUnderstood(t *testing.T) {
	c, ctx, then := newClient(t, stripeapi.Config{URL: mockURL(t)}), t.Context(), time.Unix(1700000000, 0)
	expect(t, "Customer")(c.Customer(ctx, "cus_1"))
	expect(t, "Customers")(first(c.Customers(ctx, stripeapi.CustomerFilter{Email: "a@example.com", Clock: "clock_1", Since: then})))
	expect(t, "PaymentMethod")(c.PaymentMethod(ctx, "pm_1"))
	expect(t, "Subscription")(c.Subscription(ctx, "sub_1"))
	expect(t, "Subscriptions")(first(c.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: "cus_1", Clock: "clock_1", Since: then})))
	expect(t, "Invoice")(c.Invoice(ctx, "in_1"))
	expect(t, "Invoices")(first(c.Invoices(ctx, stripeapi.InvoiceFilter{Customer: "cus_1", Subscription: "sub_1", Status: "open", Since: then})))
	expect(t, "InvoiceItems")(first(c.InvoiceItems(ctx, stripeapi.InvoiceItemFilter{Customer: "cus_1", Invoice: "in_1", Since: then})))
	expect(t, "Charge")(c.Charge(ctx, "ch_1"))
	expect(t, "Charges")(first(c.Charges(ctx, stripeapi.ChargeFilter{Customer: "cus_1", Since: then})))
	expect(t, "CheckoutSession")(c.CheckoutSession(ctx, "cs_1"))
	expect(t, "CheckoutSessions")(first(c.CheckoutSessions(ctx, stripeapi.CheckoutFilter{Customer: "cus_1"})))
	expect(t, "Product")(c.Product(ctx, "nself_plan_pro"))
	expect(t, "Prices")(first(c.Prices(ctx, stripeapi.PriceFilter{LookupKeys: []string{"nself:plan:pro"}, Product: "nself_plan_pro"})))
	expect(t, "WebhookEndpoints")(first(c.WebhookEndpoints(ctx)))
	expect(t, "Clock")(c.Clock(ctx, "clock_1"))
	expect(t, "Clocks")(first(c.Clocks(ctx)))
}

func TestEveryWriteIsAcceptedAndUnderstoodAndCarriesItsKey(t *testing.T) {
	writes := 0
	c := newClient(t, stripeapi.Config{URL: mockURL(t), HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if key := r.Header.Get("Idempotency-Key"); key == "key of this" {
			writes++
		}
		return http.DefaultTransport.RoundTrip(older(t, r))
	})}})
	ctx, key, then, yes := t.Context(), "key of this", time.Unix(1700000000, 0), true
	calls := 0
	expect := func(name string) func(any, error) { calls++; return expect(t, name) }
	expect("CreateCustomer")(c.CreateCustomer(ctx, key, stripeapi.CustomerInput{Origin: someone(), Email: "a@example.com", Name: "Acme", Clock: "clock_1"}))
	expect("UpdateCustomer")(c.UpdateCustomer(ctx, key, "cus_1", stripeapi.CustomerChange{DefaultPaymentMethod: "pm_1"}))
	expect("AttachPaymentMethod")(c.AttachPaymentMethod(ctx, key, "pm_1", "cus_1"))
	expect("CreateSubscription")(c.CreateSubscription(ctx, key, stripeapi.SubscriptionInput{
		Origin: someone(), Customer: "cus_1", Items: []stripeapi.SubscriptionItem{{Price: "price_1", Quantity: 2}},
		DefaultPaymentMethod: "pm_1", TrialDays: 14,
	}))
	expect("UpdateSubscription")(c.UpdateSubscription(ctx, key, "sub_1", stripeapi.SubscriptionChange{
		Items:     []stripeapi.ItemChange{{ID: "si_1", Price: "price_2", Quantity: 3}, {ID: "si_2", Deleted: true}, {Price: "price_3", Quantity: 1}},
		Proration: stripeapi.ProrateAtOnce, Payment: stripeapi.PayOrFail, CancelAtPeriodEnd: &yes, DefaultPaymentMethod: "pm_1",
		Kept: &stripeapi.Kept{Plan: "pro", Until: then},
	}))
	expect("CancelSubscription")(c.CancelSubscription(ctx, key, "sub_1", stripeapi.CancelInput{Prorate: true, InvoiceNow: true}))
	expect("CreateInvoice")(c.CreateInvoice(ctx, key, stripeapi.InvoiceInput{Origin: someone(), Customer: "cus_1", Currency: "usd", Pending: true}))
	expect("PayInvoice")(c.PayInvoice(ctx, key, "in_1", "pm_1"))
	expect("CreateInvoiceItem")(c.CreateInvoiceItem(ctx, key, stripeapi.InvoiceItemInput{
		Origin: someone(), Customer: "cus_1", Subscription: "sub_1", Invoice: "in_1", AmountMinor: 120, Currency: "usd",
		Description: "3 more", Meter: "calls", PeriodStart: then, PeriodEnd: then.AddDate(0, 1, 0),
	}))
	expect("CreateCheckoutSession")(c.CreateCheckoutSession(ctx, key, stripeapi.CheckoutInput{
		Origin: someone(), Customer: "cus_1", Items: []stripeapi.SubscriptionItem{{Price: "price_1", Quantity: 2}}, TrialDays: 14,
		SuccessURL: "https://example.com/paid", CancelURL: "https://example.com/not",
	}))
	expect("ExpireCheckoutSession")(c.ExpireCheckoutSession(ctx, key, "cs_1"))
	expect("CreatePortalSession")(c.CreatePortalSession(ctx, key, "cus_1", "https://example.com/back"))
	expect("CreateProduct")(c.CreateProduct(ctx, key, "nself_plan_pro", "Pro"))
	expect("CreatePrice")(c.CreatePrice(ctx, key, stripeapi.PriceInput{Product: "nself_plan_pro", LookupKey: "nself:plan:pro", AmountMinor: 4900, Currency: "usd"}))
	expect("CreateRefund")(c.CreateRefund(ctx, key, "ch_1", stripeapi.Origin{}))
	expect("CreateWebhookEndpoint")(c.CreateWebhookEndpoint(ctx, key, "https://example.com/webhooks/stripe", []string{"invoice.paid"}))
	expect("UpdateWebhookEndpoint")(c.UpdateWebhookEndpoint(ctx, key, "we_1", []string{"invoice.paid", "charge.failed"}))
	expect("CreateClock")(c.CreateClock(ctx, key, "Acme", then))
	expect("AdvanceClock")(c.AdvanceClock(ctx, key, "clock_1", then.AddDate(0, 1, 0)))
	if writes != calls {
		t.Errorf("%d of %d writes carried the key", writes, calls)
	}
}

// stripe-mock describes API 2022-11-15. What came to Stripe later is tried against
// internal/local/stripe alone; a stripe-mock that knows it fails here.
func TestWhatStripeMockCannotKnow(t *testing.T) {
	c, ctx := newClient(t, stripeapi.Config{URL: mockURL(t)}), t.Context()
	for name, err := range map[string]error{
		"the status of CheckoutSessions": second(first(c.CheckoutSessions(ctx, stripeapi.CheckoutFilter{Status: "open"}))),
		"the time of CheckoutSessions":   second(first(c.CheckoutSessions(ctx, stripeapi.CheckoutFilter{Since: time.Unix(1, 0)}))),
		"what becomes of unpaid trials":  second(c.CreateSubscription(ctx, "key", stripeapi.SubscriptionInput{Customer: "cus_1", UnpaidTrial: "pause"})),
		"resuming a subscription":        second(c.ResumeSubscription(ctx, "key", "sub_1")),
		"the version of our endpoints":   second(c.CreateWebhookEndpoint(ctx, "key", "https://example.com", []string{"*"})),
	} {
		if !stripeapi.Is(err, stripeapi.Refused) && !stripeapi.Is(err, stripeapi.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ any, err error) error { return err }
