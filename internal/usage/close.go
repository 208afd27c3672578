package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const levelsDueAllTenantsSQL = `
SELECT t.tenant_id, t.meter, t.period_start
FROM billing.usage_periods p
JOIN billing.usage_totals t ON t.tenant_id = p.tenant_id AND t.period_start = p.starts_at
JOIN billing.meters m ON m.code = t.meter AND m.aggregation = 'level'
WHERE p.closed_at IS NULL AND p.ends_at <= now() AND t.level_at < p.ends_at
ORDER BY t.tenant_id, t.meter COLLATE "C", t.period_start`

type dueLevel struct {
	TenantID    id.Tenant `db:"tenant_id"`
	Meter       string    `db:"meter"`
	PeriodStart time.Time `db:"period_start"`
}

const rollLevelSQL = `SELECT billing.lock_total(@tenant_id, @meter, @period_start)`

// A level's hours are final before its period is closed. Whoever records late events
// holds the period, and it is closed next time.
const closePeriodsAllTenantsSQL = `
UPDATE billing.usage_periods SET closed_at = now() WHERE (tenant_id, starts_at) IN (
	SELECT p.tenant_id, p.starts_at FROM billing.usage_periods p
	WHERE p.closed_at IS NULL AND p.ends_at <= now() - billing.closing_delay() AND NOT EXISTS (
		SELECT FROM billing.usage_totals t JOIN billing.meters m ON m.code = t.meter AND m.aggregation = 'level'
		WHERE t.tenant_id = p.tenant_id AND t.period_start = p.starts_at AND t.level_at < p.ends_at)
	ORDER BY p.tenant_id, p.starts_at LIMIT @batch FOR UPDATE SKIP LOCKED)`

// ClosePeriods takes the levels of the periods that are over into the next ones, and
// closes the periods that take no more late events: it says how many. A level that is
// locked, or fails, keeps its own period open and no other; what failed is the error. db
// is a pool.
func ClosePeriods(ctx context.Context, db pg.DB) (int64, error) {
	due, err := pg.All[dueLevel](ctx, db, levelsDueAllTenantsSQL, nil)
	if err != nil {
		return 0, fmt.Errorf("find the levels of periods that are over: %w", err)
	}
	_, failed := each(ctx, db, due, func(ctx context.Context, tx pgx.Tx, l dueLevel) (int64, error) {
		_, err := tx.Exec(ctx, rollLevelSQL, pgx.NamedArgs{"tenant_id": l.TenantID, "meter": l.Meter, "period_start": l.PeriodStart})
		if err != nil {
			return 0, fmt.Errorf("take the level %s of %s into the next period: %w", l.Meter, l.TenantID, err)
		}
		return 1, nil
	})
	closed, err := pg.InBatches(ctx, db, closePeriodsAllTenantsSQL)
	if err != nil {
		err = fmt.Errorf("close periods: %w", err)
	}
	return closed, errors.Join(failed, err)
}
