package purchase

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
)

const (
	stepCustomer = "customer"
	stepBuyer    = "buyer"
)

// customer finds the tenant's customer at Stripe, or makes it. What is returned is bound
// to the tenant here: nothing is charged on a customer whose facts would be nobody's.
func (r *run) customer(ctx context.Context, clock string) (string, error) {
	if known := r.op.Results[stepCustomer]; !known.Done {
		present, err := r.presentCustomer(ctx)
		if err != nil {
			return "", err
		}
		if present != "" {
			return r.noteDone(ctx, stepCustomer, known.Generation, present)
		}
	}
	made, err := r.makeCustomer(ctx, clock)
	if err != nil {
		return "", err
	}
	return made, r.bound(ctx, made)
}

// presentCustomer is the customer that the tenant has; empty: none, or it was deleted at
// Stripe.
func (r *run) presentCustomer(ctx context.Context) (string, error) {
	row, err := r.desk.customerRow(ctx, r.op)
	if err != nil || row == nil || row.DeletedAt != nil {
		return "", err
	}
	there, err := r.desk.config.Stripe.Customer(ctx, row.StripeID)
	switch {
	case stripeapi.Is(err, stripeapi.NotFound):
		return "", fault.New(fault.WrongStatus, "Stripe has no customer %s, which the tenant has here: the secret key may be another account's, or of another mode", row.StripeID)
	case err != nil:
		return "", fmt.Errorf("fetch the customer %s: %w", row.StripeID, err)
	case there.Deleted:
		return "", r.desk.config.Sync.Now(ctx, objectCustomer, row.StripeID, row.StripeID)
	}
	return row.StripeID, nil
}

func (d *Desk) customerRow(ctx context.Context, op operation) (*billing.CustomerRow, error) {
	row, err := billing.CustomerOf(ctx, d.config.DB, op.TenantID)
	if fault.Is(err, fault.NotFound) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	return &row, err
}

// makeCustomer is the step that makes one.
func (r *run) makeCustomer(ctx context.Context, clock string) (string, error) {
	who, err := choose(ctx, r, stepBuyer, func() (buyer, error) {
		found, err := pg.One[buyer](ctx, r.desk.config.DB, buyerSQL, pgx.NamedArgs{"tenant_id": r.op.TenantID})
		if err != nil {
			return found, fmt.Errorf("read the owner of %s: %w", r.op.TenantID, pg.Explain(err))
		}
		return found, nil
	})
	if err != nil {
		return "", err
	}
	stripe := r.desk.config.Stripe
	return r.do(ctx, call{
		step: stepCustomer,
		write: func(ctx context.Context, key string) (string, error) {
			made, err := stripe.CreateCustomer(ctx, key, stripeapi.CustomerInput{Origin: r.origin(), Email: who.Email, Name: who.Name, Clock: clock})
			return made.ID, err
		},
		look: func(ctx context.Context) (string, error) {
			list := stripe.Customers(ctx, stripeapi.CustomerFilter{Email: who.Email, Clock: clock})
			made, _, err := find(list, func(c billing.Customer) bool { return c.Operation == r.op.ID })
			return made.ID, err
		},
	})
}

// bound has the customer brought in, and makes sure that it is the tenant's here.
func (r *run) bound(ctx context.Context, customer string) error {
	row, err := r.desk.customerRow(ctx, r.op)
	if err != nil || row != nil && row.StripeID == customer {
		return err
	}
	if err := r.desk.config.Sync.Now(ctx, objectCustomer, customer, customer); err != nil {
		return err
	}
	row, err = r.desk.customerRow(ctx, r.op)
	if err != nil || row != nil && row.StripeID == customer {
		return err
	}
	if row != nil && row.DeletedAt == nil {
		return fault.New(fault.WrongStatus, "the tenant's customer at Stripe became %s meanwhile, and %s is nobody's: delete that one there, and try again", row.StripeID, customer).With("status", "customer")
	}
	return r.unbound(ctx, customer)
}

// unbound says why a customer is not the tenant's: one that somebody deleted at Stripe
// before it came in never will be.
func (r *run) unbound(ctx context.Context, customer string) error {
	there, err := r.desk.config.Stripe.Customer(ctx, customer)
	switch {
	case err != nil:
		return fmt.Errorf("fetch the customer %s: %w", customer, err)
	case there.Deleted:
		return fault.New(fault.WrongStatus, "the customer %s, which was made for this, was deleted at Stripe at once; try again", customer).With("status", "customer")
	}
	return pending(r.op, errors.New("the customer "+customer+" is not bound to the tenant yet"))
}
