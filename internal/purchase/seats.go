package purchase

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// undisturbed is the condition that nobody is changing the billing of the tenant of s, and
// that it was not tried in vain within the hour.
const undisturbed = `
	AND NOT EXISTS (
		SELECT FROM billing.operations o
		WHERE o.tenant_id = s.tenant_id AND o.state = 'open' AND o.kind NOT IN ('portal', 'report_overage'))
	AND NOT EXISTS (
		SELECT FROM billing.operations o
		WHERE o.tenant_id = s.tenant_id AND o.state = 'failed' AND o.actor ->> 'role' = 'server'
			AND o.kind IN ('set_seats', 'cancel', 'resume') AND o.ended_at > now() - interval '1 hour')`

const seatsChangedAllTenantsSQL = `
SELECT s.tenant_id, s.stripe_id, n.seats FROM billing.subscriptions s
JOIN billing.plans p ON p.code = s.plan AND p.per_seat
JOIN tenants.tenants t ON t.id = s.tenant_id AND t.status <> 'deleted'
CROSS JOIN LATERAL (
	SELECT greatest(1, count(*)) AS seats FROM tenants.tenant_members m
	JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person' WHERE m.tenant_id = s.tenant_id) n
WHERE s.main AND s.livemode = @livemode AND s.status IN ('trialing', 'active', 'past_due') AND s.quantity <> n.seats` + undisturbed + `
ORDER BY s.tenant_id LIMIT @batch`

type changedSeats struct {
	TenantID     id.Tenant `db:"tenant_id"`
	Subscription string    `db:"stripe_id"`
	Seats        int64     `db:"seats"`
}

// Seats is a routine: where a plan is paid per seat, and the people of a tenant are not as
// many as it pays for, it sets the quantity. It says for how many tenants. Those whose
// billing is being changed, or could not be within the hour, are left for later.
func (d *Desk) Seats(ctx context.Context, db pg.DB) (int64, error) {
	changed, err := pg.All[changedSeats](ctx, db, seatsChangedAllTenantsSQL, pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "batch": pg.Batch})
	if err != nil {
		return 0, fmt.Errorf("find the tenants whose seats changed: %w", pg.Explain(err))
	}
	var set int64
	var failed []error
	for _, c := range changed {
		behind, err := d.behind(ctx, c)
		if err == nil && !behind {
			if err = d.beginNow(ctx, db, c.TenantID, setSeats{}); err == nil {
				set++
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("set the seats of %s: %w", c.TenantID, err))
		}
	}
	return set, errors.Join(failed...)
}

// behind says whether it is only the row that is not as Stripe is, and brings that in.
func (d *Desk) behind(ctx context.Context, c changedSeats) (bool, error) {
	now, err := d.config.Stripe.Subscription(ctx, c.Subscription)
	if err != nil {
		return false, err
	}
	lines, err := billing.Sort(ctx, d.config.DB, now.Items)
	if err != nil {
		return false, err
	}
	if checkStatus(now.Status, running) == nil && lines.PlanItem != nil && lines.PlanItem.Quantity != c.Seats {
		return false, nil
	}
	return true, d.config.Sync.Now(ctx, objectSubscription, now.ID, now.Customer)
}

// begin is Begin by the server itself.
func (d *Desk) begin(ctx context.Context, db pg.DB, tenant id.Tenant, in Input) (id.Operation, error) {
	var op id.Operation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		op, err = d.Begin(ctx, tx, session.Session{Role: session.Server, Tenant: tenant}, in)
		return err
	})
	return op, err
}

// beginNow begins an operation and takes it on at once. Where another is open it is left
// for the next time; what is not finished goes on by itself.
func (d *Desk) beginNow(ctx context.Context, db pg.DB, tenant id.Tenant, in Input) error {
	op, err := d.begin(ctx, db, tenant, in)
	if fault.Is(err, fault.OperationInProgress) {
		return nil
	}
	if err == nil {
		err = d.goOn(ctx, tenant, op)
	}
	return err
}

func (d *Desk) goOn(ctx context.Context, tenant id.Tenant, op id.Operation) error {
	if err := d.Finish(ctx, tenant, op); err != nil && !fault.Is(err, fault.Unavailable) {
		return err
	}
	return nil
}
