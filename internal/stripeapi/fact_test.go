package stripeapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	tenantText    = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
	operationText = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"
)

func tenant(t *testing.T) id.Tenant {
	t.Helper()
	parsed, err := id.Parse[id.Tenant](tenantText)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func operation(t *testing.T) id.Operation {
	t.Helper()
	parsed, err := id.Parse[id.Operation](operationText)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// ids has ids compared.
var ids = cmp.AllowUnexported(id.Tenant{}, id.Operation{})

func same[T any](t *testing.T, want T) func(got T, err error) {
	return func(got T, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got, ids); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
}

func TestACustomerIsRead(t *testing.T) {
	c := newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/test_clocks/clock_1") {
			return answer(200, `{"id":"clock_1","object":"test_helpers.test_clock","frozen_time":1700001000}`), nil
		}
		return answer(200, `{"id":"cus_1","object":"customer","livemode":false,"email":"a@example.com","currency":"usd","balance":-250,
			"delinquent":true,"invoice_settings":{"default_payment_method":"pm_1"},"created":1700000000,"test_clock":"clock_1",
			"metadata":{"tenant_id":"`+tenantText+`","operation":"`+operationText+`"}}`), nil
	})}})
	same(t, billing.Customer{
		ID: "cus_1", Email: "a@example.com", Currency: "usd", BalanceMinor: -250, Delinquent: true, DefaultPaymentMethod: "pm_1",
		Tenant: tenant(t), Operation: operation(t), ClockID: "clock_1", ClockAt: at(1700001000), CreatedAt: at(1700000000),
	})(c.Customer(t.Context(), "cus_1"))
}

