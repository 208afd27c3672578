package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Period is a span in which usage adds up, from StartsAt until before EndsAt.
type Period struct {
	StartsAt time.Time  `db:"starts_at"`
	EndsAt   time.Time  `db:"ends_at"`
	ClosedAt *time.Time `db:"closed_at"` // from then on nothing is counted in it; nil: open
}

const periodSQL = `SELECT starts_at, ends_at, closed_at FROM billing.period(@tenant_id, coalesce(@at, now()))`

// PeriodOf finds the tenant's period that a moment (zero: now) is in, and makes it where
// it is due. Not-found: the moment is before the tenant's first period, or more than an
// hour ahead.
func PeriodOf(ctx context.Context, db pg.DB, tenant id.Tenant, at time.Time) (Period, error) {
	args := pgx.NamedArgs{"tenant_id": tenant, "at": (*time.Time)(nil)}
	if !at.IsZero() {
		args["at"] = at
	}
	found, err := pg.One[Period](ctx, db, periodSQL, args)
	switch {
	case pg.NoRow(err):
		return found, fault.New(fault.NotFound, "the tenant has no period that %s is in", at.Format(time.RFC3339))
	case err != nil:
		return found, fmt.Errorf("find the period of %s: %w", tenant, err)
	}
	return found, nil
}

const lockPeriodsSQL = `SELECT billing.lock_periods(@tenant_id)`

const anchorSQL = `
SELECT t.id, c.anchor_at FROM tenants.tenants t LEFT JOIN billing.billing_cycles c ON c.tenant_id = t.id
WHERE t.id = @tenant_id FOR NO KEY UPDATE OF t`

type anchored struct {
	ID       id.Tenant  `db:"id"`
	AnchorAt *time.Time `db:"anchor_at"`
}

const setAnchorSQL = `
INSERT INTO billing.billing_cycles (tenant_id, anchor_at) VALUES (@tenant_id, @anchor)
ON CONFLICT (tenant_id) DO UPDATE SET anchor_at = excluded.anchor_at`

const removeAnchorSQL = `DELETE FROM billing.billing_cycles WHERE tenant_id = @tenant_id`

// The last period is the running one, but in the hour in which the next one's events may
// come already: then it is that one whose end moves.
const moveEndSQL = `
UPDATE billing.usage_periods p
SET ends_at = (
	SELECT CASE WHEN @anchor::timestamptz IS NULL AND b.next - p.starts_at < interval '15 days' THEN b.after_next ELSE b.next END
	FROM billing.boundaries(p.tenant_id, greatest(now(), p.starts_at)) b)
WHERE p.tenant_id = @tenant_id AND NOT EXISTS (
	SELECT FROM billing.usage_periods l WHERE l.tenant_id = p.tenant_id AND l.starts_at > p.starts_at)`

// SetCycle makes the tenant's periods begin at the time and day of the month of anchor
// (UTC; on the last day of months that are shorter); nil: with the calendar month of its
// time zone, which is not-found where the tenant has no cycle of its own. The running
// period, which is returned, ends at the next boundary after now; what was counted in it
// stays.
func SetCycle(ctx context.Context, db pg.DB, actor session.Session, tenant id.Tenant, anchor *time.Time) (Period, error) {
	var running Period
	args := pgx.NamedArgs{"tenant_id": tenant, "anchor": anchor}
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		before, err := lockCycle(ctx, tx, args)
		if err != nil {
			return err
		}
		if _, err := PeriodOf(ctx, tx, tenant, time.Time{}); err != nil {
			return err
		}
		change := setAnchorSQL
		if anchor == nil {
			change = removeAnchorSQL
		}
		for _, statement := range []string{change, moveEndSQL} {
			if _, err := tx.Exec(ctx, statement, args); err != nil {
				return fmt.Errorf("change the billing cycle of %s: %w", tenant, err)
			}
		}
		if running, err = PeriodOf(ctx, tx, tenant, time.Time{}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: tenant, Action: "set_billing_cycle", Target: "billing_cycle",
			Before: cycle(before.AnchorAt), After: cycle(anchor),
		})
	})
	return running, err
}

// lockCycle keeps the tenant's periods from being made meanwhile, and reads its cycle.
func lockCycle(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) (anchored, error) {
	if _, err := tx.Exec(ctx, lockPeriodsSQL, args); err != nil {
		return anchored{}, fmt.Errorf("lock the periods of %s: %w", args["tenant_id"], err)
	}
	found, err := pg.One[anchored](ctx, tx, anchorSQL, args)
	switch {
	case pg.NoRow(err):
		return found, fault.New(fault.NotFound, "there is no tenant %s", args["tenant_id"])
	case err != nil:
		return found, fmt.Errorf("read the billing cycle of %s: %w", args["tenant_id"], err)
	case found.AnchorAt == nil && args["anchor"] == (*time.Time)(nil):
		return found, fault.New(fault.NotFound, "the tenant %s has no billing cycle: its periods go by the calendar month", found.ID)
	}
	return found, nil
}

// cycle is what the audit log keeps of a billing cycle.
func cycle(anchor *time.Time) map[string]any {
	if anchor == nil {
		return nil
	}
	return map[string]any{"anchorAt": anchor.UTC()}
}
