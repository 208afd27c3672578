package histories_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/purchase"
	"github.com/nself/tenancy/internal/stripeapi"
)

var (
	plans = []string{"starter", "pro", "enterprise"}
	cards = []string{"pm_card_visa", "pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired", "pm_card_chargeDeclined"}
)

func pick[T any](h *history, from []T) T { return from[h.rng.IntN(len(from))] }

// live is the life, as far as events allow.
func (h *history) live() error {
	h.now = time.Date(2027, time.Month(1+h.rng.IntN(12)), 1+h.rng.IntN(31), h.rng.IntN(24), h.rng.IntN(60), 0, 0, time.UTC)
	if err := h.startClock(); err != nil {
		return err
	}
	steps := 2 + h.rng.IntN(8)
	if h.rng.IntN(6) == 0 {
		steps *= 4
	}
	for range steps {
		if h.made >= mostEvents {
			break
		}
		if err := h.step(); err != nil {
			return err
		}
		if err := h.follow(false); err != nil {
			return err
		}
		h.bustle(h.rng.IntN(12))
	}
	return nil
}

func (h *history) startClock() error {
	at := h.now
	err := h.chaos.during(h.worker(), func() error { _, err := h.desk.StartClock(context.Background(), h.tenant, at); return err })
	h.say("start the clock at %s: %v", at, err)
	for tries := 0; len(h.ops) > 0; tries++ {
		if tries > 50 {
			return fmt.Errorf("the clock does not start: %w", err)
		}
		h.timePasses()
		h.finishOne()
	}
	return h.follow(true)
}

// step is one thing that happens in the tenant's life.
func (h *history) step() error {
	h.look()
	switch n := h.rng.IntN(100); {
	case n < 14:
		h.buy(purchase.Subscribe{Plan: pick(h, plans), PaymentMethod: pick(h, append(cards, ""))})
	case n < 24:
		h.buy(purchase.ChangePlan{Plan: pick(h, plans)})
	case n < 30:
		h.buy(purchase.SetAddon{Addon: "extra-storage", Quantity: int64(h.rng.IntN(4))})
	case n < 37:
		h.buy(purchase.SetPaymentMethod{PaymentMethod: pick(h, cards)})
	case n < 41:
		h.buy(purchase.Cancel{AtPeriodEnd: h.rng.IntN(3) > 0})
	case n < 45:
		h.buy(purchase.Resume{})
	case n < 66:
		return h.byHandAtRandom()
	case n < 75:
		h.pass(time.Duration(1+h.rng.IntN(30)) * time.Hour)
	case n < 88:
		h.pass(time.Duration(1+h.rng.IntN(10)) * day)
	default:
		h.pass(time.Duration(28+h.rng.IntN(5)) * day)
	}
	return nil
}

// buy begins an operation as the tenant's owner and runs it, as far as that goes.
func (h *history) buy(in purchase.Input) {
	if h.rng.IntN(8) > 0 { // else it waits in vain for whoever died, which takes ten seconds
		h.timePasses()
	}
	ctx := context.Background()
	var op id.Operation
	err := h.chaos.during(h.worker(), func() error {
		err := pg.InTx(ctx, h.here, func(tx pgx.Tx) (err error) {
			if err := pg.EnterTenant(ctx, tx, h.owner); err != nil {
				return err
			}
			op, err = h.desk.Begin(ctx, tx, h.owner, in)
			return err
		})
		if err != nil || h.rng.IntN(8) == 0 { // or whoever began it goes away
			return err
		}
		_, err = h.desk.Run(ctx, h.tenant, op)
		return err
	})
	h.say("%T %+v: %v", in, in, err)
	h.tally.add("operations", 1)
}

// pass moves the clock on.
func (h *history) pass(by time.Duration) {
	if h.clock == "" {
		return
	}
	h.now = h.now.Add(by)
	h.calls++
	_, err := h.stripe.AdvanceClock(context.Background(), fmt.Sprintf("clock %d", h.calls), h.clock, h.now)
	h.say("%s pass, it is %s: %v", by, h.now.Format(time.RFC3339), err)
}

