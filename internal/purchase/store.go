package purchase

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// The kinds of objects that a Syncer is asked for.
const (
	objectCustomer      = "customer"
	objectSubscription  = "subscription"
	objectInvoice       = "invoice"
	objectCharge        = "charge"
	objectPaymentMethod = "payment_method"
	objectClock         = "test_clock"
)

// price is a row of billing.prices that is sold at.
type price struct {
	ID          string `db:"price_id"`
	AmountMinor int64  `db:"amount_minor"`
	Currency    string `db:"currency"`
}

const activePriceSQL = `
SELECT price_id, amount_minor, currency FROM billing.prices
WHERE livemode = @livemode AND active AND (plan = @plan OR addon = @addon)`

// priceOf is what a new subscriber pays for a plan or, with plan empty, an add-on.
func (d *Desk) priceOf(ctx context.Context, db pg.DB, plan, addon string) (price, error) {
	args := pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "plan": none(plan), "addon": none(addon)}
	found, err := pg.One[price](ctx, db, activePriceSQL, args)
	switch {
	case pg.NoRow(err) && plan != "":
		return found, fault.New(fault.InvalidInput, "plan %s has no price at Stripe; whoever runs this makes it with: nself billing setup", plan)
	case pg.NoRow(err):
		return found, fault.New(fault.InvalidInput, "add-on %s has no price at Stripe; whoever runs this makes it with: nself billing setup", addon)
	case err != nil:
		return found, fmt.Errorf("read the price of %s%s: %w", plan, addon, pg.Explain(err))
	}
	return found, nil
}

// none is NULL for the empty text.
func none(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

const amountSQL = `SELECT amount_minor FROM billing.prices WHERE price_id = @price`

// amountOf is what one of a price costs, sold at now or before.
func (d *Desk) amountOf(ctx context.Context, price string) (int64, error) {
	amount, err := pg.Scalar[int64](ctx, d.config.DB, amountSQL, pgx.NamedArgs{"price": price})
	if err != nil {
		return 0, fmt.Errorf("read what the price %s costs: %w", price, pg.Explain(err))
	}
	return amount, nil
}

const seatsSQL = `
SELECT greatest(1, count(*)) FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person'
WHERE m.tenant_id = @tenant_id`

// seats is how many people the tenant has, at least one.
func (d *Desk) seats(ctx context.Context, tenant id.Tenant) (int64, error) {
	n, err := pg.Scalar[int64](ctx, d.config.DB, seatsSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return 0, fmt.Errorf("count the people of %s: %w", tenant, pg.Explain(err))
	}
	return n, nil
}

// buyer is who a customer at Stripe is made for.
type buyer struct {
	Email string `db:"email"`
	Name  string `db:"name"`
}

const buyerSQL = `
SELECT u.email, t.name FROM tenants.tenants t JOIN auth.users u ON u.id = t.owner_user_id WHERE t.id = @tenant_id`

const slugSQL = `SELECT slug FROM tenants.tenants WHERE id = @tenant_id`

// A first payment that never went through was no subscription.
const everSubscribedSQL = `
SELECT EXISTS (SELECT FROM billing.subscriptions WHERE tenant_id = @tenant_id AND status NOT IN ('incomplete', 'incomplete_expired'))`

func (d *Desk) everSubscribed(ctx context.Context, db pg.DB, tenant id.Tenant) (bool, error) {
	ever, err := pg.Scalar[bool](ctx, db, everSubscribedSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return false, fmt.Errorf("read the subscriptions of %s: %w", tenant, pg.Explain(err))
	}
	return ever, nil
}

const clockSQL = `SELECT billing.clock(@tenant_id)`

// clock is what time it is for the tenant's account.
func (d *Desk) clock(ctx context.Context, tenant id.Tenant) (time.Time, error) {
	now, err := pg.Scalar[time.Time](ctx, d.config.DB, clockSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return now, fmt.Errorf("read the clock of %s: %w", tenant, pg.Explain(err))
	}
	return now, nil
}
