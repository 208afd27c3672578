package purchase

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// byDeletion marks the operations that follow from a tenant's deletion.
const byDeletion = "deletion"

// endOfDeleted is a Cancel that was begun because the tenant was deleted.
type endOfDeleted struct {
	Cancel
	By string `json:"by"`
}

// resumeOfRestored is a Resume that was begun because the tenant was restored.
type resumeOfRestored struct {
	Resume
	By string `json:"by"`
}

const chargedThoughDeletedAllTenantsSQL = `
SELECT s.tenant_id FROM billing.subscriptions s JOIN tenants.tenants t ON t.id = s.tenant_id AND t.status = 'deleted'
WHERE s.main AND s.livemode = @livemode AND s.status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused')
	AND NOT s.cancel_at_period_end AND s.cancel_at IS NULL` + undisturbed + `
ORDER BY s.tenant_id LIMIT @batch`

// A cancellation of anybody's own stays.
const endingThoughRestoredAllTenantsSQL = `
SELECT s.tenant_id FROM billing.subscriptions s JOIN tenants.tenants t ON t.id = s.tenant_id AND t.status <> 'deleted'
WHERE s.main AND s.livemode = @livemode AND s.status IN ('trialing', 'active', 'past_due', 'unpaid', 'paused') AND s.cancel_at_period_end AND (
	SELECT o.kind = 'cancel' AND o.input ->> 'by' = 'deletion' FROM billing.operations o
	WHERE o.tenant_id = s.tenant_id AND o.state = 'done' AND o.kind IN ('cancel', 'resume')
	ORDER BY o.ended_at DESC LIMIT 1)` + undisturbed + `
ORDER BY s.tenant_id LIMIT @batch`

// deletions has the subscriptions of deleted tenants end with their period, and of those
// that were restored go on. It says of how many.
func (d *Desk) deletions(ctx context.Context, db pg.DB) (int64, error) {
	ended, err := d.beginEach(ctx, db, chargedThoughDeletedAllTenantsSQL, endOfDeleted{Cancel{AtPeriodEnd: true}, byDeletion})
	resumed, failed := d.beginEach(ctx, db, endingThoughRestoredAllTenantsSQL, resumeOfRestored{By: byDeletion})
	return ended + resumed, errors.Join(err, failed)
}

func (d *Desk) beginEach(ctx context.Context, db pg.DB, sql string, in Input) (int64, error) {
	rows, _ := db.Query(ctx, sql, pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "batch": pg.Batch})
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
	if err != nil {
		return 0, fmt.Errorf("find subscriptions of tenants that were deleted or restored: %w", pg.Explain(err))
	}
	var begun int64
	var failed []error
	for _, tenant := range tenants {
		err := d.beginNow(ctx, db, tenant, in)
		if err != nil && !fault.Is(err, fault.WrongStatus) {
			failed = append(failed, fmt.Errorf("%s of the tenant %s: %w", in.kind(), tenant, err))
			continue
		}
		begun++
	}
	return begun, errors.Join(failed...)
}
