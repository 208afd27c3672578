package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// ofTenant is the condition of lists that are of one tenant or, for the operator, of all.
const ofTenant = ` WHERE (@only::uuid IS NULL OR tenant_id = @only)`

const customersAllTenantsSQL = `SELECT ` + customerColumns + ` FROM billing.customers` + ofTenant + ` ORDER BY tenant_id`

// Customers reads the customer of a tenant, or of each where it is nil, by tenant.
func Customers(ctx context.Context, db pg.DB, tenant *id.Tenant) ([]CustomerRow, error) {
	return list[CustomerRow](ctx, db, customersAllTenantsSQL, pgx.NamedArgs{"only": tenant})
}

const subscriptionsAllTenantsSQL = `SELECT ` + subscriptionColumns + ` FROM billing.subscriptions` + ofTenant + ` ORDER BY created_at, stripe_id`

// Subscriptions reads the subscriptions of a tenant, or of all where it is nil, the
// oldest first.
func Subscriptions(ctx context.Context, db pg.DB, tenant *id.Tenant) ([]SubscriptionRow, error) {
	return list[SubscriptionRow](ctx, db, subscriptionsAllTenantsSQL, pgx.NamedArgs{"only": tenant})
}

const itemsAllTenantsSQL = `
SELECT tenant_id, subscription_id, stripe_id, price_id, quantity, addon FROM billing.subscription_items` + ofTenant + `
ORDER BY subscription_id, stripe_id`

// AllItems reads the items of the subscriptions of a tenant, or of all where it is nil, by
// subscription.
func AllItems(ctx context.Context, db pg.DB, tenant *id.Tenant) ([]ItemRow, error) {
	return list[ItemRow](ctx, db, itemsAllTenantsSQL, pgx.NamedArgs{"only": tenant})
}

const invoicesAllTenantsSQL = `SELECT ` + invoiceColumns + ` FROM billing.invoices` + ofTenant + ` AND created_at >= @since ORDER BY created_at, stripe_id`

// Invoices reads the invoices that were made at or after since, of a tenant or of all
// where it is nil, the oldest first.
func Invoices(ctx context.Context, db pg.DB, tenant *id.Tenant, since time.Time) ([]InvoiceRow, error) {
	return list[InvoiceRow](ctx, db, invoicesAllTenantsSQL, pgx.NamedArgs{"only": tenant, "since": since})
}

const paymentsAllTenantsSQL = `
SELECT tenant_id, stripe_id, invoice_id, status, amount_minor, refunded_minor, currency, brand, last4, failure_code, failure_message,
	livemode, created_at, updated_at
FROM billing.payments` + ofTenant + ` AND created_at >= @since ORDER BY created_at, stripe_id`

// Payments reads the payments that were tried at or after since, of a tenant or of all
// where it is nil, the oldest first.
func Payments(ctx context.Context, db pg.DB, tenant *id.Tenant, since time.Time) ([]PaymentRow, error) {
	return list[PaymentRow](ctx, db, paymentsAllTenantsSQL, pgx.NamedArgs{"only": tenant, "since": since})
}

func list[T any](ctx context.Context, db pg.DB, sql string, args pgx.NamedArgs) ([]T, error) {
	found, err := pg.All[T](ctx, db, sql, args)
	if err != nil {
		return nil, fmt.Errorf("read what Stripe said: %w", err)
	}
	return found, nil
}
