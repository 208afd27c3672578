package stripesync

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// rows are what stands here, by Stripe's ids.
type rows struct {
	customers     map[string]billing.CustomerRow
	subscriptions map[string]billing.SubscriptionRow
	invoices      map[string]billing.InvoiceRow
	customerOf    map[id.Tenant]string
	prices        map[string]bool
}

// comparison goes through Stripe's objects and notes how they differ from the rows.
type comparison struct {
	sync     *Sync
	progress func(done int)
	rows     rows
	start    time.Time // by the database's clock, before the rows were read
	since    time.Time // invoices from then on: of the slowest clock's last 90 days
	only     *id.Tenant
	seen     map[string]bool
	report   Report
}

const startSQL = `SELECT clock_timestamp()`

func (s *Sync) newComparison(ctx context.Context, only *id.Tenant, progress func(int)) (*comparison, error) {
	start, err := pg.Scalar[time.Time](ctx, s.config.DB, startSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the time: %w", err)
	}
	c := &comparison{sync: s, progress: progress, start: start, since: time.Now().Add(-invoiceAge), only: only, seen: map[string]bool{}}
	return c, c.load(ctx)
}

// load reads the rows of the mode that the key is of.
func (c *comparison) load(ctx context.Context) error {
	db, live := c.sync.config.DB, c.sync.config.Stripe.Livemode()
	customers, err := billing.Customers(ctx, db, c.only)
	if err != nil {
		return err
	}
	for _, row := range customers {
		if row.ClockAt != nil && row.ClockAt.Add(-invoiceAge).Before(c.since) {
			c.since = row.ClockAt.Add(-invoiceAge)
		}
	}
	subscriptions, err := billing.Subscriptions(ctx, db, c.only)
	if err != nil {
		return err
	}
	invoices, err := billing.Invoices(ctx, db, c.only, c.since)
	if err != nil {
		return err
	}
	prices, err := priceIDs(ctx, db)
	if err != nil {
		return err
	}
	c.rows = rows{map[string]billing.CustomerRow{}, map[string]billing.SubscriptionRow{}, map[string]billing.InvoiceRow{}, map[id.Tenant]string{}, prices}
	for _, row := range customers {
		if row.Livemode == live {
			c.rows.customers[row.StripeID], c.rows.customerOf[row.TenantID] = row, row.StripeID
		}
	}
	for _, row := range subscriptions {
		if row.Livemode == live {
			c.rows.subscriptions[row.StripeID] = row
		}
	}
	for _, row := range invoices {
		if row.Livemode == live {
			c.rows.invoices[row.StripeID] = row
		}
	}
	return nil
}

const pricesSQL = `SELECT price_id FROM billing.prices`

func priceIDs(ctx context.Context, db pg.DB) (map[string]bool, error) {
	found, err := texts(ctx, db, pricesSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the prices: %w", err)
	}
	prices := make(map[string]bool, len(found))
	for _, price := range found {
		prices[price] = true
	}
	return prices, nil
}

// first reports whether an object was not compared yet, and counts it.
func (c *comparison) first(object string) bool {
	if c.seen[object] {
		return false
	}
	c.seen[object] = true
	if c.progress != nil {
		c.progress(len(c.seen))
	}
	return true
}

func (c *comparison) add(found ...Drift) { c.report.Drift = append(c.report.Drift, found...) }

func (c *comparison) customer(there billing.Customer) {
	if !c.first(there.ID) {
		return
	}
	c.report.Customers++
	here, known := c.rows.customers[there.ID]
	d := Drift{TenantID: here.TenantID, ObjectID: there.ID, kind: Customer, customer: there.ID}
	switch {
	case known:
		c.add(drifts(d, customerFields(here, there))...)
	case !there.Tenant.IsZero() && (c.only == nil || *c.only == there.Tenant):
		d.What, d.There, d.claim = OfNoTenant, "its metadata names tenant "+there.Tenant.String(), there.Tenant
		c.add(d)
	}
}

func (c *comparison) subscription(there billing.Subscription) {
	if !c.first(there.ID) {
		return
	}
	c.report.Subscriptions++
	here, known := c.rows.subscriptions[there.ID]
	d := Drift{TenantID: c.rows.customers[there.Customer].TenantID, ObjectID: there.ID, kind: Subscription, customer: there.Customer}
	switch {
	case known:
		d.TenantID = here.TenantID
		c.add(drifts(d, subscriptionFields(here, there))...)
	case !d.TenantID.IsZero():
		d.What, d.There = MissingHere, there.Status
		c.add(d)
	case c.only == nil && c.rows.sells(there):
		d.What, d.There = OfNoTenant, there.Status+", of customer "+there.Customer
		c.add(d)
	}
}

// sells reports whether a subscription has a price of ours.
func (r rows) sells(there billing.Subscription) bool {
	for _, item := range there.Items {
		if r.prices[item.Price] {
			return true
		}
	}
	return false
}

func (c *comparison) invoice(there billing.Invoice) {
	if !c.first(there.ID) {
		return
	}
	c.report.Invoices++
	here, known := c.rows.invoices[there.ID]
	d := Drift{TenantID: c.rows.customers[there.Customer].TenantID, ObjectID: there.ID, kind: Invoice, customer: there.Customer}
	if known {
		d.TenantID = here.TenantID
	}
	switch {
	case d.TenantID.IsZero():
	case charged(there) && here.Status != "paid":
		d.What, d.Here, d.There = ChargedNotApplied, here.Status, number(there.PaidMinor)+" "+there.Currency
		c.add(d)
	case !known:
		d.What, d.There = MissingHere, there.Status
		c.add(d)
	default:
		c.add(drifts(d, invoiceFields(here, there))...)
	}
}

// each does the work for all of a list.
func each[T any](list iter.Seq2[T, error], work func(T)) error {
	for object, err := range list {
		if err != nil {
			return err
		}
		work(object)
	}
	return nil
}
