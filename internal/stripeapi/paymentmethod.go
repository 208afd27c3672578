package stripeapi

import (
	"context"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/billing"
)

// PaymentMethod fetches a way to pay, whosever it is.
func (c *Client) PaymentMethod(ctx context.Context, id string) (billing.PaymentMethod, error) {
	return at(id, &stripe.PaymentMethodParams{Params: read(ctx)}, c.api.PaymentMethods.Get, paymentMethod)
}

// AttachPaymentMethod makes a way to pay the customer's. Stripe refuses one that is
// another's, and declines a card that its bank does not let be kept.
func (c *Client) AttachPaymentMethod(ctx context.Context, key, id, customer string) (billing.PaymentMethod, error) {
	return at(id, &stripe.PaymentMethodAttachParams{Params: write(ctx, key), Customer: &customer}, c.api.PaymentMethods.Attach, paymentMethod)
}

func paymentMethod(s *stripe.PaymentMethod) (string, billing.PaymentMethod) {
	found := billing.PaymentMethod{ID: s.ID, Livemode: s.Livemode, Kind: string(s.Type), CreatedAt: moment(s.Created)}
	if s.Customer != nil {
		found.Customer = s.Customer.ID
	}
	if s.Card != nil {
		found.Brand, found.Last4 = string(s.Card.Brand), s.Card.Last4
		found.ExpMonth, found.ExpYear = int(s.Card.ExpMonth), int(s.Card.ExpYear)
	}
	return s.ID, found
}
