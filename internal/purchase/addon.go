package purchase

import (
	"context"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

// lineChange is a change of how many of something a subscription has.
type lineChange struct {
	Subscription string          `json:"subscription"` // empty: there is nothing to change
	Item         string          `json:"item"`         // empty: a new one
	Price        string          `json:"price"`
	Quantity     int64           `json:"quantity"` // 0: the item goes
	Proration    string          `json:"proration"`
	Payment      string          `json:"payment,omitempty"`
	TrialOver    bool            `json:"trialOver,omitempty"`
	Keeps        *stripeapi.Kept `json:"keeps,omitempty"` // nil: what is kept stays
	Extra        *extra          `json:"extra,omitempty"` // nil: nothing is charged beside the item
}

// setAddon sets how many of an add-on there are: more are paid at once or are not had,
// fewer are credited on the next invoice. More of them end a trial: it is of the plan.
func (r *run) setAddon(ctx context.Context) error {
	in, err := input[SetAddon](r.op)
	if err != nil {
		return err
	}
	c, err := choose(ctx, r, stepChange, func() (lineChange, error) { return r.chooseAddon(ctx, in) })
	if err != nil {
		return err
	}
	return r.setLine(ctx, c)
}

func (r *run) chooseAddon(ctx context.Context, in SetAddon) (lineChange, error) {
	now, err := r.present(ctx, changeable)
	if err != nil {
		return lineChange{}, err
	}
	has, found := now.Addons[in.Addon]
	c := lineChange{Subscription: now.ID, Item: has.ID, Price: has.Price, Quantity: in.Quantity, Proration: stripeapi.ProrateLater}
	switch {
	case in.Quantity == has.Quantity: // of one that it does not have, 0
		return c, fault.New(fault.InvalidInput, "quantity is %d, and so many of the add-on %s the tenant has", in.Quantity, in.Addon)
	case in.Quantity > has.Quantity:
		c.Proration, c.Payment = stripeapi.ProrateAtOnce, stripeapi.PayOrFail
	}
	if now.Status == billing.StatusTrialing {
		c.Proration, c.TrialOver = stripeapi.ProrateNot, in.Quantity > has.Quantity
	}
	if found {
		return c, nil
	}
	price, err := r.desk.priceOf(ctx, r.desk.config.DB, "", in.Addon)
	if err != nil {
		return c, err
	}
	c.Price = price.ID
	return c, checkCurrency(price.Currency, now.Currency)
}

// setLine is the step that changes one item of a subscription.
func (r *run) setLine(ctx context.Context, c lineChange) error {
	stripe := r.desk.config.Stripe
	item := stripeapi.ItemChange{ID: c.Item, Quantity: c.Quantity, Deleted: c.Quantity == 0}
	if c.Item == "" {
		item.Price = c.Price
	}
	_, err := r.do(ctx, call{
		step: stepUpdate,
		write: func(ctx context.Context, key string) (string, error) {
			_, err := stripe.UpdateSubscription(ctx, key, c.Subscription, stripeapi.SubscriptionChange{
				Items: []stripeapi.ItemChange{item}, Proration: c.Proration, Payment: c.Payment, TrialOver: c.TrialOver, Kept: c.Keeps,
			})
			return c.Subscription, err
		},
		look: func(ctx context.Context) (string, error) {
			now, err := stripe.Subscription(ctx, c.Subscription)
			if err != nil || quantityOf(now, c.Price) != c.Quantity {
				return "", err
			}
			return c.Subscription, nil
		},
	})
	if err != nil {
		return err
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// quantityOf is how many of a price a subscription has. No two items are of one price
// (Stripe's rule).
func quantityOf(s billing.Subscription, price string) int64 {
	for _, item := range s.Items {
		if item.Price == price {
			return item.Quantity
		}
	}
	return 0
}
