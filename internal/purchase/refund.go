package purchase

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/billing"
)

// stepRefund is what the names of the steps that pay charges back begin with.
const stepRefund = "refund-"

// payBack pays the first payment of a subscription back that was made in the very moment
// in which the subscription was ended for want of it.
func (r *run) payBack(ctx context.Context, subscription string) error {
	stripe := r.desk.config.Stripe
	ended, err := stripe.Subscription(ctx, subscription)
	if err != nil || ended.LatestInvoice == "" {
		return err
	}
	invoice, err := stripe.Invoice(ctx, ended.LatestInvoice)
	if err != nil {
		return fmt.Errorf("fetch the invoice %s: %w", ended.LatestInvoice, err)
	}
	if invoice.Status != billing.InvoicePaid || invoice.Charge == "" {
		return nil
	}
	returned := func(ctx context.Context) (string, error) {
		charge, err := stripe.Charge(ctx, invoice.Charge)
		if err != nil || charge.RefundedMinor == 0 {
			return "", err
		}
		return charge.ID, nil
	}
	_, err = r.do(ctx, call{step: stepRefund + invoice.Charge, look: returned, write: func(ctx context.Context, key string) (string, error) {
		return stripe.CreateRefund(ctx, key, invoice.Charge, r.origin())
	}})
	if err := afterAll(ctx, err, returned); err != nil {
		return err
	}
	if err := r.sync(ctx, objectInvoice, invoice.ID, ended.Customer); err != nil {
		return err
	}
	return r.sync(ctx, objectCharge, invoice.Charge, ended.Customer)
}