// look finds the customer of the tenant, as whoever looks at the dashboard would.
func (h *history) look() {
	row, err := billing.CustomerOf(context.Background(), h.beside, h.tenant)
	if err != nil || row.DeletedAt != nil {
		h.customer = ""
		return
	}
	h.customer, h.clock = row.StripeID, ""
	if row.ClockID != nil {
		h.clock = *row.ClockID
	}
}

// byHandAtRandom is something that a person does at Stripe's dashboard.
func (h *history) byHandAtRandom() error {
	if h.customer == "" {
		return nil
	}
	ctx := context.Background()
	subs := list(h.stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: h.customer}))
	invoices := list(h.stripe.Invoices(ctx, stripeapi.InvoiceFilter{Customer: h.customer}))
	switch n := h.rng.IntN(24); {
	case n < 4 && len(invoices) > 0:
		h.byHand("POST", "/v1/invoices/"+pick(h, invoices).ID+"/pay")
	case n < 7:
		h.refund()
	case n < 9:
		h.byHand("POST", "/v1/subscriptions", "customer", h.customer, "items[0][price]", h.prices[pick(h, plans)], "items[0][quantity]", "1")
	case n < 10 && h.rng.IntN(3) == 0:
		if err := h.follow(true); err != nil { // of a customer that is gone Stripe does not say whose it was
			return err
		}
		h.byHand("DELETE", "/v1/customers/"+h.customer)
	case n < 12 && len(subs) > 0:
		h.byHand("DELETE", "/v1/subscriptions/"+pick(h, subs).ID)
	case n < 14 && len(invoices) > 0:
		h.byHand("POST", "/v1/invoices/"+pick(h, invoices).ID+"/"+pick(h, []string{"void", "mark_uncollectible", "finalize"}))
	case n < 18:
		h.card()
	case n < 20 && len(subs) > 0:
		h.byHand("POST", "/v1/subscriptions/"+pick(h, subs).ID, "cancel_at_period_end", pick(h, []string{"true", "false"}))
	case n < 22 && len(invoices) > 0:
		h.byHand("POST", "/pages/invoices/"+pick(h, invoices).ID, "do", pick(h, []string{"present", "pm_card_visa", "pm_card_chargeCustomerFail"}))
	case len(subs) > 0:
		sub := pick(h, subs)
		h.byHand("POST", "/v1/subscriptions/"+sub.ID, "items[0][id]", sub.Items[0].ID, "items[0][price]", h.prices[pick(h, plans)])
	}
	return nil
}

func (h *history) refund() {
	charges := list(h.stripe.Charges(context.Background(), stripeapi.ChargeFilter{Customer: h.customer}))
	if len(charges) == 0 {
		return
	}
	charge := pick(h, charges)
	h.byHand("POST", "/v1/refunds", "charge", charge.ID, "amount", fmt.Sprint(max(1, charge.AmountMinor/int64(1+h.rng.IntN(3)))))
}

// card gives the customer a card, or takes the one it has.
func (h *history) card() {
	customer, err := h.stripe.Customer(context.Background(), h.customer)
	if err != nil || h.rng.IntN(4) == 0 {
		if customer.DefaultPaymentMethod != "" {
			h.byHand("POST", "/v1/payment_methods/"+customer.DefaultPaymentMethod+"/detach")
		}
		return
	}
	h.calls++
	method, err := h.stripe.AttachPaymentMethod(context.Background(), fmt.Sprintf("card %d", h.calls), pick(h, cards), h.customer)
	if err != nil {
		return
	}
	h.say("by hand: a card %s", method.ID)
	h.byHand("POST", "/v1/customers/"+h.customer, "invoice_settings[default_payment_method]", method.ID)
}

func list[T any](all func(func(T, error) bool)) (found []T) {
	for one, err := range all {
		if err != nil {
			if strings.Contains(err.Error(), "o such customer") {
				return nil
			}
			panic(err) // nothing goes wrong here
		}
		found = append(found, one)
	}
	return found
}
