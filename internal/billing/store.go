package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const tenantOfAllTenantsSQL = `
SELECT tenant_id FROM billing.customers WHERE stripe_id = @customer
	OR former <> '{}' AND former @> ARRAY[@customer::text]`

// TenantOf says whose a customer at Stripe is, one that was deleted there too, in whose
// place another may stand since; zero: of nobody here.
func TenantOf(ctx context.Context, db pg.DB, customerID string) (id.Tenant, error) {
	found, err := pg.Scalar[id.Tenant](ctx, db, tenantOfAllTenantsSQL, pgx.NamedArgs{"customer": customerID})
	if err != nil && !pg.NoRow(err) {
		return id.Tenant{}, fmt.Errorf("find whose customer %s is: %w", customerID, err)
	}
	return found, nil
}

const customerColumns = `tenant_id, stripe_id, livemode, email, currency, balance_minor, delinquent, default_payment_method,
	clock_id, clock_at, deleted_at, created_at, updated_at`

const customerSQL = `SELECT ` + customerColumns + ` FROM billing.customers WHERE tenant_id = @tenant_id`

// CustomerOf reads the tenant's customer, one that was deleted at Stripe too (DeletedAt
// says so); not-found where it has none.
func CustomerOf(ctx context.Context, db pg.DB, tenant id.Tenant) (CustomerRow, error) {
	found, err := pg.One[CustomerRow](ctx, db, customerSQL, pgx.NamedArgs{"tenant_id": tenant})
	none := fault.New(fault.NotFound, "the tenant is no customer at Stripe yet; subscribe first")
	return orFault(found, err, none, "read the customer of "+tenant.String())
}

const subscriptionColumns = `tenant_id, stripe_id, status, plan, quantity, amount_minor, currency, current_period_start, current_period_end,
	anchor_at, trial_end, cancel_at_period_end, cancel_at, canceled_at, ended_at, keeps_plan, keeps_until, latest_invoice, main,
	livemode, created_at, updated_at`

const mainSQL = `SELECT ` + subscriptionColumns + ` FROM billing.subscriptions WHERE tenant_id = @tenant_id AND main`

// MainOf reads the subscription that the account goes by: one that runs, else the last
// that ended, else one that waits for its first payment (Status tells which);
// no-subscription where there is none.
func MainOf(ctx context.Context, db pg.DB, tenant id.Tenant) (SubscriptionRow, error) {
	found, err := pg.One[SubscriptionRow](ctx, db, mainSQL, pgx.NamedArgs{"tenant_id": tenant})
	none := fault.New(fault.NoSubscription, "the tenant has no subscription; subscribe first")
	return orFault(found, err, none, "read the subscription of "+tenant.String())
}

const invoiceColumns = `tenant_id, stripe_id, subscription_id, number, status, reason, currency, subtotal_minor, tax_minor, total_minor,
	due_minor, paid_minor, remaining_minor, attempts, next_attempt_at, period_start, period_end, finalized_at, paid_at,
	hosted_url, pdf_url, livemode, created_at, updated_at`

const planSQL = `SELECT code, name, price_minor, currency, per_seat, trial_days, position FROM billing.plans WHERE code = @code`

// Plan reads a plan; not-found where there is none of this code.
func Plan(ctx context.Context, db pg.DB, code string) (PlanRow, error) {
	found, err := pg.One[PlanRow](ctx, db, planSQL, pgx.NamedArgs{"code": code})
	return orFault(found, err, fault.New(fault.NotFound, "there is no plan %.80q; the query plans lists them", code), "read plan "+code)
}

const addonSQL = `SELECT code, name, price_minor, currency, position FROM billing.addons WHERE code = @code`

// Addon reads an add-on; not-found where there is none of this code.
func Addon(ctx context.Context, db pg.DB, code string) (AddonRow, error) {
	found, err := pg.One[AddonRow](ctx, db, addonSQL, pgx.NamedArgs{"code": code})
	return orFault(found, err, fault.New(fault.NotFound, "there is no add-on %.80q; the query addons lists them", code), "read add-on "+code)
}

// orFault turns "no row" into the fault, and says of other errors what was being done.
func orFault[T any](found T, err error, none *fault.Fault, doing string) (T, error) {
	switch {
	case pg.NoRow(err):
		return found, none
	case err != nil:
		return found, fmt.Errorf("%s: %w", doing, err)
	}
	return found, nil
}

// text and moment are what a fact without a value is in a row: null.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
