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

// A customer that was deleted takes no more facts, in whose place another stands least of
// all. No customer is of two tenants. The clock never goes back.
const putCustomerSQL = `
INSERT INTO billing.customers AS c (tenant_id, stripe_id, livemode, email, currency, balance_minor, delinquent,
	default_payment_method, clock_id, clock_at, created_at)
SELECT @tenant_id, @stripe_id, @livemode, @email, @currency, @balance_minor, @delinquent, @default_payment_method,
	@clock_id, @clock_at::timestamptz, @created_at
WHERE NOT EXISTS (SELECT FROM billing.customers o WHERE o.former <> '{}' AND o.former @> ARRAY[@stripe_id::text])
ON CONFLICT (tenant_id) DO UPDATE SET stripe_id = excluded.stripe_id, livemode = excluded.livemode, email = excluded.email,
	currency = excluded.currency, balance_minor = excluded.balance_minor, delinquent = excluded.delinquent,
	default_payment_method = excluded.default_payment_method, clock_id = excluded.clock_id,
	clock_at = CASE WHEN c.clock_id = excluded.clock_id THEN greatest(c.clock_at, excluded.clock_at) ELSE excluded.clock_at END,
	deleted_at = NULL, created_at = excluded.created_at, updated_at = now(),
	former = CASE WHEN c.stripe_id = excluded.stripe_id THEN c.former ELSE c.former || c.stripe_id END
WHERE (c.stripe_id = excluded.stripe_id) = (c.deleted_at IS NULL)
RETURNING stripe_id`

// Who deletes a customer at Stripe ends what it had. That is so here before the end of each
// subscription is heard of, so that the one of the next customer is the main one.
const endFormerSQL = `
UPDATE billing.subscriptions s SET
	status = CASE s.status WHEN 'incomplete' THEN 'incomplete_expired' ELSE 'canceled' END,
	canceled_at = coalesce(s.canceled_at, c.deleted_at), ended_at = coalesce(s.ended_at, c.deleted_at), updated_at = now()
FROM billing.customers c
WHERE c.tenant_id = @tenant_id AND c.stripe_id <> @stripe_id AND c.deleted_at IS NOT NULL AND NOT c.former @> ARRAY[@stripe_id::text]
	AND s.tenant_id = c.tenant_id AND s.status NOT IN ('canceled', 'incomplete_expired')`

// ApplyCustomer keeps what Stripe says of a customer, and makes it the tenant's where the
// tenant has none, or one that was deleted. Wrong-status: the tenant has another one, or
// the customer is another tenant's. Facts are to be followed by Settle, in tx, which runs
// as nself_server, as for all that follow.
func (b *Book) ApplyCustomer(ctx context.Context, tx pgx.Tx, tenant id.Tenant, c Customer) error {
	if c.Deleted {
		return deleteCustomer(ctx, tx, tenant, c.ID)
	}
	args := pgx.NamedArgs{
		"tenant_id": tenant, "stripe_id": c.ID, "livemode": c.Livemode, "email": text(c.Email), "currency": text(c.Currency),
		"balance_minor": c.BalanceMinor, "delinquent": c.Delinquent, "default_payment_method": text(c.DefaultPaymentMethod),
		"clock_id": text(c.ClockID), "clock_at": moment(c.ClockAt), "created_at": c.CreatedAt,
	}
	if _, err := tx.Exec(ctx, endFormerSQL, args); err != nil {
		return fmt.Errorf("end what the former customer of %s had: %w", tenant, err)
	}
	err := pg.InTx(ctx, tx, func(tx pgx.Tx) error {
		_, err := pg.Scalar[string](ctx, tx, putCustomerSQL, args)
		return err
	})
	switch {
	case pg.NoRow(err):
		return keptAnother(ctx, tx, tenant, c.ID)
	case pg.Constraint(err) == "customers_stripe_id_key":
		return fault.New(fault.WrongStatus, "customer %s is another tenant's", c.ID)
	case err != nil:
		return fmt.Errorf("keep customer %s: %w", c.ID, err)
	}
	return nil
}

// keptAnother says why a customer was not kept: a fault, but for one that was deleted, or
// in whose place another stands, of which something old came late.
func keptAnother(ctx context.Context, tx pgx.Tx, tenant id.Tenant, customer string) error {
	of, err := TenantOf(ctx, tx, customer)
	if err != nil || of == tenant {
		return err
	}
	if of != (id.Tenant{}) {
		return fault.New(fault.WrongStatus, "customer %s is another tenant's", customer)
	}
	has, err := CustomerOf(ctx, tx, tenant)
	if err != nil {
		return err
	}
	return fault.New(fault.WrongStatus, "the tenant's customer is %s, which is not deleted; %s cannot be it too", has.StripeID, customer)
}

