package purchase

import (
	"context"
	"math/big"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/stripeapi"
)

const stepExtra = "extra"

// extra is what seats cost that come, or earn that go, while a cheaper plan is agreed: the
// item is at the price to come already, by which Stripe would reckon.
type extra struct {
	Customer    string    `json:"customer"`
	AmountMinor int64     `json:"amountMinor"`
	Currency    string    `json:"currency"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
}

// setSeats brings the quantity of a plan that is paid per seat to the people there are. It
// does nothing where so many are paid for.
func (r *run) setSeats(ctx context.Context) error {
	c, err := choose(ctx, r, stepChange, func() (lineChange, error) { return r.chooseSeats(ctx) })
	if err != nil || c.Subscription == "" {
		return err
	}
	if c.Extra != nil {
		if err := r.chargeExtra(ctx, c); err != nil {
			return err
		}
	}
	return r.setLine(ctx, c)
}

func (r *run) chooseSeats(ctx context.Context) (lineChange, error) {
	now, err := r.present(ctx, running)
	if err != nil || now.PlanItem == nil {
		return lineChange{}, err
	}
	plan, err := billing.Plan(ctx, r.desk.config.DB, now.Plan)
	if err != nil || !plan.PerSeat {
		return lineChange{}, err
	}
	seats, err := r.desk.seats(ctx, r.op.TenantID)
	if err != nil || seats == now.PlanItem.Quantity {
		return lineChange{}, err
	}
	c := lineChange{Subscription: now.ID, Item: now.PlanItem.ID, Price: now.PlanItem.Price, Quantity: seats, Proration: stripeapi.ProrateLater}
	less := seats < now.PlanItem.Quantity
	if now.Status == billing.StatusTrialing || now.Status == billing.StatusPastDue && less { // what is not paid earns no credit
		c.Proration = stripeapi.ProrateNot
	}
	return r.keepSeats(ctx, now, c)
}

// keepSeats has a change of seats cost what they do at the price that holds, where a
// cheaper plan is agreed.
func (r *run) keepSeats(ctx context.Context, now present, c lineChange) (lineChange, error) {
	clock, err := r.desk.clock(ctx, r.op.TenantID)
	if err != nil || now.KeepsPlan == "" || !clock.Before(now.KeepsUntil) {
		return c, err
	}
	c.Proration = stripeapi.ProrateNot
	held, err := billing.Plan(ctx, r.desk.config.DB, now.KeepsPlan)
	if err != nil || !held.PerSeat {
		return c, err
	}
	price, err := r.desk.amountOf(ctx, now.KeepsPrice)
	if err != nil {
		return c, err
	}
	c.Keeps = &stripeapi.Kept{Plan: now.KeepsPlan, Until: now.KeepsUntil, Price: now.KeepsPrice, Quantity: c.Quantity}
	amount := inProportion(price*(c.Quantity-now.KeepsQuantity), now.CurrentPeriodEnd.Sub(clock), now.CurrentPeriodEnd.Sub(now.CurrentPeriodStart))
	if now.Status == billing.StatusActive && amount != 0 {
		c.Extra = &extra{Customer: now.Customer, AmountMinor: amount, Currency: now.Currency, From: clock, Until: now.CurrentPeriodEnd}
	}
	return c, nil
}

// inProportion is what of an amount a part of a whole costs, rounded towards nothing.
func inProportion(amount int64, part, whole time.Duration) int64 {
	if whole <= 0 {
		return 0
	}
	cost := new(big.Int).Mul(big.NewInt(amount), big.NewInt(int64(part)))
	return cost.Quo(cost, big.NewInt(int64(whole))).Int64()
}

// chargeExtra is the step that puts it on the next invoice.
func (r *run) chargeExtra(ctx context.Context, c lineChange) error {
	stripe := r.desk.config.Stripe
	_, err := r.do(ctx, call{
		step: stepExtra,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateInvoiceItem(ctx, key, stripeapi.InvoiceItemInput{
				Origin: r.origin(), Customer: c.Extra.Customer, Subscription: c.Subscription, AmountMinor: c.Extra.AmountMinor,
				Currency: c.Extra.Currency, Description: "Change of seats", PeriodStart: c.Extra.From, PeriodEnd: c.Extra.Until,
			})
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			list := stripe.InvoiceItems(ctx, stripeapi.InvoiceItemFilter{Customer: c.Extra.Customer})
			item, _, err := find(list, func(i stripeapi.InvoiceItem) bool { return i.Operation == r.op.ID })
			return item.ID, err
		},
	})
	return err
}
