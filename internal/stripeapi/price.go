package stripeapi

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// Product is what prices are of.
type Product struct {
	ID       string // of our choosing
	Livemode bool
	Name     string // what customers read
	Active   bool
}

// Price is what one of a product costs.
type Price struct {
	ID          string
	Livemode    bool
	Product     string
	LookupKey   string // at most one price has it; empty: none
	AmountMinor int64
	Currency    string
	Interval    string // month, …; empty: once
	Every       int64  // so many intervals
	Active      bool   // it can be bought
	CreatedAt   time.Time
}

// PriceInput is a monthly price to be.
type PriceInput struct {
	Product     string
	LookupKey   string // taken over from the price that has it
	AmountMinor int64
	Currency    string
}

// PriceFilter narrows a list of prices; the zero one gives all, inactive ones too.
type PriceFilter struct {
	LookupKeys []string
	Product    string
}

// lookupKeysAtOnce is the most that Stripe takes.
const lookupKeysAtOnce = 10

// Product fetches a product.
func (c *Client) Product(ctx context.Context, id string) (Product, error) {
	return at(id, &stripe.ProductParams{Params: read(ctx)}, c.api.Products.Get, product)
}

// CreateProduct makes a product with the id and the name that are given.
func (c *Client) CreateProduct(ctx context.Context, key, id, name string) (Product, error) {
	return call(&stripe.ProductParams{Params: write(ctx, key), ID: &id, Name: &name}, c.api.Products.New, product)
}

// Prices lists prices, the newest first.
func (c *Client) Prices(ctx context.Context, filter PriceFilter) iter.Seq2[Price, error] {
	if len(filter.LookupKeys) == 0 {
		return c.prices(ctx, filter)
	}
	return func(yield func(Price, error) bool) {
		for keys := range slices.Chunk(filter.LookupKeys, lookupKeysAtOnce) {
			for price, err := range c.prices(ctx, PriceFilter{LookupKeys: keys, Product: filter.Product}) {
				if !yield(price, err) || err != nil {
					return
				}
			}
		}
	}
}

func (c *Client) prices(ctx context.Context, filter PriceFilter) iter.Seq2[Price, error] {
	return list(ctx, func(page stripe.ListParams) pager {
		return c.api.Prices.List(&stripe.PriceListParams{
			ListParams: page,
			LookupKeys: stripe.StringSlice(filter.LookupKeys),
			Product:    optional(filter.Product),
		})
	}, price)
}

// CreatePrice makes a price, paid each month for each unit.
func (c *Client) CreatePrice(ctx context.Context, key string, in PriceInput) (Price, error) {
	return call(&stripe.PriceParams{
		Params:            write(ctx, key),
		Currency:          &in.Currency,
		LookupKey:         &in.LookupKey,
		Product:           &in.Product,
		Recurring:         &stripe.PriceRecurringParams{Interval: stripe.String(string(stripe.PriceRecurringIntervalMonth))},
		TransferLookupKey: stripe.Bool(true),
		UnitAmount:        &in.AmountMinor,
	}, c.api.Prices.New, price)
}

func product(s *stripe.Product) (string, Product) {
	return s.ID, Product{ID: s.ID, Livemode: s.Livemode, Name: s.Name, Active: s.Active}
}

func price(s *stripe.Price) (string, Price) {
	found := Price{
		ID:          s.ID,
		Livemode:    s.Livemode,
		LookupKey:   s.LookupKey,
		AmountMinor: s.UnitAmount,
		Currency:    string(s.Currency),
		Active:      s.Active,
		CreatedAt:   moment(s.Created),
	}
	if s.Product != nil {
		found.Product = s.Product.ID
	}
	if s.Recurring != nil {
		found.Interval, found.Every = string(s.Recurring.Interval), s.Recurring.IntervalCount
	}
	return s.ID, found
}
