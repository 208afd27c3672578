package stripesync

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// rows are what stands here of the mode that the key is of, by Stripe's ids.
type rows struct {
	customers     map[string]billing.CustomerRow
	subscriptions map[string]billing.SubscriptionRow
	items         map[string][]billing.ItemRow // by subscription
	invoices      map[string]billing.InvoiceRow
	payments      map[string]billing.PaymentRow
	customerOf    map[id.Tenant]string
	prices, plans map[string]bool // of any mode
}

// load reads the rows of a tenant, or of all where it is nil. Invoices and payments are
// those of the last 90 days by the slowest clock among them; it returns since when.
func load(ctx context.Context, db pg.DB, only *id.Tenant, live bool) (r rows, since time.Time, err error) {
	since = time.Now().Add(-invoiceAge)
	customers, err := billing.Customers(ctx, db, only)
	if err != nil {
		return r, since, err
	}
	r.customerOf = map[id.Tenant]string{}
	for _, row := range customers {
		if row.ClockAt != nil && row.ClockAt.Add(-invoiceAge).Before(since) {
			since = row.ClockAt.Add(-invoiceAge)
		}
		if row.Livemode == live {
			r.customerOf[row.TenantID] = row.StripeID
		}
	}
	r.customers = keyed(customers, func(row billing.CustomerRow) (string, bool) { return row.StripeID, row.Livemode == live })
	if err := r.loadSubscriptions(ctx, db, only, live); err != nil {
		return r, since, err
	}
	invoices, err := billing.Invoices(ctx, db, only, since)
	if err != nil {
		return r, since, err
	}
	r.invoices = keyed(invoices, func(row billing.InvoiceRow) (string, bool) { return row.StripeID, row.Livemode == live })
	payments, err := billing.Payments(ctx, db, only, since)
	if err != nil {
		return r, since, err
	}
	r.payments = keyed(payments, func(row billing.PaymentRow) (string, bool) { return row.StripeID, row.Livemode == live })
	return r, since, nil
}

func (r *rows) loadSubscriptions(ctx context.Context, db pg.DB, only *id.Tenant, live bool) error {
	subscriptions, err := billing.Subscriptions(ctx, db, only)
	if err != nil {
		return err
	}
	r.subscriptions = keyed(subscriptions, func(row billing.SubscriptionRow) (string, bool) { return row.StripeID, row.Livemode == live })
	items, err := billing.AllItems(ctx, db, only)
	if err != nil {
		return err
	}
	r.items = make(map[string][]billing.ItemRow, len(subscriptions))
	for _, item := range items {
		r.items[item.SubscriptionID] = append(r.items[item.SubscriptionID], item)
	}
	if r.prices, err = words(ctx, db, pricesSQL); err != nil {
		return err
	}
	r.plans, err = words(ctx, db, plansSQL)
	return err
}

// keyed is a list by the key of each; one that is not to be in it is left out.
func keyed[T any](list []T, key func(T) (string, bool)) map[string]T {
	by := make(map[string]T, len(list))
	for _, row := range list {
		if name, in := key(row); in {
			by[name] = row
		}
	}
	return by
}

const (
	pricesSQL = `SELECT price_id FROM billing.prices`
	plansSQL  = `SELECT code FROM billing.plans`
)

func words(ctx context.Context, db pg.DB, sql string) (map[string]bool, error) {
	found, err := texts(ctx, db, sql, nil)
	if err != nil {
		return nil, fmt.Errorf("read what is sold: %w", err)
	}
	return setOf(found), nil
}

// setOf is a list of words as a set.
func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, word := range list {
		set[word] = true
	}
	return set
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

// texts runs a statement that returns rows of one text.
func texts(ctx context.Context, db pg.DB, sql string, args pgx.NamedArgs) ([]string, error) {
	rows, _ := db.Query(ctx, sql, args)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
