package stripesync

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/stripeapi"
)

// compare goes through what Stripe has of everybody, or of one tenant, and after that asks
// for each object that stands here and was in no list.
func (s *Sync) compare(ctx context.Context, only *id.Tenant, progress func(int)) (*comparison, error) {
	c, err := s.newComparison(ctx, only, progress)
	if err != nil {
		return nil, err
	}
	walk := c.everybody
	if only != nil {
		walk = c.one
	}
	if err := walk(ctx); err != nil {
		return nil, fmt.Errorf("go through Stripe's lists: %w", err)
	}
	return c, c.leftOver(ctx)
}

// everybody goes through the lists of all customers. Those that live by a test clock are in
// no list that does not name the clock.
func (c *comparison) everybody(ctx context.Context) error {
	stripe := c.sync.config.Stripe
	if err := each(stripe.Customers(ctx, stripeapi.CustomerFilter{}), c.customer); err != nil {
		return err
	}
	if err := each(stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{}), c.subscription); err != nil {
		return err
	}
	if err := each(stripe.Invoices(ctx, stripeapi.InvoiceFilter{Since: c.since}), c.invoice); err != nil {
		return err
	}
	for _, row := range c.rows.customers {
		if row.ClockID == nil || row.DeletedAt != nil {
			continue
		}
		if err := c.ofCustomer(ctx, row.StripeID); err != nil {
			return err
		}
	}
	return nil
}

// one goes through what is the tenant's customer's. Without one here it looks for those
// whose metadata names the tenant.
func (c *comparison) one(ctx context.Context) error {
	customer := c.rows.customerOf[*c.only]
	if customer == "" {
		return each(c.sync.config.Stripe.Customers(ctx, stripeapi.CustomerFilter{}), c.customer)
	}
	return c.ofCustomer(ctx, customer)
}

// ofCustomer asks for a customer and goes through the lists of what is its.
func (c *comparison) ofCustomer(ctx context.Context, customer string) error {
	stripe := c.sync.config.Stripe
	if err := c.examine(ctx, named{kind: Customer, id: customer}); err != nil {
		return err
	}
	err := each(stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: customer}), c.subscription)
	if err == nil {
		err = each(stripe.Invoices(ctx, stripeapi.InvoiceFilter{Customer: customer, Since: c.since}), c.invoice)
	}
	if stripeapi.Is(err, stripeapi.NotFound) || stripeapi.Is(err, stripeapi.Refused) {
		return nil // no lists are of a customer that is gone: what stands here of it is asked for one by one
	}
	return err
}

// leftOver asks for what stands here and was not met. What was final of a customer that was
// deleted is not asked for: Stripe lists it no more.
func (c *comparison) leftOver(ctx context.Context) error {
	deleted := map[id.Tenant]bool{}
	for stripeID, row := range c.rows.customers {
		if deleted[row.TenantID] = row.DeletedAt != nil; row.DeletedAt != nil {
			continue
		}
		if err := c.examine(ctx, named{kind: Customer, id: stripeID}); err != nil {
			return err
		}
	}
	for stripeID, row := range c.rows.subscriptions {
		if deleted[row.TenantID] && (row.Status == "canceled" || row.Status == "incomplete_expired") {
			continue
		}
		if err := c.examine(ctx, named{kind: Subscription, id: stripeID}); err != nil {
			return err
		}
	}
	for stripeID, row := range c.rows.invoices {
		if deleted[row.TenantID] && row.Status != "open" && row.Status != "draft" {
			continue
		}
		if err := c.examine(ctx, named{kind: Invoice, id: stripeID}); err != nil {
			return err
		}
	}
	return nil
}

// examine asks for one object, unless it was compared already, and compares it.
func (c *comparison) examine(ctx context.Context, object named) (err error) {
	if c.seen[object.id] {
		return nil
	}
	stripe := c.sync.config.Stripe
	d := Drift{ObjectID: object.id, What: GoneThere, kind: object.kind, customer: object.customer}
	switch object.kind {
	case Customer:
		d.TenantID, d.Here = c.rows.customers[object.id].TenantID, "a customer"
		err = one(ctx, object.id, stripe.Customer, c.customer)
	case Subscription:
		row := c.rows.subscriptions[object.id]
		d.TenantID, d.Here = row.TenantID, row.Status
		err = one(ctx, object.id, stripe.Subscription, c.subscription)
	case Invoice:
		row := c.rows.invoices[object.id]
		d.TenantID, d.Here = row.TenantID, row.Status
		err = one(ctx, object.id, stripe.Invoice, c.invoice)
	}
	if !stripeapi.Is(err, stripeapi.NotFound) {
		return err
	}
	if c.seen[object.id] = true; !d.TenantID.IsZero() {
		c.add(d)
	}
	return nil
}

// one does the work for a single object.
func one[T any](ctx context.Context, object string, fetch func(context.Context, string) (T, error), work func(T)) error {
	found, err := fetch(ctx, object)
	if err == nil {
		work(found)
	}
	return err
}

// secondSubscriptions are those that run beside the one that the account goes by.
func (s *Sync) secondSubscriptions(ctx context.Context, only *id.Tenant) ([]Drift, error) {
	all, err := billing.Subscriptions(ctx, s.config.DB, only)
	if err != nil {
		return nil, err
	}
	main := map[id.Tenant]string{}
	for _, row := range all {
		if row.Main {
			main[row.TenantID] = row.StripeID
		}
	}
	var found []Drift
	for _, row := range all {
		switch row.Status {
		case "trialing", "active", "past_due", "unpaid", "paused":
			if !row.Main {
				found = append(found, Drift{
					TenantID: row.TenantID, ObjectID: row.StripeID, What: SecondSubscription, kind: Subscription,
					Here: row.Status + ", beside " + main[row.TenantID], There: "cancel one of them",
				})
			}
		}
	}
	return found, nil
}
