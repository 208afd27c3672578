package stripe_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nself/tenancy/internal/local/stripe"
)

// TestRandomHistories plays what customers and the clock may do, and holds what must always
// be true: nothing is charged twice, no call is an error of the server, and what was charged
// is what the invoices say.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := start(t, func(c *stripe.Config) {
			c.AfterRetries = rapid.SampledFrom([]string{"canceled", "unpaid", "past_due"}).Draw(r, "after the retries")
		})
		h := &history{world: w, T: r}
		h.prices = []string{w.price(0), w.price(1000), w.price(2599), w.price(12000, "recurring[interval]", "year")}
		h.customer = w.customer("pm_card_visa")
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			h.step()
			h.check()
		}
	})
}

type history struct {
	*world
	*rapid.T
	prices   []string
	customer string
	subs     []string
}

func (h *history) any(method, path string, pairs ...string) answer {
	a, err := h.try(method, path, "", pairs...)
	if err != nil || a.status >= 500 {
		h.T.Fatalf("%s %s %v: %d %v %v", method, path, pairs, a.status, a.body, err)
	}
	return a
}

func (h *history) sub() string {
	if len(h.subs) == 0 {
		return "sub_none"
	}
	return rapid.SampledFrom(h.subs).Draw(h.T, "subscription")
}

func (h *history) pick(what string, words ...string) string {
	return rapid.SampledFrom(words).Draw(h.T, what)
}

func (h *history) step() {
	price := rapid.SampledFrom(h.prices)
	switch h.pick("step", "wait", "wait", "wait", "subscribe", "change", "change", "card", "cancel", "end", "pay", "item", "trial", "resume", "pause") {
	case "wait":
		h.pass(time.Duration(rapid.IntRange(1, 40*24*3600).Draw(h.T, "seconds")) * time.Second)
	case "subscribe":
		pairs := []string{"customer", h.customer, "items[0][price]", price.Draw(h.T, "price"), "items[0][quantity]", fmt.Sprint(rapid.IntRange(0, 4).Draw(h.T, "quantity")),
			"payment_behavior", h.pick("behavior", "allow_incomplete", "default_incomplete", "error_if_incomplete")}
		if rapid.Bool().Draw(h.T, "with a trial") {
			pairs = append(pairs, "trial_period_days", fmt.Sprint(rapid.IntRange(1, 20).Draw(h.T, "days")),
				"trial_settings[end_behavior][missing_payment_method]", h.pick("missing", "cancel", "pause", "create_invoice"))
		}
		if a := h.any(http.MethodPost, "/v1/subscriptions", pairs...); a.status == 200 {
			h.subs = append(h.subs, text(a.body, "id"))
		}
	case "change":
		id := h.sub()
		a := h.any(http.MethodGet, "/v1/subscriptions/"+id)
		h.any(http.MethodPost, "/v1/subscriptions/"+id, "items[0][id]", text(a.body, "items", "data", 0, "id"), "items[0][price]", price.Draw(h.T, "price"),
			"items[0][quantity]", fmt.Sprint(rapid.IntRange(0, 4).Draw(h.T, "quantity")), "proration_behavior", h.pick("proration", "create_prorations", "always_invoice", "none"),
			"payment_behavior", h.pick("behavior", "allow_incomplete", "error_if_incomplete"))
	case "card":
		h.card(h.customer, h.pick("card", "pm_card_visa", "pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"))
	case "cancel":
		h.any(http.MethodDelete, "/v1/subscriptions/"+h.sub(), "prorate", h.pick("prorate", "true", "false"), "invoice_now", h.pick("now", "true", "false"))
	case "end":
		h.any(http.MethodPost, "/v1/subscriptions/"+h.sub(), "cancel_at_period_end", h.pick("at the end", "true", "false"))
	case "pay":
		for _, inv := range at(h.get("/v1/invoices", "status", "open"), "data").([]any) {
			h.any(http.MethodPost, "/v1/invoices/"+text(inv, "id")+"/"+h.pick("what", "pay", "pay", "void", "mark_uncollectible"))
		}
	case "item":
		h.any(http.MethodPost, "/v1/invoiceitems", "customer", h.customer, "currency", "usd", "amount", fmt.Sprint(rapid.IntRange(-500, 2000).Draw(h.T, "amount")))
	case "trial":
		h.any(http.MethodPost, "/v1/subscriptions/"+h.sub(), "trial_end", h.pick("until", "now", fmt.Sprint(h.now.Add(10*day).Unix())))
	case "resume":
		h.any(http.MethodPost, "/v1/subscriptions/"+h.sub()+"/resume", "billing_cycle_anchor", h.pick("anchor", "now", "unchanged"))
	case "pause":
		h.any(http.MethodPost, "/v1/subscriptions/"+h.sub(), "pause_collection[behavior]", h.pick("behavior", "void", "keep_as_draft", "mark_uncollectible"),
			"pause_collection[resumes_at]", fmt.Sprint(h.now.Add(20*day).Unix()))
	}
}

func (h *history) check() {
	taken := map[string]int64{}
	for _, c := range h.server.Charges() {
		if c.Status != "succeeded" {
			continue
		}
		if _, twice := taken[c.Invoice]; twice {
			h.T.Fatalf("invoice %s was charged twice", c.Invoice)
		}
		taken[c.Invoice] = c.Amount
	}
	list := h.get("/v1/invoices", "limit", "100")
	for _, inv := range at(list, "data").([]any) {
		if paid := number(inv, "amount_paid"); paid != taken[text(inv, "id")] {
			h.T.Fatalf("invoice %s says %d was paid, the charges say %d", text(inv, "id"), paid, taken[text(inv, "id")])
		}
		if text(inv, "status") == "draft" && number(inv, "next_payment_attempt") != 0 && number(inv, "next_payment_attempt") < h.now.Unix() {
			h.T.Fatalf("invoice %s should have been finalised at %d; it is %d", text(inv, "id"), number(inv, "next_payment_attempt"), h.now.Unix())
		}
	}
	for _, id := range h.subs {
		sub := h.get("/v1/subscriptions/" + id)
		status, end := text(sub, "status"), number(sub, "current_period_end")
		if end <= h.now.Unix() && (status == "active" || status == "trialing" || status == "past_due" || status == "unpaid") {
			h.T.Fatalf("subscription %s is %s and its period ended at %d; it is %d", id, status, end, h.now.Unix())
		}
	}
}
