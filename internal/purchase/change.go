package purchase

import (
	"context"
	"errors"
	"fmt"
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
	Subscription string          `json:"subscription"`
	Item         string          `json:"item"`
	From         place           `json:"from"`           // where the item is
	Back         *place          `json:"back,omitempty"` // what it is put back to first: a cheaper plan was agreed
	To           *place          `json:"to,omitempty"`   // nil: Back is all
	Proration    string          `json:"proration,omitempty"`
	TrialEnd     time.Time       `json:"trialEnd,omitzero"`
	TrialOver    bool            `json:"trialOver,omitempty"`
	Keeps        *stripeapi.Kept `json:"keeps,omitempty"` // holds with To; nil: nothing is kept
	Was          *stripeapi.Kept `json:"was,omitempty"`   // what was kept before
}

// place is so many of a price.
type place struct {
	Price    string `json:"price"`
	Quantity int64  `json:"quantity"`
}

// kept is what the subscription is to say of a plan that holds; nil: as it says.
func (c change) kept() *stripeapi.Kept {
	if c.Keeps == nil && c.Was != nil && c.Back == nil {
		return &stripeapi.Kept{}
	}
	return c.Keeps
}

// payment: what is dearer is paid at once or is not had.
func (c change) payment() string {
	if c.Proration == stripeapi.ProrateAtOnce || c.TrialOver {
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
		how := stripeapi.SubscriptionChange{Proration: c.Proration, Payment: c.payment(), Kept: c.kept(), TrialEnd: c.TrialEnd, TrialOver: c.TrialOver}
		if err := r.move(ctx, stepUpdate, c, *c.To, how); err != nil {
			return err
		}
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// undo takes back what Back did, for a change that failed changes nothing. Its error: that
// is not done yet, and the operation has to go on for it, until it is given up.
func (r *run) undo(ctx context.Context) error {
	name, goal := stepChange, stepUpdate
	switch r.op.Kind {
	case kindChangePlan:
	case kindCancel:
		name, goal = stepKept, stepCancel
	default:
		return nil
	}
	if !r.op.Results[name].Done || r.op.Results[goal].Done {
		return nil
	}
	err := r.restore(ctx, name)
	if err == nil || errors.Is(err, errTaken) {
		return err
	}
	if failureOf(err) == nil && time.Since(r.op.CreatedAt) < givenUp {
		return err
	}
	r.desk.config.Log.Error("a change of plan failed and could not be taken back: the next period would be billed at another price than was agreed; change it at Stripe",
		"tenant", r.op.TenantID.String(), "operation", r.op.ID.String(), "error", err)
	return nil
}

// restore puts the item where it was, unless it is not where Back put it.
func (r *run) restore(ctx context.Context, name string) error {
	c, err := choose(ctx, r, name, func() (change, error) { return change{}, nil })
	if err != nil || c.Back == nil || name == stepChange && c.To == nil {
		return err
	}
	now, err := r.desk.config.Stripe.Subscription(ctx, c.Subscription)
	if err != nil {
		return fmt.Errorf("fetch the subscription %s: %w", c.Subscription, err)
	}
	item, found := itemOf(now, c.Item)
	if !found || now.KeepsPlan != "" || (place{item.Price, item.Quantity}) != *c.Back {
		return nil
	}
	r.undoing = true
	if err := r.move(ctx, stepRestore, c, c.From, stripeapi.SubscriptionChange{Proration: stripeapi.ProrateNot, Kept: c.Was}); err != nil {
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
