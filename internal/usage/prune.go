package usage

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

// As long as an event would be counted in its period, its key tells whether it was: a
// period that a change of the billing cycle made longer may outlast the 35 days.
const pruneKeysAllTenantsSQL = `
DELETE FROM billing.usage_keys WHERE (tenant_id, key_hash) IN (
	SELECT k.tenant_id, k.key_hash FROM billing.usage_keys k
	WHERE k.recorded_at < now() - interval '35 days' AND NOT EXISTS (
		SELECT FROM billing.usage_periods p
		WHERE p.tenant_id = k.tenant_id AND p.starts_at <= k.at AND p.ends_at > k.at AND p.closed_at IS NULL)
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Nothing is counted in a closed period, nor taken off it.
const pruneValuesAllTenantsSQL = `
DELETE FROM billing.usage_values WHERE (tenant_id, meter, period_start, value_hash) IN (
	SELECT v.tenant_id, v.meter, v.period_start, v.value_hash
	FROM billing.meters m
	JOIN billing.usage_totals t ON t.meter = m.code
	JOIN billing.usage_periods p ON p.tenant_id = t.tenant_id AND p.starts_at = t.period_start AND p.closed_at IS NOT NULL
	JOIN billing.usage_values v ON v.tenant_id = t.tenant_id AND v.meter = t.meter AND v.period_start = t.period_start
	WHERE m.aggregation = 'unique' LIMIT @batch FOR UPDATE OF v SKIP LOCKED)`

// PruneKeys forgets the idempotency keys of more than 35 days ago whose events would be
// refused by now, and the values of closed periods, and says how many. db is a pool.
func PruneKeys(ctx context.Context, db pg.DB) (int64, error) {
	keys, err := pg.InBatches(ctx, db, pruneKeysAllTenantsSQL)
	if err != nil {
		return keys, fmt.Errorf("forget idempotency keys: %w", err)
	}
	values, err := pg.InBatches(ctx, db, pruneValuesAllTenantsSQL)
	if err != nil {
		return keys + values, fmt.Errorf("forget the values of closed periods: %w", err)
	}
	return keys + values, nil
}
