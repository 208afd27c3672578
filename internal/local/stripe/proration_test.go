package stripe_test

import (
	"strings"
	"testing"
	"time"
)

func TestUpgradeChargesTheDifferenceBySecond(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	small, large := w.price(1000), w.price(3000)
	sub := w.subscribe(customer, small)
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(14 * day) // half of the 28 days until the end of February
	got := w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][price]", large, "proration_behavior", "always_invoice", "expand[]", "latest_invoice")
	w.want("the reason", text(got, "latest_invoice", "billing_reason"), "subscription_update")
	w.want("the credit", number(got, "latest_invoice", "lines", "data", 0, "amount"), -500)
	w.want("the debit", number(got, "latest_invoice", "lines", "data", 1, "amount"), 1500)
	w.want("the payment", number(got, "latest_invoice", "amount_paid"), 1000)
	w.want("the status", text(got, "latest_invoice", "status"), "paid")
	w.want("the period's end", number(got, "current_period_end"), time.Date(2026, 2, 28, 10, 0, 0, 0, time.UTC).Unix())
}

func TestProrationsWaitForTheRenewal(t *testing.T) {
	w := start(t)
	customer, price := w.customer("pm_card_visa"), w.price(999)
	sub := w.subscribe(customer, price, "items[0][quantity]", "3")
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(9 * day)
	w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][quantity]", "5")
	pending := w.get("/v1/invoiceitems", "customer", customer, "pending", "true")
	w.want("the items", len(at(pending, "data").([]any)), 2)
	w.want("the debit", number(pending, "data", 0, "amount"), 3389) // 4995 × 19/28, rounded
	w.want("the credit", number(pending, "data", 1, "amount"), -2034)
	soon := w.get("/v1/invoices/upcoming", "customer", customer)
	w.until(2026, 2, 28)
	w.pass(time.Hour)
	invoice := w.get("/v1/invoices/" + text(w.get("/v1/subscriptions/"+sub), "latest_invoice"))
	w.want("the renewal", number(invoice, "total"), 4995+3389-2034)
	w.want("what was foretold", number(soon, "total"), number(invoice, "total"))
}

func TestDowngradeGoesToTheBalanceAndIsUsed(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(3000))
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(14 * day)
	got := w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][price]", w.price(1000), "proration_behavior", "always_invoice", "expand[]", "latest_invoice")
	w.want("the total", number(got, "latest_invoice", "total"), -1000)
	w.want("due", number(got, "latest_invoice", "amount_due"), 0)
	w.want("the balance", number(w.get("/v1/customers/"+customer), "balance"), -1000)
	w.until(2026, 2, 28)
	w.pass(time.Hour)
	invoice := w.get("/v1/invoices/" + text(w.get("/v1/subscriptions/"+sub), "latest_invoice"))
	w.want("the renewal's total", number(invoice, "total"), 1000)
	w.want("the renewal's due", number(invoice, "amount_due"), 0)
	w.want("the balance", number(w.get("/v1/customers/"+customer), "balance"), 0)
	w.want("the charges", len(w.server.Charges()), 1)
}

func TestAnotherIntervalBeginsANewPeriodAndIsBilledAtOnce(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(2800))
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(7 * day)
	year := w.price(20000, "recurring[interval]", "year")
	got := w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][price]", year, "expand[]", "latest_invoice")
	w.want("the payment", number(got, "latest_invoice", "amount_paid"), 20000-2100)
	w.want("the anchor", number(got, "billing_cycle_anchor"), w.now.Unix())
	w.want("the end", number(got, "current_period_end"), w.now.AddDate(1, 0, 0).Unix())
}

func TestFreeToPaidIsBilledAtOnce(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(0))
	w.want("the free one", w.status(sub), "active")
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(7 * day)
	w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][price]", w.price(1000))
	w.want("the charges", w.server.Charges()[0].Amount, 1000)
}

