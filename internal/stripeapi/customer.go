package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/billing"
)

// CustomerInput is a customer to be.
type CustomerInput struct {
	Origin Origin
	Email  string
	Name   string
	Clock  string // the test clock it lives by; empty: none
}

// CustomerChange is what to change of a customer.
type CustomerChange struct {
	DefaultPaymentMethod string // what invoices are paid by; empty stays
}

// CustomerFilter narrows a list of customers; the zero one gives all that live by no clock.
type CustomerFilter struct {
	Email string    // exactly so
	Clock string    // only those of this test clock
	Since time.Time // made then or later
}

// Customer fetches a customer; one deleted comes back as Deleted. Of one who lives by a test
// clock it fetches that too: this alone tells ClockAt.
func (c *Client) Customer(ctx context.Context, id string) (billing.Customer, error) {
	found, err := at(id, &stripe.CustomerParams{Params: read(ctx)}, c.api.Customers.Get, customer)
	if err != nil || found.ClockID == "" {
		return found, err
	}
	clock, err := c.Clock(ctx, found.ClockID)
	if err != nil {
		return billing.Customer{}, err
	}
	found.ClockAt = clock.At
	return found, nil
}

// Customers lists customers, the newest first. Those deleted are not in it.
func (c *Client) Customers(ctx context.Context, filter CustomerFilter) iter.Seq2[billing.Customer, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.Customers.List(&stripe.CustomerListParams{
			ListParams:   page,
			CreatedRange: since(filter.Since),
			Email:        optional(filter.Email),
			TestClock:    optional(filter.Clock),
		})
	}, customer)
}

// CreateCustomer makes a customer.
func (c *Client) CreateCustomer(ctx context.Context, key string, in CustomerInput) (billing.Customer, error) {
	return call(&stripe.CustomerParams{
		Params:    write(ctx, key),
		Email:     optional(in.Email),
		Metadata:  in.Origin.metadata(),
		Name:      optional(in.Name),
		TestClock: optional(in.Clock),
	}, c.api.Customers.New, customer)
}

// UpdateCustomer changes a customer.
func (c *Client) UpdateCustomer(ctx context.Context, key, id string, in CustomerChange) (billing.Customer, error) {
	params := &stripe.CustomerParams{Params: write(ctx, key)}
	if in.DefaultPaymentMethod != "" {
		params.InvoiceSettings = &stripe.CustomerInvoiceSettingsParams{DefaultPaymentMethod: &in.DefaultPaymentMethod}
	}
	return at(id, params, c.api.Customers.Update, customer)
}

func customer(s *stripe.Customer) (string, billing.Customer) {
	from := origin(s.Metadata)
	found := billing.Customer{
		ID:           s.ID,
		Livemode:     s.Livemode,
		Deleted:      s.Deleted,
		Email:        s.Email,
		Currency:     string(s.Currency),
		BalanceMinor: s.Balance,
		Delinquent:   s.Delinquent,
		Tenant:       from.Tenant,
		Operation:    from.Operation,
		CreatedAt:    moment(s.Created),
	}
	if s.InvoiceSettings != nil && s.InvoiceSettings.DefaultPaymentMethod != nil {
		found.DefaultPaymentMethod = s.InvoiceSettings.DefaultPaymentMethod.ID
	}
	if s.TestClock != nil {
		found.ClockID = s.TestClock.ID
	}
	return s.ID, found
}
