package purchase

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepCancel = "cancel"
	stepUnpaid = "unpaid" // whether the first payment was not made when it was ended
	stepKept   = "kept"
)

// ending is how a subscription ends, or goes on.
type ending struct {
	Subscription string `json:"subscription"`
	Wake         bool   `json:"wake,omitempty"` // it is paused
}

// cancel ends the subscription, now or with the period. One whose first payment is not
// made ends now. What is paid beyond now becomes credit; what is not, in past_due, earns
// none, and the invoices that are open stay owed.
func (r *run) cancel(ctx context.Context) error {
	in, err := input[Cancel](r.op)
	if err != nil {
		return err
	}
	c, err := choose(ctx, r, stepChange, func() (ending, error) {
		now, err := r.present(ctx, endable)
		if err != nil {
			return ending{}, err
		}
		if in.AtPeriodEnd && now.CancelAtPeriodEnd {
			if err := r.sync(ctx, objectSubscription, now.ID, now.Customer); err != nil {
				return ending{}, err
			}
			return ending{}, fault.New(fault.WrongStatus, "the subscription is canceled already: it ends with its period").With("status", now.Status)
		}
		return ending{Subscription: now.ID}, nil
	})
	if err != nil {
		return err
	}
	err = r.doTo(ctx, c.Subscription, func(s billing.Subscription) bool { return over(s) || in.AtPeriodEnd && s.CancelAtPeriodEnd },
		func(ctx context.Context, key string) error { return r.endOne(ctx, key, c.Subscription, in.AtPeriodEnd) })
	if err != nil {
		return err
	}
	if string(r.op.Results[stepUnpaid].Chosen) == "true" {
		if err := r.payBack(ctx, c.Subscription); err != nil {
			return err
		}
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// over says whether a subscription has ended.
func over(s billing.Subscription) bool {
	return s.Status == billing.StatusCanceled || s.Status == billing.StatusIncompleteExpired
}

// endOne ends a subscription as it is now, whatever it was when it was last tried: the
// call that ends one has no key that would hold it to what was meant.
func (r *run) endOne(ctx context.Context, key, subscription string, atPeriodEnd bool) error {
	stripe := r.desk.config.Stripe
	now, err := stripe.Subscription(ctx, subscription)
	if err != nil || over(now) {
		return err
	}
	unpaid := now.Status == billing.StatusIncomplete
	if err := r.note(ctx, stepUnpaid, step{Done: true, Chosen: json.RawMessage(strconv.FormatBool(unpaid))}); err != nil {
		return err
	}
	if atPeriodEnd && !unpaid {
		_, err := stripe.UpdateSubscription(ctx, key, subscription, stripeapi.SubscriptionChange{CancelAtPeriodEnd: &atPeriodEnd})
		return err
	}
	if err := r.putBack(ctx, now); err != nil {
		return err
	}
	paid := now.Status == billing.StatusActive || now.Status == billing.StatusTrialing
	_, err = stripe.CancelSubscription(ctx, key, subscription, stripeapi.CancelInput{Prorate: paid, InvoiceNow: paid})
	return err
}

// putBack has the item be what was paid for again, where a cheaper plan was agreed: what
// is left of the period is credited by that.
func (r *run) putBack(ctx context.Context, now billing.Subscription) error {
	clock, err := r.desk.clock(ctx, r.op.TenantID)
	if err != nil || now.KeepsPlan == "" || !clock.Before(now.KeepsUntil) {
		return err
	}
	c, err := choose(ctx, r, stepKept, func() (change, error) {
		lines, err := billing.Sort(ctx, r.desk.config.DB, now.Items)
		if err != nil || lines.PlanItem == nil {
			return change{}, err
		}
		return change{
			Subscription: now.ID, Item: lines.PlanItem.ID, From: place{lines.PlanItem.Price, lines.PlanItem.Quantity},
			Back: &place{now.KeepsPrice, now.KeepsQuantity},
			Was:  &stripeapi.Kept{Plan: now.KeepsPlan, Until: now.KeepsUntil, Price: now.KeepsPrice, Quantity: now.KeepsQuantity},
		}, nil
	})
	if err != nil || c.Back == nil {
		return err
	}
	return r.move(ctx, stepBack, c, *c.Back, stripeapi.SubscriptionChange{Proration: stripeapi.ProrateNot, Kept: &stripeapi.Kept{}})
}

// resume takes a cancellation back that is to come, or wakes a paused subscription.
func (r *run) resume(ctx context.Context) error {
	c, err := choose(ctx, r, stepChange, func() (ending, error) {
		now, err := r.present(ctx, resumable)
		if err != nil {
			return ending{}, err
		}
		if now.Status != billing.StatusPaused && !now.CancelAtPeriodEnd {
			return ending{}, fault.New(fault.WrongStatus, "the subscription is neither canceled nor paused: it goes on").With("status", now.Status)
		}
		return ending{Subscription: now.ID, Wake: now.Status == billing.StatusPaused}, nil
	})
	if err != nil {
		return err
	}
	stripe, goesOn := r.desk.config.Stripe, false
	if c.Wake {
		err = r.doTo(ctx, c.Subscription, func(s billing.Subscription) bool { return s.Status != billing.StatusPaused },
			func(ctx context.Context, key string) error {
				_, err := stripe.ResumeSubscription(ctx, key, c.Subscription)
				return err
			})
	} else {
		err = r.doTo(ctx, c.Subscription, func(s billing.Subscription) bool { return !s.CancelAtPeriodEnd },
			func(ctx context.Context, key string) error {
				_, err := stripe.UpdateSubscription(ctx, key, c.Subscription, stripeapi.SubscriptionChange{CancelAtPeriodEnd: &goesOn})
				return err
			})
	}
	if err != nil {
		return err
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// doTo is the one step of an operation that changes a subscription; is says whether it is
// as it shall be.
func (r *run) doTo(ctx context.Context, subscription string, is func(billing.Subscription) bool, write func(ctx context.Context, key string) error) error {
	_, err := r.do(ctx, call{
		step:  stepCancel,
		write: func(ctx context.Context, key string) (string, error) { return subscription, write(ctx, key) },
		look: func(ctx context.Context) (string, error) {
			now, err := r.desk.config.Stripe.Subscription(ctx, subscription)
			if err != nil || !is(now) {
				return "", err
			}
			return subscription, nil
		},
	})
	return err
}
