package purchase

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepAttach  = "attach"
	stepDefault = "default"
)

// ownMethod refuses a payment method that is another customer's, in the words for one that
// does not exist: nobody learns what others have.
func (r *run) ownMethod(ctx context.Context, method string) error {
	if r.op.Results[stepAttach].Done {
		return nil
	}
	customer := r.op.Results[stepCustomer].ID
	if customer == "" {
		row, err := r.desk.customerRow(ctx, r.op)
		if err != nil {
			return err
		}
		if row != nil && row.DeletedAt == nil {
			customer = row.StripeID
		}
	}
	found, err := r.desk.config.Stripe.PaymentMethod(ctx, method)
	if stripeapi.Is(err, stripeapi.NotFound) || err == nil && found.Customer != "" && found.Customer != customer {
		return fault.New(fault.NotFound, "there is no payment method %.80q here", method)
	}
	if err != nil {
		return fmt.Errorf("fetch the payment method %s: %w", method, err)
	}
	return nil
}

// attach makes the payment method the customer's, and the one that is charged. It may get
// another id in that.
func (r *run) attach(ctx context.Context, method, customer string) (string, error) {
	stripe := r.desk.config.Stripe
	already := func(ctx context.Context) (string, error) {
		found, err := stripe.PaymentMethod(ctx, method)
		if err != nil || found.Customer != customer {
			return "", err
		}
		return found.ID, nil
	}
	attached, err := r.do(ctx, call{
		step: stepAttach,
		look: already,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.AttachPaymentMethod(ctx, key, method, customer)
			return made.ID, err
		},
	})
	if stripeapi.Is(err, stripeapi.Refused) {
		if owned := r.ownMethod(ctx, method); owned != nil { // it became another's meanwhile
			return "", owned
		}
		if attached, err = method, afterAll(ctx, err, already); err == nil {
			_, err = r.noteDone(ctx, stepAttach, r.op.Results[stepAttach].Generation, method)
		}
	}
	if err != nil {
		return "", err
	}
	return attached, r.setDefault(ctx, attached, customer)
}

func (r *run) setDefault(ctx context.Context, method, customer string) error {
	stripe := r.desk.config.Stripe
	_, err := r.do(ctx, call{
		step: stepDefault,
		write: func(ctx context.Context, key string) (string, error) {
			_, err := stripe.UpdateCustomer(ctx, key, customer, stripeapi.CustomerChange{DefaultPaymentMethod: method})
			return method, err
		},
		look: func(ctx context.Context) (string, error) {
			found, err := stripe.Customer(ctx, customer)
			if err != nil || found.DefaultPaymentMethod != method {
				return "", err
			}
			return method, nil
		},
	})
	return err
}
