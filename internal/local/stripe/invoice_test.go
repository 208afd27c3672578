package stripe_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nself/tenancy/internal/local/stripe"
)

func TestItemsWaitForTheNextInvoice(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.post("/v1/invoiceitems", "customer", customer, "amount", "250", "currency", "usd", "description", "Overage", "subscription", sub)
	gone := text(w.post("/v1/invoiceitems", "customer", customer, "amount", "99", "currency", "usd"), "id")
	w.do(http.MethodDelete, "/v1/invoiceitems/"+gone)
	w.until(2026, 2, 28)
	w.pass(time.Hour)
	invoice := w.get("/v1/invoices/" + text(w.get("/v1/subscriptions/"+sub), "latest_invoice"))
	w.want("the total", number(invoice, "total"), 1250)
	w.want("the charge", w.server.Charges()[1].Amount, 1250)
}

func TestInvoiceByHand(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	w.post("/v1/invoiceitems", "customer", customer, "unit_amount", "300", "quantity", "2", "currency", "usd")
	id := text(w.post("/v1/invoices", "customer", customer, "pending_invoice_items_behavior", "include"), "id")
	w.refused(400, http.MethodPost, "/v1/invoices/"+id+"/void")
	got := w.post("/v1/invoices/" + id + "/finalize")
	w.want("the status", text(got, "status"), "open")
	w.refused(400, http.MethodPost, "/v1/invoices/"+id+"/finalize")
	w.want("paid", text(w.post("/v1/invoices/"+id+"/pay"), "status"), "paid")
	w.want("the charge", w.server.Charges()[0].Amount, 600)
}

func TestVoidGivesTheBalanceBack(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa", "balance", "-400")
	w.post("/v1/invoiceitems", "customer", customer, "amount", "1000", "currency", "usd")
	id := text(w.post("/v1/invoices", "customer", customer, "pending_invoice_items_behavior", "include"), "id")
	w.want("due", number(w.post("/v1/invoices/"+id+"/finalize"), "amount_due"), 600)
	w.want("the balance", number(w.get("/v1/customers/"+customer), "balance"), 0)
	w.want("voided", text(w.post("/v1/invoices/"+id+"/void"), "status"), "void")
	w.want("the balance", number(w.get("/v1/customers/"+customer), "balance"), -400)
}

func TestTooLittleToChargeIsKeptForTheNextInvoice(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	w.subscribe(customer, w.price(20))
	w.want("the charges", len(w.server.Charges()), 0)
	w.want("the balance", number(w.get("/v1/customers/"+customer), "balance"), 20)
}

func TestLongInvoiceShowsTenLines(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	for i := range 12 {
		w.post("/v1/invoiceitems", "customer", customer, "amount", fmt.Sprint(100+i), "currency", "usd")
	}
	got := w.post("/v1/invoices", "customer", customer, "pending_invoice_items_behavior", "include")
	w.want("the lines shown", len(at(got, "lines", "data").([]any)), 10)
	w.want("more", at(got, "lines", "has_more"), true)
	all := w.get("/v1/invoices/"+text(got, "id")+"/lines", "limit", "100")
	w.want("all lines", len(at(all, "data").([]any)), 12)
	w.want("the first", number(all, "data", 0, "amount"), 100)
}

func TestPausedCollectionMakesNoCharge(t *testing.T) {
	for behavior, want := range map[string]string{"void": "void", "keep_as_draft": "draft", "mark_uncollectible": "uncollectible"} {
		t.Run(behavior, func(t *testing.T) {
			w := start(t)
			sub := w.subscribe(w.customer("pm_card_visa"), w.price(1000))
			w.post("/v1/subscriptions/"+sub, "pause_collection[behavior]", behavior)
			w.until(2026, 2, 28)
			w.pass(2 * time.Hour)
			got := w.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice")
			w.want("the invoice", text(got, "latest_invoice", "status"), want)
			w.want("the status", text(got, "status"), "active")
			w.post("/v1/subscriptions/"+sub, "pause_collection", "")
			w.until(2026, 3, 31)
			w.pass(2 * time.Hour)
			w.want("the charges", len(w.server.Charges()), 2)
		})
	}
}

func TestOlderInvoicePaidLeavesANewerFailure(t *testing.T) {
	w := start(t, func(c *stripe.Config) { c.AfterRetries = "past_due" })
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.card(customer, "pm_card_chargeCustomerFail")
	w.until(2026, 2, 28)
	w.pass(time.Hour)
	older := text(w.get("/v1/subscriptions/"+sub), "latest_invoice")
	w.until(2026, 3, 31)
	w.pass(time.Hour)
	newer := text(w.get("/v1/subscriptions/"+sub), "latest_invoice")
	good := w.card(customer, "pm_card_visa")
	w.post("/v1/invoices/"+older+"/pay", "payment_method", good)
	w.want("the status", w.status(sub), "past_due")
	w.post("/v1/invoices/"+newer+"/pay", "payment_method", good)
	w.want("the status", w.status(sub), "active")
}

func TestUnpaidKeepsItsRenewalsAsDrafts(t *testing.T) {
	w := start(t, func(c *stripe.Config) { c.AfterRetries, c.Retries = "unpaid", []time.Duration{day} })
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.card(customer, "pm_card_chargeCustomerFail")
	w.until(2026, 3, 2)
	w.want("the status", w.status(sub), "unpaid")
	tries := len(w.server.Charges())
	w.until(2026, 4, 30)
	got := w.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice")
	w.want("the renewal", text(got, "latest_invoice", "status"), "draft")
	w.want("the tries", len(w.server.Charges()), tries)
}
