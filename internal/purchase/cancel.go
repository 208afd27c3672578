package purchase

import (
	"context"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

const stepCancel = "cancel"

// ending is how a subscription ends, or goes on.
type ending struct {
	Subscription string `json:"subscription"`
	Now          bool   `json:"now,omitempty"`
	Prorate      bool   `json:"prorate,omitempty"`
	Wake         bool   `json:"wake,omitempty"` // it is paused
}

// cancel ends the subscription, now or with the period. One whose first payment is not
// made ends now; what is not paid for earns no credit.
func (r *run) cancel(ctx context.Context) error {
	in, err := input[Cancel](r.op)
	if err != nil {
		return err
	}
	c, err := choose(ctx, r, stepChange, func() (ending, error) {
		now, err := r.present(ctx, append(changeable, statusUnpaid, statusPaused, statusIncomplete))
		if err != nil {
			return ending{}, err
		}
		if in.AtPeriodEnd && now.CancelAtPeriodEnd {
			return ending{}, fault.New(fault.WrongStatus, "the subscription is canceled already: it ends with its period").With("status", now.Status)
		}
		paid := now.Status == statusActive || now.Status == statusTrialing
		return ending{Subscription: now.ID, Now: !in.AtPeriodEnd || now.Status == statusIncomplete, Prorate: paid}, nil
	})
	if err != nil {
		return err
	}
	if !c.Now {
		return r.endWithPeriod(ctx, c.Subscription, true)
	}
	stripe := r.desk.config.Stripe
	err = r.doTo(ctx, c.Subscription, func(s billing.Subscription) bool { return s.Status == statusCanceled || s.Status == statusExpired },
		func(ctx context.Context, key string) error {
			_, err := stripe.CancelSubscription(ctx, key, c.Subscription, stripeapi.CancelInput{Prorate: c.Prorate, InvoiceNow: c.Prorate})
			return err
		})
	if err != nil {
		return err
	}
	return r.syncSubscription(ctx, c.Subscription)
}

// resume takes a cancellation back that is to come, or wakes a paused subscription.
func (r *run) resume(ctx context.Context) error {
	c, err := choose(ctx, r, stepChange, func() (ending, error) {
		now, err := r.present(ctx, append(changeable, statusUnpaid, statusPaused))
		if err != nil {
			return ending{}, err
		}
		if now.Status != statusPaused && !now.CancelAtPeriodEnd {
			return ending{}, fault.New(fault.WrongStatus, "the subscription is neither canceled nor paused: it goes on").With("status", now.Status)
		}
		return ending{Subscription: now.ID, Wake: now.Status == statusPaused}, nil
	})
	if err != nil {
		return err
	}
	if !c.Wake {
		return r.endWithPeriod(ctx, c.Subscription, false)
	}
	stripe := r.desk.config.Stripe
	err = r.doTo(ctx, c.Subscription, func(s billing.Subscription) bool { return s.Status != statusPaused },
		func(ctx context.Context, key string) error {
			_, err := stripe.ResumeSubscription(ctx, key, c.Subscription)
			return err
		})
	if err != nil {
		return err
	}
	return r.syncSubscription(ctx, c.Subscription)
}

func (r *run) endWithPeriod(ctx context.Context, subscription string, end bool) error {
	stripe := r.desk.config.Stripe
	err := r.doTo(ctx, subscription, func(s billing.Subscription) bool { return s.CancelAtPeriodEnd == end },
		func(ctx context.Context, key string) error {
			_, err := stripe.UpdateSubscription(ctx, key, subscription, stripeapi.SubscriptionChange{CancelAtPeriodEnd: &end})
			return err
		})
	if err != nil {
		return err
	}
	return r.syncSubscription(ctx, subscription)
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
