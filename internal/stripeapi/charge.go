package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/billing"
)

// ChargeFilter narrows a list of charges; the zero one gives all.
type ChargeFilter struct {
	Customer string
	Since    time.Time // made then or later
}

// Charge fetches one try to be paid.
func (c *Client) Charge(ctx context.Context, id string) (billing.Charge, error) {
	return at(id, &stripe.ChargeParams{Params: read(ctx)}, c.api.Charges.Get, charge)
}

// Charges lists tries to be paid, those that failed too, the newest first.
func (c *Client) Charges(ctx context.Context, filter ChargeFilter) iter.Seq2[billing.Charge, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.Charges.List(&stripe.ChargeListParams{
			ListParams:   page,
			CreatedRange: since(filter.Since),
			Customer:     optional(filter.Customer),
		})
	}, charge)
}

// CreateRefund pays back what of a charge was not yet, and answers the id of that.
func (c *Client) CreateRefund(ctx context.Context, key, charge string, from Origin) (string, error) {
	params := &stripe.RefundParams{Params: write(ctx, key), Charge: &charge, Metadata: from.metadata()}
	return call(params, c.api.Refunds.New, func(s *stripe.Refund) (string, string) { return s.ID, s.ID })
}

func charge(s *stripe.Charge) (string, billing.Charge) {
	found := billing.Charge{
		ID:             s.ID,
		Livemode:       s.Livemode,
		Status:         string(s.Status),
		AmountMinor:    s.Amount,
		RefundedMinor:  s.AmountRefunded,
		Currency:       string(s.Currency),
		FailureCode:    s.FailureCode,
		FailureMessage: s.FailureMessage,
		CreatedAt:      moment(s.Created),
	}
	if s.Customer != nil {
		found.Customer = s.Customer.ID
	}
	if s.Invoice != nil {
		found.Invoice = s.Invoice.ID
	}
	if details := s.PaymentMethodDetails; details != nil && details.Card != nil {
		found.Brand, found.Last4 = string(details.Card.Brand), details.Card.Last4
	}
	return s.ID, found
}
