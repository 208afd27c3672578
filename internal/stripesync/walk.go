package stripesync

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

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
	if err := c.leftOver(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(c.report.Drift, inTurn)
	return c, nil
}

// everybody goes through the lists of all customers. Those that live by a test clock are in
// no list that does not name the clock.
func (c *comparison) everybody(ctx context.Context) error {
	if err := c.lists(ctx, ""); err != nil {
		return err
	}
	if err := c.onClocks(ctx); err != nil {
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

// onClocks goes through the customers of every test clock, which are of test mode.
func (c *comparison) onClocks(ctx context.Context) error {
	stripe := c.sync.config.Stripe
	if stripe.Livemode() {
		return nil
	}
	for clock, err := range stripe.Clocks(ctx) {
		if err != nil {
			return err
		}
		if err := each(c, stripe.Customers(ctx, stripeapi.CustomerFilter{Clock: clock.ID}), c.customer); err != nil {
			return err
		}
	}
	return nil
}

// lists goes at once through the lists of what is a customer's, or everybody's where it is
// empty.
func (c *comparison) lists(ctx context.Context, customer string) error {
	stripe := c.sync.config.Stripe
	all, ctx := errgroup.WithContext(ctx)
	if customer == "" {
		all.Go(func() error { return each(c, stripe.Customers(ctx, stripeapi.CustomerFilter{}), c.customer) })
	}
	all.Go(func() error {
		return each(c, stripe.Subscriptions(ctx, stripeapi.SubscriptionFilter{Customer: customer}), c.listed)
	})
	all.Go(func() error {
		return each(c, stripe.Invoices(ctx, stripeapi.InvoiceFilter{Customer: customer, Since: c.since}), c.invoice)
	})
	all.Go(func() error {
		return each(c, stripe.Charges(ctx, stripeapi.ChargeFilter{Customer: customer, Since: c.since}), c.charge)
	})
	return all.Wait()
}

const ownerEmailSQL = `
SELECT u.email FROM tenants.tenants t JOIN auth.users u ON u.id = t.owner_user_id WHERE t.id = @tenant_id AND u.email IS NOT NULL`

// one goes through what is the tenant's customer's. Without one here it looks, among those
// with the owner's address, for those whose metadata names the tenant: every customer is
// made with that address.
func (c *comparison) one(ctx context.Context) error {
	if customer := c.rows.customerOf[*c.only]; customer != "" {
		return c.ofCustomer(ctx, customer)
	}
	emails, err := texts(ctx, c.sync.config.DB, ownerEmailSQL, pgx.NamedArgs{"tenant_id": *c.only})
	if err != nil {
		return fmt.Errorf("read the owner of %s: %w", c.only, err)
	}
	for _, email := range emails {
		if err := each(c, c.sync.config.Stripe.Customers(ctx, stripeapi.CustomerFilter{Email: email}), c.customer); err != nil {
			return err
		}
	}
	return nil
}

// ofCustomer asks for a customer and goes through the lists of what is its.
func (c *comparison) ofCustomer(ctx context.Context, customer string) error {
	if err := c.examine(ctx, named{kind: Customer, id: customer}); err != nil {
		return err
	}
	err := c.lists(ctx, customer)
	if stripeapi.Is(err, stripeapi.NotFound) || stripeapi.Is(err, stripeapi.Refused) {
		return nil // no lists are of a customer that is gone: what stands here of it is asked for one by one
	}
	return err
}

// leftOver asks for what stands here and was not met. What was final of a customer that was
// deleted is not asked for: Stripe lists it no more.
func (c *comparison) leftOver(ctx context.Context) error {
	deleted := map[id.Tenant]bool{}
	var left []named
	for stripeID, row := range c.rows.customers {
		if deleted[row.TenantID] = row.DeletedAt != nil; !deleted[row.TenantID] {
			left = append(left, named{kind: Customer, id: stripeID})
		}
	}
	for stripeID, row := range c.rows.subscriptions {
		final := row.Status == billing.StatusCanceled || row.Status == billing.StatusIncompleteExpired
		if !final || !deleted[row.TenantID] {
			left = append(left, named{kind: Subscription, id: stripeID})
		}
	}
	for stripeID, row := range c.rows.invoices {
		final := row.Status != billing.InvoiceOpen && row.Status != billing.InvoiceDraft
		if !final || !deleted[row.TenantID] {
			left = append(left, named{kind: Invoice, id: stripeID})
		}
	}
	for stripeID, row := range c.rows.payments {
		if !deleted[row.TenantID] {
			left = append(left, named{kind: Charge, id: stripeID})
		}
	}
	for _, object := range left {
		if err := c.examine(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// examine asks for one object, unless it was compared already, and compares it.
func (c *comparison) examine(ctx context.Context, object named) (err error) {
	if c.met(object.id) {
		return nil
	}
	stripe := c.sync.config.Stripe
	d := Drift{ObjectID: object.id, What: GoneThere, kind: object.kind, customer: object.customer}
	switch object.kind {
	case Customer:
		d.TenantID, d.Here = c.rows.customers[object.id].TenantID, "a customer"
		err = one(ctx, c, stripe.Customer, object.id, c.customer)
	case Subscription:
		row := c.rows.subscriptions[object.id]
		d.TenantID, d.Here = row.TenantID, row.Status
		err = one(ctx, c, stripe.Subscription, object.id, c.subscription)
	case Invoice:
		row := c.rows.invoices[object.id]
		d.TenantID, d.Here = row.TenantID, row.Status
		err = one(ctx, c, stripe.Invoice, object.id, c.invoice)
	case Charge:
		row := c.rows.payments[object.id]
		d.TenantID, d.Here = row.TenantID, row.Status
		err = one(ctx, c, stripe.Charge, object.id, c.charge)
	}
	if !stripeapi.Is(err, stripeapi.NotFound) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[object.id] = true; !d.TenantID.IsZero() {
		c.add(d)
	}
	return nil
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
		case billing.StatusTrialing, billing.StatusActive, billing.StatusPastDue, billing.StatusUnpaid, billing.StatusPaused:
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
