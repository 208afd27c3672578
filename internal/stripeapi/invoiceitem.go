package stripeapi

import (
	"context"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/nself/tenancy/internal/id"
)

// InvoiceItemInput is a line to be of an invoice.
type InvoiceItemInput struct {
	Origin       Origin
	Customer     string
	Subscription string // whose next invoice gets it; empty: Invoice, or else any of the customer's
	Invoice      string // the draft that gets it; empty: the next one
	AmountMinor  int64
	Currency     string
	Description  string
	Meter        string    // what was used, kept with the item
	PeriodStart  time.Time // when it was used, and kept with the item
	PeriodEnd    time.Time
}

// InvoiceItem is a line of an invoice that somebody added.
type InvoiceItem struct {
	ID           string
	Livemode     bool
	Customer     string
	Subscription string // empty: of none
	Invoice      string // empty: it waits for one
	AmountMinor  int64
	Currency     string
	Description  string
	Tenant       id.Tenant    // of its metadata; zero: none
	Operation    id.Operation // of its metadata; zero: none
	Meter        string       // of its metadata; empty: none
	PeriodStart  time.Time
	PeriodEnd    time.Time
	CreatedAt    time.Time
}

// InvoiceItemFilter narrows a list of invoice items; the zero one gives all.
type InvoiceItemFilter struct {
	Customer string
	Invoice  string
	Since    time.Time // made then or later
}

// InvoiceItems lists invoice items, the newest first.
func (c *Client) InvoiceItems(ctx context.Context, filter InvoiceItemFilter) iter.Seq2[InvoiceItem, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.InvoiceItems.List(&stripe.InvoiceItemListParams{
			ListParams:   page,
			CreatedRange: since(filter.Since),
			Customer:     optional(filter.Customer),
			Invoice:      optional(filter.Invoice),
		})
	}, invoiceItem)
}

// CreateInvoiceItem adds a line.
func (c *Client) CreateInvoiceItem(ctx context.Context, key string, in InvoiceItemInput) (InvoiceItem, error) {
	metadata := in.Origin.metadata()
	if in.Meter != "" {
		metadata[metadataMeter] = in.Meter
		metadata[metadataPeriod] = in.PeriodStart.UTC().Format(time.RFC3339)
	}
	params := &stripe.InvoiceItemParams{
		Params:       write(ctx, key),
		Amount:       &in.AmountMinor,
		Currency:     &in.Currency,
		Customer:     &in.Customer,
		Description:  optional(in.Description),
		Invoice:      optional(in.Invoice),
		Metadata:     metadata,
		Subscription: optional(in.Subscription),
	}
	if !in.PeriodStart.IsZero() {
		params.Period = &stripe.InvoiceItemPeriodParams{Start: stripe.Int64(in.PeriodStart.Unix()), End: stripe.Int64(in.PeriodEnd.Unix())}
	}
	return call(params, c.api.InvoiceItems.New, invoiceItem)
}

func invoiceItem(s *stripe.InvoiceItem) (string, InvoiceItem) {
	from := origin(s.Metadata)
	found := InvoiceItem{
		ID:          s.ID,
		Livemode:    s.Livemode,
		AmountMinor: s.Amount,
		Currency:    string(s.Currency),
		Description: s.Description,
		Tenant:      from.Tenant,
		Operation:   from.Operation,
		Meter:       s.Metadata[metadataMeter],
		CreatedAt:   moment(s.Date),
	}
	if s.Customer != nil {
		found.Customer = s.Customer.ID
	}
	if s.Subscription != nil {
		found.Subscription = s.Subscription.ID
	}
	if s.Invoice != nil {
		found.Invoice = s.Invoice.ID
	}
	if s.Period != nil {
		found.PeriodStart, found.PeriodEnd = moment(s.Period.Start), moment(s.Period.End)
	}
	return s.ID, found
}