const deleteCustomerSQL = `
UPDATE billing.customers SET deleted_at = coalesce(clock_at, now()), email = NULL, currency = NULL, default_payment_method = NULL,
	balance_minor = 0, delinquent = false, updated_at = now()
WHERE tenant_id = @tenant_id AND stripe_id = @stripe_id AND deleted_at IS NULL`

const deletePaymentMethodsSQL = `
DELETE FROM billing.payment_methods p USING billing.customers c
WHERE p.tenant_id = @tenant_id AND c.tenant_id = p.tenant_id AND c.stripe_id = @stripe_id`

func deleteCustomer(ctx context.Context, tx pgx.Tx, tenant id.Tenant, customer string) error {
	args := pgx.NamedArgs{"tenant_id": tenant, "stripe_id": customer}
	for _, statement := range []string{deleteCustomerSQL, deletePaymentMethodsSQL} {
		if _, err := tx.Exec(ctx, statement, args); err != nil {
			return fmt.Errorf("note that customer %s is deleted: %w", customer, err)
		}
	}
	return nil
}

const setClockAllTenantsSQL = `
UPDATE billing.customers SET clock_at = greatest(clock_at, @at), updated_at = now() WHERE clock_id = @clock
RETURNING tenant_id`

// ApplyClock notes what time it is on one of Stripe's test clocks, and returns the
// tenants that live by it, each of which is to be settled.
func (b *Book) ApplyClock(ctx context.Context, tx pgx.Tx, clockID string, at time.Time) ([]id.Tenant, error) {
	rows, _ := tx.Query(ctx, setClockAllTenantsSQL, pgx.NamedArgs{"clock": clockID, "at": at})
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
	if err != nil {
		return nil, fmt.Errorf("set clock %s: %w", clockID, err)
	}
	return tenants, nil
}

// What a customer had is gone with it, whatever was fetched before.
const putPaymentMethodSQL = `
INSERT INTO billing.payment_methods (tenant_id, stripe_id, kind, brand, last4, exp_month, exp_year, created_at)
SELECT c.tenant_id, @stripe_id, @kind, @brand, @last4, nullif(@exp_month::integer, 0), nullif(@exp_year::integer, 0), @created_at
FROM billing.customers c WHERE c.tenant_id = @tenant_id AND c.stripe_id = @customer AND c.deleted_at IS NULL
ON CONFLICT (tenant_id, stripe_id) DO UPDATE SET kind = excluded.kind, brand = excluded.brand, last4 = excluded.last4,
	exp_month = excluded.exp_month, exp_year = excluded.exp_year, created_at = excluded.created_at, updated_at = now()`

// ApplyPaymentMethod keeps what Stripe says of a payment method that is the tenant's
// customer's; of a customer that was deleted it keeps nothing.
func (b *Book) ApplyPaymentMethod(ctx context.Context, tx pgx.Tx, tenant id.Tenant, m PaymentMethod) error {
	_, err := tx.Exec(ctx, putPaymentMethodSQL, pgx.NamedArgs{
		"tenant_id": tenant, "customer": m.Customer, "stripe_id": m.ID, "kind": m.Kind, "brand": text(m.Brand), "last4": text(m.Last4),
		"exp_month": m.ExpMonth, "exp_year": m.ExpYear, "created_at": m.CreatedAt,
	})
	if err != nil {
		return fmt.Errorf("keep payment method %s: %w", m.ID, err)
	}
	return nil
}

const forgetPaymentMethodAllTenantsSQL = `DELETE FROM billing.payment_methods WHERE stripe_id = @stripe_id`

// ForgetPaymentMethod removes a payment method that is no customer's any more, whosever
// it was.
func (b *Book) ForgetPaymentMethod(ctx context.Context, tx pgx.Tx, paymentMethod string) error {
	if _, err := tx.Exec(ctx, forgetPaymentMethodAllTenantsSQL, pgx.NamedArgs{"stripe_id": paymentMethod}); err != nil {
		return fmt.Errorf("forget payment method %s: %w", paymentMethod, err)
	}
	return nil
}
