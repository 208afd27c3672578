package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// The clock is read once the account is locked, so that of two who settle it the later
// one does not look at an earlier time.
const clockSQL = `
SELECT coalesce(c.clock_at, clock_timestamp()) AS clock, t.created_at
FROM tenants.tenants t LEFT JOIN billing.customers c ON c.tenant_id = t.id
WHERE t.id = @tenant_id`

type clocked struct {
	Clock     time.Time `db:"clock"`
	CreatedAt time.Time `db:"created_at"`
}

const subscriptionsSQL = `SELECT ` + subscriptionColumns + ` FROM billing.subscriptions WHERE tenant_id = @tenant_id`

// abandonedSQL finds the subscriptions that were canceled before the first payment.
const abandonedSQL = `
SELECT s.stripe_id FROM billing.subscriptions s
JOIN billing.invoices i ON i.tenant_id = s.tenant_id AND i.stripe_id = s.latest_invoice
WHERE s.tenant_id = @tenant_id AND s.status = 'canceled' AND i.reason = 'subscription_create' AND i.status <> 'paid'`

// readSubscriptions reads those of the tenant. One that was canceled before the first
// payment never gave anything that could end: it is taken as expired.
func readSubscriptions(ctx context.Context, tx pgx.Tx, tenant id.Tenant) ([]SubscriptionRow, error) {
	args := pgx.NamedArgs{"tenant_id": tenant}
	all, err := pg.All[SubscriptionRow](ctx, tx, subscriptionsSQL, args)
	if err != nil {
		return nil, fmt.Errorf("read the subscriptions of %s: %w", tenant, err)
	}
	rows, _ := tx.Query(ctx, abandonedSQL, args)
	abandoned, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read which subscriptions of %s began: %w", tenant, err)
	}
	for i := range all {
		if slices.Contains(abandoned, all[i].StripeID) {
			all[i].Status = StatusIncompleteExpired
		}
	}
	return all, nil
}

// owed is an invoice that was tried and not paid.
type owed struct {
	Invoice       string     `db:"stripe_id"`
	Remaining     int64      `db:"remaining_minor"`
	Currency      string     `db:"currency"`
	Attempts      int        `db:"attempts"`
	FailedAt      time.Time  `db:"failed_at"`     // the first time
	LastTriedAt   time.Time  `db:"last_tried_at"` // as far as payments tell
	NextAttemptAt *time.Time `db:"next_attempt_at"`
	HostedURL     *string    `db:"hosted_url"`
}

// What is open is owed, whatever was bought and paid since, although Stripe goes by the
// latest invoice alone. What was written off is owed until something was paid later (an
// invoice that asked for nothing is none), or the subscription is active again.
const owedSQL = `
SELECT i.stripe_id, i.remaining_minor, i.currency, i.attempts, coalesce(i.finalized_at, i.created_at) AS failed_at,
	greatest(i.finalized_at, i.created_at, p.tried_at) AS last_tried_at, i.next_attempt_at, i.hosted_url
FROM billing.invoices i
LEFT JOIN LATERAL (
	SELECT max(p.created_at) AS tried_at FROM billing.payments p
	WHERE p.tenant_id = i.tenant_id AND p.invoice_id = i.stripe_id AND p.status = 'failed') p ON true
WHERE i.tenant_id = @tenant_id AND i.subscription_id = @subscription AND i.attempts > 0
	AND (i.status = 'open' OR i.status = 'uncollectible' AND @status <> 'active' AND NOT EXISTS (
		SELECT FROM billing.invoices l
		WHERE l.tenant_id = i.tenant_id AND l.subscription_id = i.subscription_id AND l.status = 'paid' AND l.total_minor > 0
			AND l.created_at > i.created_at))
ORDER BY failed_at, i.created_at, i.stripe_id`

// latest is what the invoices of a subscription say beside what is owed.
type latest struct {
	Status      *string    `db:"status"` // of the subscription's latest invoice; nil: it is not here yet
	PaidAt      *time.Time `db:"paid_at"`
	RecoveredAt *time.Time `db:"recovered_at"` // when one was last paid of which a payment had failed
	LastPaid    *string    `db:"last_paid"`    // the one that was paid last, whichever it is
	LastPaidAt  *time.Time `db:"last_paid_at"`
}

const latestSQL = `
SELECT i.status, i.paid_at, r.recovered_at, l.stripe_id AS last_paid, l.paid_at AS last_paid_at
FROM billing.subscriptions s
LEFT JOIN billing.invoices i ON i.tenant_id = s.tenant_id AND i.stripe_id = s.latest_invoice
LEFT JOIN LATERAL (
	SELECT max(g.paid_at) AS recovered_at FROM billing.invoices g
	WHERE g.tenant_id = s.tenant_id AND g.subscription_id = s.stripe_id AND g.status = 'paid' AND EXISTS (
		SELECT FROM billing.payments p WHERE p.tenant_id = g.tenant_id AND p.invoice_id = g.stripe_id AND p.status = 'failed')) r ON true
LEFT JOIN LATERAL (
	SELECT g.stripe_id, g.paid_at FROM billing.invoices g
	WHERE g.tenant_id = s.tenant_id AND g.subscription_id = s.stripe_id AND g.status = 'paid' AND g.total_minor > 0 AND g.paid_at IS NOT NULL
	ORDER BY g.paid_at DESC, g.stripe_id LIMIT 1) l ON true
WHERE s.tenant_id = @tenant_id AND s.stripe_id = @subscription`

// readFacts reads what the standing is a function of, under the account's lock.
func readFacts(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (facts, error) {
	var f facts
	at, err := pg.One[clocked](ctx, tx, clockSQL, pgx.NamedArgs{"tenant_id": tenant})
	if err != nil {
		return f, fmt.Errorf("read the clock of the account of %s: %w", tenant, err)
	}
	f.clock, f.created = at.Clock, at.CreatedAt
	if f.subscriptions, err = readSubscriptions(ctx, tx, tenant); err != nil {
		return f, err
	}
	if f.main = chooseMain(f.subscriptions); f.main == nil {
		return f, nil
	}
	args := pgx.NamedArgs{"tenant_id": tenant, "subscription": f.main.StripeID, "status": f.main.Status}
	if f.owed, err = pg.All[owed](ctx, tx, owedSQL, args); err != nil {
		return f, fmt.Errorf("read what %s owes: %w", tenant, err)
	}
	if f.latest, err = pg.One[latest](ctx, tx, latestSQL, args); err != nil {
		return f, fmt.Errorf("read the latest invoice of %s: %w", tenant, err)
	}
	return f, nil
}
