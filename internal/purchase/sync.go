package purchase

import (
	"context"
	"fmt"
)

// sync has the present state of an object brought in.
func (r *run) sync(ctx context.Context, kind, object, customer string) error {
	if object == "" {
		return nil
	}
	if err := r.renew(ctx); err != nil {
		return err
	}
	if err := r.desk.config.Sync.Now(ctx, kind, object, customer); err != nil {
		return fmt.Errorf("bring in %s: %w", object, err)
	}
	return nil
}

// syncNew brings in what subscribing made.
func (r *run) syncNew(ctx context.Context, customer, method, subscription string) error {
	if err := r.sync(ctx, objectPaymentMethod, method, customer); err != nil {
		return err
	}
	return r.syncSubscription(ctx, subscription)
}

// syncSubscription brings in a subscription, what it was last billed, and its customer, who
// may have got credit.
func (r *run) syncSubscription(ctx context.Context, subscription string) error {
	now, err := r.desk.config.Stripe.Subscription(ctx, subscription)
	if err != nil {
		return fmt.Errorf("fetch the subscription %s: %w", subscription, err)
	}
	if err := r.sync(ctx, objectCustomer, now.Customer, now.Customer); err != nil {
		return err
	}
	if err := r.sync(ctx, objectSubscription, now.ID, now.Customer); err != nil {
		return err
	}
	return r.sync(ctx, objectInvoice, now.LatestInvoice, now.Customer)
}
