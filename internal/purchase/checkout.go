package purchase

import (
	"context"
	"fmt"
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

const stepCheckout = "checkout"

// checkout opens a page where the plan is bought. Its address lets whoever has it pay: it
// is asked for when it is told, and kept nowhere.
func (r *run) checkout(ctx context.Context) error {
	in, err := input[Checkout](r.op)
	if err != nil {
		return err
	}
	customer, err := r.customer(ctx, "")
	if err != nil {
		return err
	}
	begin, err := r.terms(ctx, customer, in.Plan)
	if err != nil {
		return err
	}
	stripe := r.desk.config.Stripe
	_, err = r.do(ctx, call{
		step: stepCheckout,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateCheckoutSession(ctx, key, stripeapi.CheckoutInput{
				Origin: r.origin(), Customer: customer, TrialDays: begin.TrialDays, SuccessURL: in.SuccessURL, CancelURL: in.CancelURL,
				Items: []stripeapi.SubscriptionItem{{Price: begin.Price, Quantity: begin.Quantity}},
			})
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			list := stripe.CheckoutSessions(ctx, stripeapi.CheckoutFilter{Customer: customer})
			made, _, err := find(list, func(s stripeapi.CheckoutSession) bool { return s.Operation == r.op.ID })
			return made.ID, err
		},
	})
	return err
}

func (d *Desk) tellCheckout(ctx context.Context, op operation, told *Result) error {
	session, err := d.config.Stripe.CheckoutSession(ctx, op.Results[stepCheckout].ID)
	if err != nil {
		return pending(op, fmt.Errorf("fetch the checkout of the operation %s: %w", op.ID, err))
	}
	told.URL, told.ExpiresAt = session.URL, session.ExpiresAt
	return nil
}

// portal needs a customer who is there; the page is opened when its address is told.
func (r *run) portal(ctx context.Context) error {
	if r.op.Results[stepCustomer].Done {
		return nil
	}
	customer, err := r.presentCustomer(ctx)
	if err == nil && customer == "" {
		err = neverBought()
	}
	if err != nil {
		return err
	}
	_, err = r.noteDone(ctx, stepCustomer, 0, customer)
	return err
}

func neverBought() error {
	return fault.New(fault.NoSubscription, "the tenant has no customer at Stripe whose payments could be shown; subscribe first")
}

// tellPortal opens the page. The same operation gets the same page.
func (d *Desk) tellPortal(ctx context.Context, op operation, told *Result) error {
	in, err := input[Portal](op)
	if err != nil {
		return err
	}
	if time.Since(op.CreatedAt) > keysLive {
		return fault.New(fault.WrongStatus, "the page of the operation %s is closed; open another", op.ID)
	}
	open := func(key string) (string, error) {
		return d.config.Stripe.CreatePortalSession(ctx, key, op.Results[stepCustomer].ID, in.ReturnURL)
	}
	none := func() (string, bool, error) { return "", false, nil } // pages cannot be looked up, and cost nothing
	told.URL, err = again(ctx, fmt.Sprintf("nself:%s:portal", op.ID), open, none)
	if err != nil {
		if how := failureOf(err); how != nil {
			return how.fault()
		}
		return fault.New(fault.Unavailable, "Stripe did not open the page; ask for another").Because(err)
	}
	return nil
}