func TestUpgradeWithACardThatFailsIsPastDueOrNotDone(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub, large := w.subscribe(customer, w.price(1000)), w.price(3000)
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.card(customer, "pm_card_chargeCustomerFail")
	w.pass(14 * day)
	change := []string{"items[0][id]", item, "items[0][price]", large, "proration_behavior", "always_invoice"}
	w.want("the refusal", w.refused(402, "POST", "/v1/subscriptions/"+sub, append(change, "payment_behavior", "error_if_incomplete")...), "card_declined")
	w.want("the price", number(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "price", "unit_amount"), 1000)
	got := w.post("/v1/subscriptions/"+sub, change...)
	w.want("the status", text(got, "status"), "past_due")
	w.want("the price", number(got, "items", "data", 0, "price", "unit_amount"), 3000)
}

func TestCancelNowWithCreditGivesTheRestBack(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(2800))
	w.pass(7 * day)
	from := len(w.server.Events())
	got := w.do("DELETE", "/v1/subscriptions/"+sub, "prorate", "true", "invoice_now", "true")
	w.want("the status", text(got, "status"), "canceled")
	w.want("the balance", number(w.get("/v1/customers/"+customer), "balance"), -2100)
	w.want("the events", w.kinds(from), "invoiceitem.created customer.subscription.deleted invoice.created customer.updated invoice.finalized invoice.updated invoice.paid invoice.payment_succeeded")
	w.want("cancelling again", w.refused(404, "DELETE", "/v1/subscriptions/"+sub), "resource_missing")
}

// What waits of the subscription itself is on the invoice of a change, and may outweigh it.
func TestAChangeThatCostsNothingInTheEndNeedsNoCard(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000), "items[0][quantity]", "10")
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(14 * day)
	w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][quantity]", "5") // a credit of 2500 waits
	w.card(customer, "pm_card_chargeCustomerFail")
	got := w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][quantity]", "7", "proration_behavior", "always_invoice",
		"payment_behavior", "error_if_incomplete", "expand[]", "latest_invoice")
	w.want("the total", number(got, "latest_invoice", "total"), -1500)
	w.want("the status", text(got, "status"), "active")
}

func TestWhatWaitsOfTheSubscriptionIsPaidWithAChange(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000), "items[0][quantity]", "5")
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(14 * day)
	w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][quantity]", "10") // a debit of 2500 waits
	w.card(customer, "pm_card_chargeCustomerFail")
	change := []string{"items[0][id]", item, "items[0][quantity]", "8", "proration_behavior", "always_invoice", "payment_behavior", "error_if_incomplete"}
	w.want("the refusal", w.refused(402, "POST", "/v1/subscriptions/"+sub, change...), "card_declined")
}

func TestAmountsOfThreeDecimalsEndInNought(t *testing.T) {
	w := start(t)
	product := text(w.post("/v1/products", "name", "Pro"), "id")
	refusal := w.refused(400, "POST", "/v1/prices", "product", product, "currency", "kwd", "unit_amount", "1234")
	if !strings.Contains(refusal, "1234") || !strings.Contains(refusal, "kwd") {
		t.Errorf("the refusal is %q", refusal)
	}
	customer := w.customer("pm_card_visa")
	for name, amount := range map[string][]string{"an amount": {"amount", "1005"}, "units": {"unit_amount", "5", "quantity", "3"}} {
		w.refused(400, "POST", "/v1/invoiceitems", append([]string{"customer", customer, "currency", "kwd", "description", name}, amount...)...)
	}
	sub := w.subscribe(customer, w.price(1010, "currency", "kwd"))
	item := text(w.get("/v1/subscriptions/"+sub), "items", "data", 0, "id")
	w.pass(9 * day)
	w.post("/v1/subscriptions/"+sub, "items[0][id]", item, "items[0][quantity]", "2", "proration_behavior", "always_invoice")
	for _, charge := range w.server.Charges() {
		w.want("the last digit", charge.Amount%10, 0)
	}
}
