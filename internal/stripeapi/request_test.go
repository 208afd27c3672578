package stripeapi_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/stripeapi"
)

// sent is a call as it went out.
type sent struct {
	line   string
	form   url.Values
	header http.Header
}

// sending is a client that keeps the last call.
func sending(t *testing.T) (*stripeapi.Client, *sent) {
	t.Helper()
	last := &sent{}
	return newClient(t, stripeapi.Config{Key: key, URL: "https://stripe.example.com/dev/", HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		last.line, last.header = r.Method+" "+r.URL.String(), r.Header
		if last.form, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		return answer(200, `{"id":"x"}`), nil
	})}}), last
}

func (s *sent) check(t *testing.T, line, form string) {
	t.Helper()
	if s.line != line {
		t.Errorf("%s was sent, not %s", s.line, line)
	}
	want, err := url.ParseQuery(strings.ReplaceAll(form, "\n", "&"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, s.form); diff != "" {
		t.Errorf("%s: %s", line, diff)
	}
}

func TestACallSaysWhoCallsAndNoMore(t *testing.T) {
	c, last := sending(t)
	_, _ = c.CreateRefund(t.Context(), "nself:1:price:0", "ch_1", stripeapi.Origin{})
	last.check(t, "POST https://stripe.example.com/dev/v1/refunds", "charge=ch_1")
	for name, want := range map[string]string{
		"Authorization": "Bearer " + key, "Stripe-Version": "2023-10-16", "Idempotency-Key": "nself:1:price:0",
		"Content-Type": "application/x-www-form-urlencoded", "X-Stripe-Client-Telemetry": "", "X-Stripe-Client-User-Agent": "",
	} {
		if got := last.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	_, _ = c.Invoice(t.Context(), "in_1")
	last.check(t, "GET https://stripe.example.com/dev/v1/invoices/in_1?expand[0]=payment_intent", "")
	if got := last.header.Get("Idempotency-Key"); got != "" {
		t.Errorf("a read has the key %s", got)
	}
}

func TestASubscriptionIsAskedFor(t *testing.T) {
	c, last := sending(t)
	origin := stripeapi.Origin{Tenant: tenant(t), Operation: operation(t)}
	_, _ = c.CreateSubscription(t.Context(), "key", stripeapi.SubscriptionInput{
		Origin: origin, Customer: "cus_1", Items: []stripeapi.SubscriptionItem{{Price: "price_1", Quantity: 2}, {Price: "price_2", Quantity: 1}},
		DefaultPaymentMethod: "pm_1", TrialDays: 14, UnpaidTrial: "pause",
	})
	last.check(t, "POST https://stripe.example.com/dev/v1/subscriptions", `customer=cus_1
items[0][price]=price_1
items[0][quantity]=2
items[1][price]=price_2
items[1][quantity]=1
default_payment_method=pm_1
metadata[tenant_id]=`+tenantText+`
metadata[operation]=`+operationText+`
payment_behavior=allow_incomplete
trial_period_days=14
trial_settings[end_behavior][missing_payment_method]=pause`)
	_, _ = c.CreateSubscription(t.Context(), "key", stripeapi.SubscriptionInput{Customer: "cus_1", Items: []stripeapi.SubscriptionItem{{Price: "price_1", Quantity: 1}}})
	last.check(t, "POST https://stripe.example.com/dev/v1/subscriptions",
		"customer=cus_1\nitems[0][price]=price_1\nitems[0][quantity]=1\npayment_behavior=allow_incomplete")
}

func TestASubscriptionIsChangedInWhatIsNamedAlone(t *testing.T) {
	c, last := sending(t)
	yes, no := true, false
	for _, change := range []struct {
		in   stripeapi.SubscriptionChange
		form string
	}{
		{stripeapi.SubscriptionChange{}, ""},
		{stripeapi.SubscriptionChange{CancelAtPeriodEnd: &yes}, "cancel_at_period_end=true"},
		{stripeapi.SubscriptionChange{CancelAtPeriodEnd: &no}, "cancel_at_period_end=false"},
		{stripeapi.SubscriptionChange{DefaultPaymentMethod: "pm_1"}, "default_payment_method=pm_1"},
		{stripeapi.SubscriptionChange{Items: []stripeapi.ItemChange{{ID: "si_1", Price: "price_2", Quantity: 3}, {ID: "si_2", Deleted: true}},
			Proration: stripeapi.ProrateAtOnce, Payment: stripeapi.PayOrFail},
			"items[0][id]=si_1\nitems[0][price]=price_2\nitems[0][quantity]=3\nitems[1][id]=si_2\nitems[1][deleted]=true\n" +
				"proration_behavior=always_invoice\npayment_behavior=error_if_incomplete"},
		{stripeapi.SubscriptionChange{Items: []stripeapi.ItemChange{{Price: "price_3", Quantity: 1}}, Proration: stripeapi.ProrateNot},
			"items[0][price]=price_3\nitems[0][quantity]=1\nproration_behavior=none"},
		{stripeapi.SubscriptionChange{Kept: &stripeapi.Kept{Plan: "pro", Until: at(1700000000).In(time.FixedZone("", 3600)), Price: "price_1", Quantity: 2}},
			"metadata[keeps_plan]=pro\nmetadata[keeps_until]=2023-11-14T22:13:20Z\nmetadata[keeps_price]=price_1\nmetadata[keeps_quantity]=2"},
		{stripeapi.SubscriptionChange{TrialOver: true}, "trial_end=now"},
		{stripeapi.SubscriptionChange{TrialEnd: at(1700000000)}, "trial_end=1700000000"},
		{stripeapi.SubscriptionChange{Kept: &stripeapi.Kept{}}, "metadata[keeps_plan]=\nmetadata[keeps_until]=\nmetadata[keeps_price]=\nmetadata[keeps_quantity]="},
	} {
		_, _ = c.UpdateSubscription(t.Context(), "key", "sub_1", change.in)
		last.check(t, "POST https://stripe.example.com/dev/v1/subscriptions/sub_1", change.form)
	}
}

func TestASubscriptionEndsAsItIsSaid(t *testing.T) {
	c, last := sending(t)
	_, _ = c.CancelSubscription(t.Context(), "key", "sub_1", stripeapi.CancelInput{Prorate: true, InvoiceNow: true})
	last.check(t, "DELETE https://stripe.example.com/dev/v1/subscriptions/sub_1", "prorate=true\ninvoice_now=true")
	_, _ = c.CancelSubscription(t.Context(), "key", "sub_1", stripeapi.CancelInput{})
	last.check(t, "DELETE https://stripe.example.com/dev/v1/subscriptions/sub_1", "prorate=false\ninvoice_now=false")
}

func TestACheckoutPassesItsOriginOn(t *testing.T) {
	c, last := sending(t)
	_, _ = c.CreateCheckoutSession(t.Context(), "key", stripeapi.CheckoutInput{
		Origin: stripeapi.Origin{Tenant: tenant(t), Operation: operation(t)}, Customer: "cus_1",
		Items: []stripeapi.SubscriptionItem{{Price: "price_1", Quantity: 2}}, SuccessURL: "https://example.com/paid", CancelURL: "https://example.com/not",
	})
	last.check(t, "POST https://stripe.example.com/dev/v1/checkout/sessions", `mode=subscription
customer=cus_1
client_reference_id=`+tenantText+`
line_items[0][price]=price_1
line_items[0][quantity]=2
metadata[tenant_id]=`+tenantText+`
metadata[operation]=`+operationText+`
subscription_data[metadata][tenant_id]=`+tenantText+`
subscription_data[metadata][operation]=`+operationText+`
success_url=https://example.com/paid
cancel_url=https://example.com/not`)
}

func TestAnInvoiceOfItsOwnTakesOnlyWhatIsWanted(t *testing.T) {
	c, last := sending(t)
	for pending, behaviour := range map[bool]string{true: "include", false: "exclude"} {
		_, _ = c.CreateInvoice(t.Context(), "key", stripeapi.InvoiceInput{Customer: "cus_1", Currency: "usd", Pending: pending})
		last.check(t, "POST https://stripe.example.com/dev/v1/invoices",
			"auto_advance=true\ncustomer=cus_1\ncurrency=usd\nexpand[0]=payment_intent\npending_invoice_items_behavior="+behaviour)
	}
	_, _ = c.CreateInvoiceItem(t.Context(), "key", stripeapi.InvoiceItemInput{
		Origin: stripeapi.Origin{Operation: operation(t)}, Customer: "cus_1", Invoice: "in_1", AmountMinor: 120, Currency: "usd",
		Description: "3 more", Meter: "calls", PeriodStart: at(1700000000), PeriodEnd: at(1700000060),
	})
	last.check(t, "POST https://stripe.example.com/dev/v1/invoiceitems", `customer=cus_1
invoice=in_1
amount=120
currency=usd
description=3 more
period[start]=1700000000
period[end]=1700000060
metadata[operation]=`+operationText+`
metadata[meter]=calls
metadata[period_start]=2023-11-14T22:13:20Z`)
}

func TestAPriceTakesItsLookupKeyOver(t *testing.T) {
	c, last := sending(t)
	_, _ = c.CreatePrice(t.Context(), "key", stripeapi.PriceInput{Product: "nself_plan_pro", LookupKey: "nself:plan:pro", AmountMinor: 4900, Currency: "usd"})
	last.check(t, "POST https://stripe.example.com/dev/v1/prices", `product=nself_plan_pro
lookup_key=nself:plan:pro
transfer_lookup_key=true
unit_amount=4900
currency=usd
recurring[interval]=month`)
}

func TestAnEndpointIsPinnedToTheVersionSpoken(t *testing.T) {
	c, last := sending(t)
	_, _ = c.CreateWebhookEndpoint(t.Context(), "key", "https://example.com/webhooks/stripe", []string{"invoice.paid", "charge.failed"})
	last.check(t, "POST https://stripe.example.com/dev/v1/webhook_endpoints", `url=https://example.com/webhooks/stripe
api_version=2023-10-16
enabled_events[0]=invoice.paid
enabled_events[1]=charge.failed`)
}
