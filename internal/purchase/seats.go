package purchase

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// A tenant whose billing is being changed is left for the next time.
const seatsChangedAllTenantsSQL = `
SELECT s.tenant_id FROM billing.subscriptions s
JOIN billing.plans p ON p.code = s.plan AND p.per_seat
WHERE s.main AND s.livemode = @livemode AND s.status IN ('trialing', 'active', 'past_due')
	AND s.quantity <> (
		SELECT greatest(1, count(*)) FROM tenants.tenant_members m
		JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person' WHERE m.tenant_id = s.tenant_id)
	AND NOT EXISTS (
		SELECT FROM billing.operations o
		WHERE o.tenant_id = s.tenant_id AND o.state = 'open' AND o.kind NOT IN ('portal', 'report_overage'))
ORDER BY s.tenant_id LIMIT @batch`

// Seats is a routine: where a plan is paid per seat, and the people of a tenant are not as
// many as it pays for, it begins an operation that sets the quantity. It says for how
// many tenants.
func (d *Desk) Seats(ctx context.Context, db pg.DB) (int64, error) {
	args := pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "batch": pg.Batch}
	rows, _ := db.Query(ctx, seatsChangedAllTenantsSQL, args)
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
	if err != nil {
		return 0, fmt.Errorf("find the tenants whose seats changed: %w", pg.Explain(err))
	}
	var begun int64
	var failed []error
	for _, tenant := range tenants {
		_, err := d.begin(ctx, db, tenant, setSeats{})
		switch {
		case err == nil:
			begun++
		case !fault.Is(err, fault.OperationInProgress):
			failed = append(failed, err)
		}
	}
	return begun, errors.Join(failed...)
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
