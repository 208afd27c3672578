package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const makePartitionsSQL = `SELECT billing.make_usage_partitions((now() AT TIME ZONE 'UTC' + interval '12 months')::date)::bigint`

// MakePartitions makes the partitions of the records of the coming year, and says how
// many. It fails rather than have others wait.
func MakePartitions(ctx context.Context, db pg.DB) (int64, error) {
	made, err := pg.Scalar[int64](ctx, db, makePartitionsSQL, nil)
	if err != nil {
		return 0, fmt.Errorf("make partitions of the usage records: %w", err)
	}
	return made, nil
}

const dropPartitionsSQL = `SELECT billing.drop_usage_partitions(now() - @retention::interval)::bigint`

// DropPartitions is a routine that drops the partitions of which every record is older
// than the retention, and says how many; the totals stay. Less than 35 days is an error.
func DropPartitions(retention time.Duration) func(context.Context, pg.DB) (int64, error) {
	return func(ctx context.Context, db pg.DB) (int64, error) {
		gone, err := pg.Scalar[int64](ctx, db, dropPartitionsSQL, pgx.NamedArgs{"retention": retention})
		if err != nil {
			return 0, fmt.Errorf("drop partitions of the usage records: %w", err)
		}
		return gone, nil
	}
}

const pruneKeysAllTenantsSQL = `
DELETE FROM billing.usage_keys WHERE (tenant_id, key_hash) IN (
	SELECT tenant_id, key_hash FROM billing.usage_keys WHERE recorded_at < now() - interval '35 days'
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

// PruneKeys forgets the idempotency keys of more than 35 days ago, and says how many. db
// is a pool.
func PruneKeys(ctx context.Context, db pg.DB) (int64, error) {
	gone, err := pg.InBatches(ctx, db, pruneKeysAllTenantsSQL)
	if err != nil {
		return gone, fmt.Errorf("forget idempotency keys: %w", err)
	}
	return gone, nil
}

const rollLevelsAllTenantsSQL = `
SELECT count(billing.lock_total(due.tenant_id, due.meter, due.period_start)) FROM (
	SELECT t.tenant_id, t.meter, t.period_start
	FROM billing.usage_periods p
	JOIN billing.usage_totals t ON t.tenant_id = p.tenant_id AND t.period_start = p.starts_at
	JOIN billing.meters m ON m.code = t.meter AND m.aggregation = 'level'
	WHERE p.closed_at IS NULL AND p.ends_at <= now() AND t.level_at < p.ends_at
	ORDER BY t.tenant_id, t.meter COLLATE "C", t.period_start LIMIT @batch) due`

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
// closes the periods that take no more late events: it says how many. db is a pool.
func ClosePeriods(ctx context.Context, db pg.DB) (int64, error) {
	for {
		rolled, err := pg.Scalar[int64](ctx, db, rollLevelsAllTenantsSQL, pgx.NamedArgs{"batch": pg.Batch})
		if err != nil {
			return 0, fmt.Errorf("take the levels into the next periods: %w", err)
		}
		if rolled == 0 {
			break
		}
	}
	closed, err := pg.InBatches(ctx, db, closePeriodsAllTenantsSQL)
	if err != nil {
		return closed, fmt.Errorf("close periods: %w", err)
	}
	return closed, nil
}
