package stripesync

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// comparison goes through Stripe's objects and notes how they differ from the rows. Several
// lists are gone through at once; what they bring is compared by one at a time.
type comparison struct {
	sync  *Sync
	rows  rows
	start time.Time // by the database's clock, before the rows were read
	since time.Time // invoices and charges from then on
	only  *id.Tenant

	mu       sync.Mutex // guards what follows
	progress func(done int)
	seen     map[string]bool
	report   Report
}

const startSQL = `SELECT clock_timestamp()`

func (s *Sync) newComparison(ctx context.Context, only *id.Tenant, progress func(int)) (*comparison, error) {
	db := s.config.DB
	start, err := pg.Scalar[time.Time](ctx, db, startSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read the time: %w", err)
	}
	c := &comparison{sync: s, progress: progress, start: start, only: only, seen: map[string]bool{}}
	c.rows, c.since, err = load(ctx, db, only, s.config.Stripe.Livemode())
	return c, err
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

// met reports whether an object was compared already.
func (c *comparison) met(object string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[object]
}

func (c *comparison) add(found ...Drift) { c.report.Drift = append(c.report.Drift, found...) }

func (c *comparison) customer(there billing.Customer) {
	here, known := c.rows.customers[there.ID]
	others := c.only != nil && !known && there.Tenant != *c.only
	if others || !c.first(there.ID) {
		return
	}
	c.report.Customers++
	d := Drift{TenantID: here.TenantID, ObjectID: there.ID, kind: Customer, customer: there.ID}
	d.lead(PaymentMethod, there.DefaultPaymentMethod)
	switch {
	case known:
		c.add(drifts(d, customerFields(here, there))...)
	case !there.Tenant.IsZero():
		d.What, d.There, d.claim = OfNoTenant, "its metadata names tenant "+there.Tenant.String(), there.Tenant
		c.add(d)
	}
}

// listedItems is how many items of a subscription its list tells of for certain.
const listedItems = 10

// listed is a subscription of a list. One with more items than a list may tell of, and which
// stands here, is left to be asked for by itself.
func (c *comparison) listed(there billing.Subscription) {
	if _, known := c.rows.subscriptions[there.ID]; known && len(there.Items) >= listedItems {
		return
	}
	c.subscription(there)
}

func (c *comparison) subscription(there billing.Subscription) {
	if !c.first(there.ID) {
		return
	}
	c.report.Subscriptions++
	here, known := c.rows.subscriptions[there.ID]
	d := Drift{TenantID: c.rows.customers[there.Customer].TenantID, ObjectID: there.ID, kind: Subscription, customer: there.Customer}
	d.lead(Invoice, there.LatestInvoice)
	switch {
	case known:
		d.TenantID = here.TenantID
		c.add(drifts(d, append(subscriptionFields(here, there), c.rows.termsFields(here, there)...))...)
	case !d.TenantID.IsZero():
		d.What, d.There = MissingHere, there.Status
		c.add(d)
	case c.only == nil && c.rows.sells(there):
		d.What, d.There = OfNoTenant, there.Status+", of customer "+there.Customer
		c.add(d)
	}
}

func (c *comparison) invoice(there billing.Invoice) {
	if !c.first(there.ID) {
		return
	}
	c.report.Invoices++
	here, known := c.rows.invoices[there.ID]
	d := Drift{TenantID: c.rows.customers[there.Customer].TenantID, ObjectID: there.ID, kind: Invoice, customer: there.Customer}
	d.lead(Charge, there.Charge)
	if known {
		d.TenantID = here.TenantID
	}
	switch {
	case d.TenantID.IsZero():
	case charged(there) && here.Status != billing.InvoicePaid:
		d.What, d.Here, d.There = ChargedNotApplied, here.Status, number(there.PaidMinor)+" "+there.Currency
		c.add(d)
	case !known:
		d.What, d.There = MissingHere, there.Status
		c.add(d)
	default:
		c.add(drifts(d, invoiceFields(here, there))...)
	}
}

func (c *comparison) charge(there billing.Charge) {
	if !c.first(there.ID) {
		return
	}
	c.report.Charges++
	here, known := c.rows.payments[there.ID]
	d := Drift{TenantID: c.rows.customers[there.Customer].TenantID, ObjectID: there.ID, kind: Charge, customer: there.Customer}
	switch {
	case known:
		d.TenantID = here.TenantID
		c.add(drifts(d, chargeFields(here, there))...)
	case !d.TenantID.IsZero():
		d.What, d.There = MissingHere, there.Status+", "+number(there.AmountMinor)+" "+there.Currency
		c.add(d)
	}
}

// each does the work for all of a list, for one object of any list at a time.
func each[T any](c *comparison, list iter.Seq2[T, error], work func(T)) error {
	for object, err := range list {
		if err != nil {
			return err
		}
		c.mu.Lock()
		work(object)
		c.mu.Unlock()
	}
	return nil
}

// one does the work for a single object.
func one[T any](ctx context.Context, c *comparison, fetch func(context.Context, string) (T, error), object string, work func(T)) error {
	found, err := fetch(ctx, object)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	work(found)
	return nil
}
