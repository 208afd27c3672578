package stripe_test

import (
	"strings"
	"testing"
	"time"
)

func TestTrialChargesAtItsEnd(t *testing.T) {
	w := start(t)
	sub := w.subscribe(w.customer("pm_card_visa"), w.price(1000), "trial_period_days", "14")
	w.want("the status", w.status(sub), "trialing")
	w.want("the charges", len(w.server.Charges()), 0)
	from := len(w.server.Events())
	w.pass(11*day - time.Second)
	w.want("the events", w.kinds(from), "")
	w.pass(time.Second)
	w.want("the notice", w.kinds(from), "customer.subscription.trial_will_end")
	w.pass(3 * day)
	w.want("the status", w.status(sub), "active")
	w.pass(time.Hour)
	w.want("the charges", len(w.server.Charges()), 1)
	w.pass(27 * day)
	w.want("the charges a month later", len(w.server.Charges()), 1)
	w.pass(2 * day)
	w.want("the charges a month later", len(w.server.Charges()), 2)
}

func TestShortTrialIsToldToEndAtOnce(t *testing.T) {
	w := start(t)
	w.subscribe(w.customer(""), w.price(1000), "trial_period_days", "3")
	if kinds := w.kinds(0); strings.Count(kinds, "trial_will_end") != 1 {
		t.Fatalf("the events are %s, want one trial_will_end", kinds)
	}
}

func TestTrialWithoutACardEndsAsAgreed(t *testing.T) {
	for missing, want := range map[string]string{"cancel": "canceled", "pause": "paused", "create_invoice": "past_due"} {
		t.Run(missing, func(t *testing.T) {
			w := start(t)
			customer := w.customer("")
			sub := w.subscribe(customer, w.price(1000), "trial_period_days", "14", "trial_settings[end_behavior][missing_payment_method]", missing)
			w.pass(14*day + time.Hour)
			w.want("the status", w.status(sub), want)
			if missing != "pause" {
				return
			}
			w.card(customer, "pm_card_visa")
			w.pass(40 * day)
			w.want("the charges of a pause", len(w.server.Charges()), 0)
			w.want("the status", text(w.post("/v1/subscriptions/"+sub+"/resume", "billing_cycle_anchor", "now"), "status"), "active")
			w.want("the charges", len(w.server.Charges()), 1)
		})
	}
}

func TestTrialEndedNowIsBilledNow(t *testing.T) {
	w := start(t)
	sub := w.subscribe(w.customer("pm_card_visa"), w.price(1000), "trial_period_days", "14")
	w.pass(2 * day)
	got := w.post("/v1/subscriptions/"+sub, "trial_end", "now")
	w.want("the status", text(got, "status"), "active")
	w.want("the anchor", number(got, "billing_cycle_anchor"), w.now.Unix())
	w.want("the charges", len(w.server.Charges()), 1)
}

func TestAuthenticationBringsTheSubscriptionToLife(t *testing.T) {
	w := start(t)
	sub := w.subscribe(w.customer("pm_card_authenticationRequired"), w.price(1000))
	w.want("the status", w.status(sub), "incomplete")
	got := w.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice.payment_intent")
	w.want("the intent", text(got, "latest_invoice", "payment_intent", "status"), "requires_action")
	page := text(got, "latest_invoice", "payment_intent", "next_action", "redirect_to_url", "url")
	w.want("the page", w.press(page, "confirm", "").status, 200)
	w.want("the status", w.status(sub), "active")
	w.want("the charges", len(w.server.Charges()), 1)
}

func TestDefaultIncompleteWaitsForTheCustomer(t *testing.T) {
	w := start(t)
	sub := w.subscribe(w.customer(""), w.price(1000), "payment_behavior", "default_incomplete", "payment_settings[save_default_payment_method]", "on_subscription")
	got := w.get("/v1/subscriptions/"+sub, "expand[]", "latest_invoice.payment_intent")
	w.want("the intent", text(got, "latest_invoice", "payment_intent", "status"), "requires_payment_method")
	w.post("/v1/payment_intents/"+text(got, "latest_invoice", "payment_intent", "id")+"/confirm", "payment_method", "pm_card_visa")
	got = w.get("/v1/subscriptions/" + sub)
	w.want("the status", text(got, "status"), "active")
	if text(got, "default_payment_method") == "" {
		t.Fatal("the subscription did not keep the card that paid")
	}
}

func TestErrorIfIncompleteLeavesNothing(t *testing.T) {
	w := start(t)
	customer, price := w.customer("pm_card_chargeCustomerFail"), w.price(1000)
	w.want("the refusal", w.refused(402, "POST", "/v1/subscriptions", "customer", customer, "items[0][price]", price, "payment_behavior", "error_if_incomplete"), "card_declined")
	w.want("the subscriptions", len(at(w.get("/v1/subscriptions", "status", "all"), "data").([]any)), 0)
}
