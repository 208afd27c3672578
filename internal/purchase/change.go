package purchase

import (
	"context"
	"time"

	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepChange  = "change"
	stepBack    = "back"
	stepUpdate  = "update"
	stepRestore = "restore"
)

// change is what a change of plan does to the subscription.
type change struct {
	Subscription string    `json:"subscription"`
	Item         string    `json:"item"`
	From         place     `json:"from"`           // where the item is
	Back         *place    `json:"back,omitempty"` // what it is put back to first: a cheaper plan was agreed
	To           *place    `json:"to,omitempty"`   // nil: Back is all
	Proration    string    `json:"proration,omitempty"`
	KeepsPlan    string    `json:"keepsPlan,omitempty"` // holds with To until KeepsUntil; empty: nothing is kept
	KeepsUntil   time.Time `json:"keepsUntil,omitzero"`
	WasKept      string    `json:"wasKept,omitempty"` // as KeepsPlan was, until WasUntil
	WasUntil     time.Time `json:"wasUntil,omitzero"`
}

// place is so many of a price.
type place struct {
	Price    string `json:"price"`
	Quantity int64  `json:"quantity"`
}

// kept is what the subscription is to say of a plan that holds; nil: as it says.
func (c change) kept() *stripeapi.Kept {
	if c.KeepsPlan == "" && (c.WasKept == "" || c.Back != nil) {
		return nil
	}
	return &stripeapi.Kept{Plan: c.KeepsPlan, Until: c.KeepsUntil}
}

// payment: what is dearer is paid at once or is not had.
func (c change) payment() string {
	if c.Proration == stripeapi.ProrateAtOnce {
		return stripeapi.PayOrFail
	}
	return ""
}

// changePlan moves the subscription to another plan.
func (r *run) changePlan(ctx context.Context) error {
	in, err := input[ChangePlan](r.op)
	if err != nil {
		return err
	}
	c, err := choose(ctx, r, stepChange, func() (change, error) { return r.chooseChange(ctx, in.Plan) })
	if err != nil {
		return err
	}
	if c.Back != nil {
		if err := r.move(ctx, stepBack, c, *c.Back, stripeapi.SubscriptionChange{Proration: stripeapi.ProrateNot, Kept: &stripeapi.Kept{}}); err != nil {
			return err
		}
	}
	if c.To != nil {
		err := r.move(ctx, stepUpdate, c, *c.To, stripeapi.SubscriptionChange{Proration: c.Proration, Payment: c.payment(), Kept: c.kept()})
		if stripeapi.Is(err, stripeapi.Declined) && c.Back != nil {
			if again := r.restore(ctx, c); again != nil {
				return again
			}
		}
		if err != nil {
			return err
		}
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// restore takes back what Back did, for a change that is not paid changes nothing.
func (r *run) restore(ctx context.Context, c change) error {
	kept := &stripeapi.Kept{Plan: c.WasKept, Until: c.WasUntil}
	if err := r.move(ctx, stepRestore, c, c.From, stripeapi.SubscriptionChange{Proration: stripeapi.ProrateNot, Kept: kept}); err != nil {
		return err
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// move is the step that puts the plan's item at another price.
func (r *run) move(ctx context.Context, name string, c change, to place, how stripeapi.SubscriptionChange) error {
	stripe := r.desk.config.Stripe
	how.Items = []stripeapi.ItemChange{{ID: c.Item, Price: to.Price, Quantity: to.Quantity}}
	_, err := r.do(ctx, call{
		step: name,
		write: func(ctx context.Context, key string) (string, error) {
			_, err := stripe.UpdateSubscription(ctx, key, c.Subscription, how)
			return c.Subscription, err
		},
		look: func(ctx context.Context) (string, error) {
			now, err := stripe.Subscription(ctx, c.Subscription)
			if err != nil {
				return "", err
			}
			item, found := itemOf(now, c.Item)
			asKept := how.Kept == nil || how.Kept.Plan == now.KeepsPlan
			if !found || item.Price != to.Price || item.Quantity != to.Quantity || !asKept {
				return "", nil
			}
			return c.Subscription, nil
		},
	})
	return err
}
