package stripe_test

import (
	"testing"
	"time"
)

func TestRenewalBillsEachCalendarMonthFromTheAnchor(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.want("the status", w.status(sub), "active")
	for _, month := range []int{2, 3, 4} {
		last := time.Date(2026, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
		w.until(2026, time.Month(month), last)
		got := w.get("/v1/subscriptions/" + sub)
		w.want("the period's start", number(got, "current_period_start"), w.now.Unix())
		invoice := w.get("/v1/invoices/" + text(got, "latest_invoice"))
		w.want("the new invoice", text(invoice, "status"), "draft")
		w.want("its reason", text(invoice, "billing_reason"), "subscription_cycle")
		w.pass(time.Hour)
		w.want("the invoice an hour later", text(w.get("/v1/invoices/"+text(got, "latest_invoice")), "status"), "paid")
	}
	w.want("the charges", len(w.server.Charges()), 4)
}

func TestFailedRenewalIsTriedAgainAndThenTheSubscriptionIsCanceled(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.card(customer, "pm_card_chargeCustomerFail")
	w.until(2026, 2, 28)
	w.pass(time.Hour)
	w.want("the status", w.status(sub), "past_due")
	for _, wait := range []time.Duration{3 * day, 5 * day} {
		w.pass(wait - time.Second)
		tries := len(w.server.Charges())
		w.pass(time.Second)
		w.want("the tries", len(w.server.Charges()), tries+1)
		w.want("the status", w.status(sub), "past_due")
	}
	w.pass(7 * day)
	w.want("the status after the last try", w.status(sub), "canceled")
	w.want("the tries", len(w.server.Charges()), 5)
	w.pass(60 * day)
	w.want("the tries when it is over", len(w.server.Charges()), 5)
}

func TestPayingTheOpenInvoiceBringsPastDueBack(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_visa")
	sub := w.subscribe(customer, w.price(1000))
	w.card(customer, "pm_card_chargeCustomerFail")
	w.until(2026, 2, 28)
	w.pass(2 * time.Hour)
	invoice := text(w.get("/v1/subscriptions/"+sub), "latest_invoice")
	w.want("paying with the bad card", w.refused(402, "POST", "/v1/invoices/"+invoice+"/pay"), "card_declined")
	w.want("the tries told", number(w.get("/v1/invoices/"+invoice), "attempt_count"), 2)
	good := w.card(customer, "pm_card_mastercard")
	from := len(w.server.Events())
	w.want("the invoice", text(w.post("/v1/invoices/"+invoice+"/pay", "payment_method", good), "status"), "paid")
	w.want("the events", w.kinds(from), "charge.succeeded payment_intent.succeeded invoice.updated invoice.paid invoice.payment_succeeded customer.updated customer.subscription.updated")
	w.want("the status", w.status(sub), "active")
	w.want("paying again", w.refused(400, "POST", "/v1/invoices/"+invoice+"/pay"), "invoice_already_paid")
}

func TestIncompleteSubscriptionExpiresAfter23Hours(t *testing.T) {
	w := start(t)
	customer := w.customer("pm_card_chargeCustomerFail")
	sub := w.subscribe(customer, w.price(1000))
	w.want("the status", w.status(sub), "incomplete")
	w.pass(23*time.Hour - time.Second)
	w.want("the status", w.status(sub), "incomplete")
	w.pass(time.Second)
	w.want("the status", w.status(sub), "incomplete_expired")
	w.want("its invoice", text(w.get("/v1/invoices/"+text(w.get("/v1/subscriptions/"+sub), "latest_invoice")), "status"), "void")
}

func TestCancelAtPeriodEndMakesNoRenewal(t *testing.T) {
	w := start(t)
	sub := w.subscribe(w.customer("pm_card_visa"), w.price(1000))
	got := w.post("/v1/subscriptions/"+sub, "cancel_at_period_end", "true")
	w.want("cancel_at", number(got, "cancel_at"), number(got, "current_period_end"))
	w.until(2026, 3, 5)
	w.want("the status", w.status(sub), "canceled")
	w.want("the charges", len(w.server.Charges()), 1)
	w.want("an update", w.refused(400, "POST", "/v1/subscriptions/"+sub, "cancel_at_period_end", "false"), "A canceled subscription can only update its cancellation_details and metadata.")
}

func TestClockOfItsOwnPlaysAYear(t *testing.T) {
	w := start(t)
	clock := w.post("/v1/test_helpers/test_clocks", "frozen_time", "1767261600")
	customer := w.customer("pm_card_visa", "test_clock", text(clock, "id"))
	sub := w.subscribe(customer, w.price(1000))
	w.pass(400 * day)
	w.want("the charges before the clock moves", len(w.server.Charges()), 1)
	path := "/v1/test_helpers/test_clocks/" + text(clock, "id")
	w.want("the answer", text(w.post(path+"/advance", "frozen_time", "1798801200"), "status"), "advancing")
	w.want("the clock", text(w.get(path), "status"), "ready")
	w.want("the charges", len(w.server.Charges()), 13)
	w.want("the status", w.status(sub), "active")
	w.refused(400, "POST", path+"/advance", "frozen_time", "1798801200")
}
