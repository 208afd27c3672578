package stripe_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// pressed is what a button led to.
type pressed struct {
	status int
	next   string // where the browser is sent
}

// press presses a button on a page.
func (w *world) press(page, what, of string) pressed {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, page, strings.NewReader(url.Values{"do": {what}, "of": {of}}.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	reply, err := w.client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	return pressed{reply.StatusCode, reply.Header.Get("Location")}
}

func (w *world) see(page string) string {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, page, nil)
	if err != nil {
		w.Fatal(err)
	}
	reply, err := w.client.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		w.Fatal(err)
	}
	return string(body)
}

func TestCheckoutSubscribes(t *testing.T) {
	w := start(t)
	customer, price := w.customer(""), w.price(1500)
	session := w.post("/v1/checkout/sessions", "mode", "subscription", "customer", customer, "line_items[0][price]", price, "line_items[0][quantity]", "2",
		"success_url", "https://app.example.com/done?s={CHECKOUT_SESSION_ID}", "cancel_url", "https://app.example.com/plans", "client_reference_id", "t1",
		"subscription_data[metadata][tenant_id]", "t1")
	page, id := text(session, "url"), text(session, "id")
	if seen := w.see(page); !strings.Contains(seen, "30.00 usd") || !strings.Contains(seen, "<button") {
		t.Fatalf("the page shows no amount or no button: %s", seen)
	}
	w.want("going back", w.press(page, "cancel", "").next, "https://app.example.com/plans")
	w.want("a bad card", w.press(page, "pm_card_chargeCustomerFail", "").status, 402)
	w.want("the session", text(w.get("/v1/checkout/sessions/"+id), "status"), "open")
	w.want("the subscriptions", len(at(w.get("/v1/subscriptions", "status", "all"), "data").([]any)), 0)
	w.want("the cards", len(at(w.get("/v1/payment_methods", "customer", customer), "data").([]any)), 0)
	w.want("a good card", w.press(page, "pm_card_visa", "").next, "https://app.example.com/done?s="+id)
	done := w.get("/v1/checkout/sessions/"+id, "expand[]", "subscription", "expand[]", "line_items")
	w.want("the session", text(done, "status")+" "+text(done, "payment_status"), "complete paid")
	w.want("the subscription", text(done, "subscription", "status"), "active")
	w.want("its metadata", text(done, "subscription", "metadata", "tenant_id"), "t1")
	w.want("the lines", number(done, "line_items", "data", 0, "amount_total"), 3000)
	w.want("paying twice", w.press(page, "pm_card_visa", "").status, 400)
	w.want("the charges that succeeded", w.succeeded(), 1)
}

func (w *world) succeeded() int {
	n := 0
	for _, c := range w.server.Charges() {
		if c.Status == "succeeded" {
			n++
		}
	}
	return n
}

func TestCheckoutMakesTheCustomerWhereThereIsNone(t *testing.T) {
	w := start(t)
	session := w.post("/v1/checkout/sessions", "mode", "subscription", "customer_email", "new@example.com", "line_items[0][price]", w.price(1500), "line_items[0][quantity]", "1",
		"success_url", "https://app.example.com/done", "subscription_data[trial_period_days]", "14")
	w.want("a card that fails later", w.press(text(session, "url"), "pm_card_chargeCustomerFail", "").status, 303)
	done := w.get("/v1/checkout/sessions/"+text(session, "id"), "expand[]", "customer", "expand[]", "subscription")
	w.want("the customer", text(done, "customer", "email"), "new@example.com")
	w.want("the payment", text(done, "payment_status"), "no_payment_required")
	w.want("the subscription", text(done, "subscription", "status"), "trialing")
	w.pass(14*day + time.Hour)
	w.want("the subscription after its trial", w.status(text(done, "subscription", "id")), "past_due")
}

func TestCheckoutExpires(t *testing.T) {
	w := start(t)
	session := w.post("/v1/checkout/sessions", "mode", "setup", "customer", w.customer(""), "success_url", "https://app.example.com/done")
	w.pass(24 * time.Hour)
	w.want("the session", text(w.get("/v1/checkout/sessions/"+text(session, "id")), "status"), "expired")
}

func TestPortalChangesTheCardAndEndsAndKeeps(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	page := text(w.post("/v1/billing_portal/sessions", "customer", customer, "return_url", "https://app.example.com/"), "url")
	w.press(page, "end", sub)
	w.want("the end", at(w.get("/v1/subscriptions/"+sub), "cancel_at_period_end"), true)
	w.press(page, "keep", sub)
	w.want("the end", at(w.get("/v1/subscriptions/"+sub), "cancel_at_period_end"), false)
	w.press(page, "pm_card_chargeCustomerFail", "")
	if !strings.Contains(w.see(page), "ending in 0341") {
		t.Fatal("the portal does not show the new card")
	}
	w.until(2026, 2, 28)
	w.pass(time.Hour)
	invoice := w.get("/v1/invoices/" + text(w.get("/v1/subscriptions/"+sub), "latest_invoice"))
	w.want("the present card", w.press(text(invoice, "hosted_invoice_url"), "present", "").status, 402)
	w.want("another card", w.press(text(invoice, "hosted_invoice_url"), "pm_card_visa", "").status, 200)
	w.want("the status", w.status(sub), "active")
}
