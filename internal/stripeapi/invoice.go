package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/billing"
)

// InvoiceInput is an invoice of its own, of no subscription, that Stripe finishes and
// collects by itself.
type InvoiceInput struct {
	Origin   Origin
	Customer string
	Currency string
	Pending  bool // with the customer's items that wait for an invoice; else empty
}

// InvoiceFilter narrows a list of invoices; the zero one gives all.
type InvoiceFilter struct {
	Customer     string
	Subscription string
	Status       string    // draft, open, paid, void or uncollectible
	Since        time.Time // made then or later
}

var expandPayment = []*string{stripe.String("payment_intent")}

// Invoice fetches an invoice, with what its customer has to do to pay it.
func (c *Client) Invoice(ctx context.Context, id string) (billing.Invoice, error) {
	return at(id, &stripe.InvoiceParams{Params: read(ctx), Expand: expandPayment}, c.api.Invoices.Get, invoice)
}

// Invoices lists invoices, the newest first. Their ClientSecret and ActionRequired are not
// told.
func (c *Client) Invoices(ctx context.Context, filter InvoiceFilter) iter.Seq2[billing.Invoice, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.Invoices.List(&stripe.InvoiceListParams{
			ListParams:   page,
			CreatedRange: since(filter.Since),
			Customer:     optional(filter.Customer),
			Status:       optional(filter.Status),
			Subscription: optional(filter.Subscription),
		})
	}, invoice)
}

// CreateInvoice makes a draft, which Stripe finishes within about an hour.
func (c *Client) CreateInvoice(ctx context.Context, key string, in InvoiceInput) (billing.Invoice, error) {
	pending := "exclude"
	if in.Pending {
		pending = "include"
	}
	return call(&stripe.InvoiceParams{
		Params:                      write(ctx, key),
		AutoAdvance:                 stripe.Bool(true),
		Currency:                    optional(in.Currency),
		Customer:                    &in.Customer,
		Expand:                      expandPayment,
		Metadata:                    in.Origin.metadata(),
		PendingInvoiceItemsBehavior: &pending,
	}, c.api.Invoices.New, invoice)
}

// PayInvoice tries to have an open invoice paid now, by the way to pay that is named, or
// where it is empty by the one that stands for it.
func (c *Client) PayInvoice(ctx context.Context, key, id, paymentMethod string) (billing.Invoice, error) {
	return at(id, &stripe.InvoicePayParams{
		Params:        write(ctx, key),
		Expand:        expandPayment,
		PaymentMethod: optional(paymentMethod),
	}, c.api.Invoices.Pay, invoice)
}

func invoice(s *stripe.Invoice) (string, billing.Invoice) {
	found := billing.Invoice{
		ID:             s.ID,
		Livemode:       s.Livemode,
		Number:         s.Number,
		Status:         string(s.Status),
		Reason:         string(s.BillingReason),
		Currency:       string(s.Currency),
		SubtotalMinor:  s.Subtotal,
		TaxMinor:       s.Tax,
		TotalMinor:     s.Total,
		DueMinor:       s.AmountDue,
		PaidMinor:      s.AmountPaid,
		RemainingMinor: s.AmountRemaining,
		Attempts:       int(s.AttemptCount),
		NextAttemptAt:  moment(s.NextPaymentAttempt),
		PeriodStart:    moment(s.PeriodStart),
		PeriodEnd:      moment(s.PeriodEnd),
		HostedURL:      s.HostedInvoiceURL,
		PDFURL:         s.InvoicePDF,
		CreatedAt:      moment(s.Created),
	}
	connect(s, &found)
	return s.ID, found
}

// connect fills in what an invoice takes from the objects it hangs together with.
func connect(s *stripe.Invoice, found *billing.Invoice) {
	if s.Customer != nil {
		found.Customer = s.Customer.ID
	}
	if s.Subscription != nil {
		found.Subscription = s.Subscription.ID
	}
	if s.Charge != nil {
		found.Charge = s.Charge.ID
	}
	if s.StatusTransitions != nil {
		found.FinalizedAt = moment(s.StatusTransitions.FinalizedAt)
		found.PaidAt = moment(s.StatusTransitions.PaidAt)
	}
	if s.PaymentIntent != nil {
		pay(s.PaymentIntent, found)
	}
}

// pay tells what the customer may do to pay: confirm the payment, or try another card.
func pay(payment *stripe.PaymentIntent, found *billing.Invoice) {
	switch payment.Status {
	case stripe.PaymentIntentStatusRequiresAction:
		found.ActionRequired, found.ClientSecret = true, payment.ClientSecret
	case stripe.PaymentIntentStatusRequiresPaymentMethod, stripe.PaymentIntentStatusRequiresConfirmation:
		found.ClientSecret = payment.ClientSecret
	}
}
