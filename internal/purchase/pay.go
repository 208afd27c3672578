package purchase

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

const stepOwed = "owed"

// owed is what a new payment method is for at once.
type owed struct {
	Subscription string   `json:"subscription"` // empty: none
	Invoices     []string `json:"invoices"`     // that are open, the oldest first
}

// setPaymentMethod makes a payment method the one that is charged, and has what is owed
// paid by it. Where that is declined the method stays.
func (r *run) setPaymentMethod(ctx context.Context) error {
	in, err := input[SetPaymentMethod](r.op)
	if err != nil {
		return err
	}
	if err := r.ownMethod(ctx, in.PaymentMethod); err != nil {
		return err
	}
	customer, err := r.customer(ctx, "")
	if err != nil {
		return err
	}
	method, err := r.attach(ctx, in.PaymentMethod, customer)
	if err != nil {
		return err
	}
	owed, err := choose(ctx, r, stepOwed, func() (owed, error) { return r.owed(ctx) })
	if err != nil {
		return err
	}
	if owed.Subscription == "" {
		return r.syncMethod(ctx, customer, method)
	}
	if err := r.chargeTo(ctx, owed.Subscription, method); err != nil {
		return err
	}
	for _, invoice := range owed.Invoices {
		if err = r.pay(ctx, invoice, method); err != nil {
			break
		}
	}
	if err != nil && !stripeapi.Is(err, stripeapi.Declined) {
		return err
	}
	return errors.Join(r.syncPaid(ctx, customer, method, owed), err)
}

func (r *run) syncMethod(ctx context.Context, customer, method string) error {
	if err := r.sync(ctx, objectCustomer, customer, customer); err != nil {
		return err
	}
	return r.sync(ctx, objectPaymentMethod, method, customer)
}

func (r *run) syncPaid(ctx context.Context, customer, method string, paid owed) error {
	if err := r.sync(ctx, objectPaymentMethod, method, customer); err != nil {
		return err
	}
	for _, invoice := range paid.Invoices {
		if err := r.sync(ctx, objectInvoice, invoice, customer); err != nil {
			return err
		}
	}
	return r.syncSubscription(ctx, paid.Subscription)
}

// owed is the tenant's subscription and its invoices that are open.
func (r *run) owed(ctx context.Context) (owed, error) {
	main, err := billing.MainOf(ctx, r.desk.config.DB, r.op.TenantID)
	if fault.Is(err, fault.NoSubscription) {
		return owed{}, nil
	}
	if err != nil {
		return owed{}, err
	}
	stripe := r.desk.config.Stripe
	now, err := stripe.Subscription(ctx, main.StripeID)
	if err != nil {
		return owed{}, fmt.Errorf("fetch the subscription %s: %w", main.StripeID, err)
	}
	if now.Status == billing.StatusCanceled || now.Status == billing.StatusIncompleteExpired {
		return owed{}, nil
	}
	found := owed{Subscription: now.ID}
	for invoice, err := range stripe.Invoices(ctx, stripeapi.InvoiceFilter{Subscription: now.ID, Status: "open"}) {
		if err != nil {
			return owed{}, fmt.Errorf("list the open invoices of %s: %w", now.ID, err)
		}
		found.Invoices = append(found.Invoices, invoice.ID)
	}
	slices.Reverse(found.Invoices) // Stripe lists the newest first
	return found, nil
}

// chargeTo has a subscription paid by the method: one that was bought in a checkout has
// one of its own, before which the customer's counts for nothing.
func (r *run) chargeTo(ctx context.Context, subscription, method string) error {
	stripe := r.desk.config.Stripe
	_, err := r.do(ctx, call{
		step: "charge-to",
		write: func(ctx context.Context, key string) (string, error) {
			_, err := stripe.UpdateSubscription(ctx, key, subscription, stripeapi.SubscriptionChange{DefaultPaymentMethod: method})
			return subscription, err
		},
		look: func(context.Context) (string, error) { return "", nil }, // to do it again does nothing more
	})
	return err
}

func (r *run) pay(ctx context.Context, invoice, method string) error {
	stripe := r.desk.config.Stripe
	paid := func(ctx context.Context) (string, error) {
		now, err := stripe.Invoice(ctx, invoice)
		if err != nil || now.Status != "paid" {
			return "", err
		}
		return invoice, nil
	}
	_, err := r.do(ctx, call{step: "pay-" + invoice, look: paid, write: func(ctx context.Context, key string) (string, error) {
		_, err := stripe.PayInvoice(ctx, key, invoice, method)
		return invoice, err
	}})
	return afterAll(ctx, err, paid)
}