func TestACustomerWhoseTimeIsUnknownIsNotTold(t *testing.T) {
	c := newClient(t, stripeapi.Config{HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/test_clocks/") {
			return answer(500, `{"error":{"type":"api_error","message":"no"}}`), nil
		}
		return answer(200, `{"id":"cus_1","test_clock":"clock_1"}`), nil
	})}})
	if found, err := c.Customer(t.Context(), "cus_1"); !stripeapi.Is(err, stripeapi.Stored) || found.ID != "" {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestADeletedCustomerIsRead(t *testing.T) {
	same(t, billing.Customer{ID: "cus_1", Deleted: true})(
		answering(t, 200, `{"id":"cus_1","object":"customer","deleted":true}`).Customer(t.Context(), "cus_1"))
}

func TestMetadataThatIsNoUUIDIsNone(t *testing.T) {
	same(t, billing.Customer{ID: "cus_1"})(answering(t, 200,
		`{"id":"cus_1","metadata":{"tenant_id":"acme","operation":"{`+operationText+`}"}}`).Customer(t.Context(), "cus_1"))
}

func TestASubscriptionIsRead(t *testing.T) {
	same(t, billing.Subscription{
		ID: "sub_1", Livemode: true, Customer: "cus_1", Status: "past_due", Currency: "usd",
		Items: []billing.Item{
			{ID: "si_1", Price: "price_1", Product: "nself_plan_pro", AmountMinor: 4900, Quantity: 3},
			{ID: "si_2", Price: "price_2", Product: "nself_addon_more", AmountMinor: 500, Quantity: 1},
		},
		CurrentPeriodStart: at(1700000001), CurrentPeriodEnd: at(1700000002), AnchorAt: at(1700000003), TrialEnd: at(1700000004),
		CancelAtPeriodEnd: true, CancelAt: at(1700000005), CanceledAt: at(1700000006), EndedAt: at(1700000007),
		KeepsPlan: "pro", KeepsPrice: "price_1", KeepsQuantity: 4, KeepsUntil: at(1700000008), Operation: operation(t), LatestInvoice: "in_1", CreatedAt: at(1700000000),
	})(answering(t, 200, `{"id":"sub_1","object":"subscription","livemode":true,"customer":"cus_1","status":"past_due","currency":"usd",
		"items":{"object":"list","data":[
			{"id":"si_1","price":{"id":"price_1","unit_amount":4900,"product":"nself_plan_pro"},"quantity":3},
			{"id":"si_2","price":{"id":"price_2","unit_amount":500,"product":"nself_addon_more"},"quantity":1}],"has_more":false},
		"current_period_start":1700000001,"current_period_end":1700000002,"billing_cycle_anchor":1700000003,"trial_end":1700000004,
		"cancel_at_period_end":true,"cancel_at":1700000005,"canceled_at":1700000006,"ended_at":1700000007,"latest_invoice":"in_1",
		"metadata":{"operation":"`+operationText+`","keeps_plan":"pro","keeps_until":"2023-11-14T23:13:28+01:00","keeps_price":"price_1","keeps_quantity":"4"},"created":1700000000}`).
		Subscription(t.Context(), "sub_1"))
}

func TestAPlanIsKeptOnlyWhereBothPartsCanBeRead(t *testing.T) {
	for _, metadata := range []string{
		`{"keeps_plan":"pro"}`, `{"keeps_plan":"pro","keeps_until":"2023-11-14T22:13:28Z"}`,
		`{"keeps_plan":"pro","keeps_until":"2023-11-14T22:13:28Z","keeps_price":"price_1","keeps_quantity":"none"}`, `{"keeps_until":"2023-11-14T22:13:28Z"}`, `{"keeps_plan":"","keeps_until":"2023-11-14T22:13:28Z"}`,
		`{"keeps_plan":"pro","keeps_until":"tomorrow"}`, `{"keeps_plan":"pro","keeps_until":""}`, `null`,
	} {
		same(t, billing.Subscription{ID: "sub_1"})(answering(t, 200, `{"id":"sub_1","metadata":`+metadata+`}`).Subscription(t.Context(), "sub_1"))
	}
}

const paidInvoice = `{"id":"in_1","object":"invoice","livemode":true,"customer":"cus_1","subscription":"sub_1","number":"A-0001","status":"paid",
	"billing_reason":"subscription_cycle","currency":"usd","subtotal":4900,"tax":931,"total":5831,"amount_due":5581,"amount_paid":5581,
	"amount_remaining":7,"attempt_count":2,"next_payment_attempt":1700000005,"period_start":1700000001,"period_end":1700000002,
	"status_transitions":{"finalized_at":1700000003,"paid_at":1700000004,"voided_at":null},"hosted_invoice_url":"https://pay.example.com/in_1",
	"invoice_pdf":"https://pay.example.com/in_1.pdf","charge":"ch_1","created":1700000000,
	"payment_intent":{"id":"pi_1","status":"succeeded","client_secret":"pi_1_secret_2"}}`

func TestAnInvoiceIsRead(t *testing.T) {
	same(t, billing.Invoice{
		ID: "in_1", Livemode: true, Customer: "cus_1", Subscription: "sub_1", Number: "A-0001", Status: "paid", Reason: "subscription_cycle",
		Currency: "usd", SubtotalMinor: 4900, TaxMinor: 931, TotalMinor: 5831, DueMinor: 5581, PaidMinor: 5581, RemainingMinor: 7,
		Attempts: 2, NextAttemptAt: at(1700000005), PeriodStart: at(1700000001), PeriodEnd: at(1700000002),
		FinalizedAt: at(1700000003), PaidAt: at(1700000004), HostedURL: "https://pay.example.com/in_1",
		PDFURL: "https://pay.example.com/in_1.pdf", Charge: "ch_1", CreatedAt: at(1700000000),
	})(answering(t, 200, paidInvoice).Invoice(t.Context(), "in_1"))
}

func TestAnInvoiceTellsItsSecretOnlyToWhoMayStillPay(t *testing.T) {
	for status, want := range map[string]billing.Invoice{
		"requires_action":         {ID: "in_1", ActionRequired: true, ClientSecret: "pi_1_secret_2"},
		"requires_payment_method": {ID: "in_1", ClientSecret: "pi_1_secret_2"},
		"requires_confirmation":   {ID: "in_1", ClientSecret: "pi_1_secret_2"},
		"processing":              {ID: "in_1"},
		"canceled":                {ID: "in_1"},
	} {
		same(t, want)(answering(t, 200,
			`{"id":"in_1","payment_intent":{"id":"pi_1","status":"`+status+`","client_secret":"pi_1_secret_2"}}`).Invoice(t.Context(), "in_1"))
	}
}

func TestAChargeIsRead(t *testing.T) {
	same(t, billing.Charge{
		ID: "ch_1", Livemode: true, Customer: "cus_1", Invoice: "in_1", Status: "failed", AmountMinor: 4900, RefundedMinor: 100,
		Currency: "usd", Brand: "visa", Last4: "4242", FailureCode: "card_declined", FailureMessage: "Your card was declined.", CreatedAt: at(1700000000),
	})(answering(t, 200, `{"id":"ch_1","object":"charge","livemode":true,"customer":"cus_1","invoice":"in_1","status":"failed","amount":4900,
		"amount_refunded":100,"currency":"usd","payment_method_details":{"type":"card","card":{"brand":"visa","last4":"4242"}},
		"failure_code":"card_declined","failure_message":"Your card was declined.","created":1700000000}`).Charge(t.Context(), "ch_1"))
}

func TestAPaymentMethodIsRead(t *testing.T) {
	same(t, billing.PaymentMethod{
		ID: "pm_1", Livemode: true, Customer: "cus_1", Kind: "card", Brand: "visa", Last4: "4242", ExpMonth: 12, ExpYear: 2030, CreatedAt: at(1700000000),
	})(answering(t, 200, `{"id":"pm_1","object":"payment_method","livemode":true,"customer":"cus_1","type":"card","created":1700000000,
		"card":{"brand":"visa","last4":"4242","exp_month":12,"exp_year":2030}}`).PaymentMethod(t.Context(), "pm_1"))
}

func TestACheckoutSessionIsRead(t *testing.T) {
	same(t, stripeapi.CheckoutSession{
		ID: "cs_1", Livemode: true, Status: "open", URL: "https://pay.example.com/cs_1", Customer: "cus_1", Subscription: "sub_1",
		Tenant: tenant(t), Operation: operation(t), ExpiresAt: at(1700000001), CreatedAt: at(1700000000),
	})(answering(t, 200, `{"id":"cs_1","object":"checkout.session","livemode":true,"status":"open","url":"https://pay.example.com/cs_1",
		"customer":"cus_1","subscription":"sub_1","metadata":{"tenant_id":"`+tenantText+`","operation":"`+operationText+`"},
		"expires_at":1700000001,"created":1700000000}`).CheckoutSession(t.Context(), "cs_1"))
}

func TestAnInvoiceItemIsRead(t *testing.T) {
	same(t, stripeapi.InvoiceItem{
		ID: "ii_1", Livemode: true, Customer: "cus_1", Subscription: "sub_1", Invoice: "in_1", AmountMinor: 120, Currency: "usd",
		Description: "3 more", Tenant: tenant(t), Operation: operation(t), Meter: "calls",
		PeriodStart: at(1700000001), PeriodEnd: at(1700000002), CreatedAt: at(1700000000),
	})(answering(t, 200, `{"id":"ii_1","object":"invoiceitem","livemode":true,"customer":"cus_1","subscription":"sub_1","invoice":"in_1",
		"amount":120,"currency":"usd","description":"3 more","period":{"start":1700000001,"end":1700000002},"date":1700000000,
		"metadata":{"tenant_id":"`+tenantText+`","operation":"`+operationText+`","meter":"calls"}}`).
		CreateInvoiceItem(t.Context(), "key", stripeapi.InvoiceItemInput{}))
}

func TestAPriceIsRead(t *testing.T) {
	same(t, stripeapi.Price{
		ID: "price_1", Livemode: true, Product: "nself_plan_pro", LookupKey: "nself:plan:pro", AmountMinor: 4900, Currency: "usd",
		Interval: "month", Every: 1, Active: true, CreatedAt: at(1700000000),
	})(answering(t, 200, `{"id":"price_1","object":"price","livemode":true,"product":"nself_plan_pro","lookup_key":"nself:plan:pro",
		"unit_amount":4900,"currency":"usd","recurring":{"interval":"month","interval_count":1},"active":true,"created":1700000000}`).
		CreatePrice(t.Context(), "key", stripeapi.PriceInput{}))
}

func TestAnEndpointIsRead(t *testing.T) {
	same(t, stripeapi.WebhookEndpoint{
		ID: "we_1", Livemode: true, URL: "https://example.com", Events: []string{"invoice.paid"}, Enabled: true, APIVersion: "2023-10-16", Secret: "whsec_1",
	})(answering(t, 200, `{"id":"we_1","object":"webhook_endpoint","livemode":true,"url":"https://example.com","enabled_events":["invoice.paid"],
		"status":"enabled","api_version":"2023-10-16","secret":"whsec_1"}`).CreateWebhookEndpoint(t.Context(), "key", "https://example.com", nil))
}
