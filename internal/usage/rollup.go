package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Every record moves its total's updated_at, but one that is not committed yet may be up to
// an hour old when it is seen. A closed period is added up a last time, and left alone.
const periodsToRollAllTenantsSQL = `
SELECT p.tenant_id, p.starts_at FROM billing.usage_periods p
WHERE (p.closed_at IS NULL OR p.rolled_at IS NULL OR p.rolled_at < p.closed_at + interval '1 hour') AND EXISTS (
	SELECT FROM billing.usage_totals t WHERE t.tenant_id = p.tenant_id AND t.period_start = p.starts_at
		AND (p.rolled_at IS NULL OR t.updated_at >= p.rolled_at - interval '1 hour'))
ORDER BY p.tenant_id, p.starts_at`

type tenantPeriod struct {
	TenantID id.Tenant `db:"tenant_id"`
	StartsAt time.Time `db:"starts_at"`
}

// The figures are absolute, so that it does not matter how often they are made. No record
// is older than an hour before what it is of: partitions from before that are not read.
const rollPeriodSQL = `
WITH period AS (
	SELECT p.starts_at, coalesce(p.rolled_at, p.starts_at) - interval '1 hour' AS since
	FROM billing.usage_periods p WHERE p.tenant_id = @tenant_id AND p.starts_at = @start
), touched AS (
	SELECT DISTINCT r.meter, (r.at AT TIME ZONE 'UTC')::date AS day
	FROM billing.usage_records r
	WHERE r.tenant_id = @tenant_id AND r.period_start = @start AND r.recorded_at >= (SELECT since FROM period) AND r.recorded_at <= now()
), spans AS (
	SELECT t.meter, t.day, m.aggregation, t.day::timestamp AT TIME ZONE 'UTC' AS since, (t.day + 1)::timestamp AT TIME ZONE 'UTC' AS until
	FROM touched t JOIN billing.meters m ON m.code = t.meter
), bounds AS (
	SELECT min(since) - interval '1 hour' AS recorded FROM spans
)
INSERT INTO billing.usage_daily AS d (tenant_id, meter, day, amount, events)
SELECT @tenant_id, s.meter, s.day, CASE s.aggregation
	WHEN 'max' THEN coalesce((
		SELECT max(r.amount) FROM billing.usage_records r
		WHERE r.tenant_id = @tenant_id AND r.meter = s.meter AND r.at >= s.since AND r.at < s.until AND r.source <> 'reversal'
			AND r.recorded_at >= (SELECT recorded FROM bounds) AND r.recorded_at <= now() AND NOT EXISTS (
			SELECT FROM billing.usage_records n WHERE n.tenant_id = r.tenant_id AND n.meter = r.meter AND n.at = r.at
				AND n.idempotency_key = r.idempotency_key AND n.source = 'reversal'
				AND n.recorded_at >= (SELECT recorded FROM bounds) AND n.recorded_at <= now())), 0)
	WHEN 'unique' THEN (
		SELECT count(*) FROM (
			SELECT FROM billing.usage_records r
			WHERE r.tenant_id = @tenant_id AND r.meter = s.meter AND r.at >= s.since AND r.at < s.until
				AND r.recorded_at >= (SELECT recorded FROM bounds) AND r.recorded_at <= now()
			GROUP BY r.value HAVING sum(CASE r.source WHEN 'reversal' THEN -1 ELSE 1 END) > 0) v)
	ELSE f.amount END, f.events
FROM spans s CROSS JOIN LATERAL (
	SELECT sum(r.amount) AS amount, count(*) AS events FROM billing.usage_records r
	WHERE r.tenant_id = @tenant_id AND r.meter = s.meter AND r.at >= s.since AND r.at < s.until
		AND r.recorded_at >= (SELECT recorded FROM bounds) AND r.recorded_at <= now()) f
ORDER BY s.meter, s.day
ON CONFLICT (tenant_id, meter, day) DO UPDATE SET amount = excluded.amount, events = excluded.events
WHERE (d.amount, d.events) IS DISTINCT FROM (excluded.amount, excluded.events)`

const periodRolledSQL = `UPDATE billing.usage_periods SET rolled_at = now() WHERE tenant_id = @tenant_id AND starts_at = @start`

// RollUp adds up the days (UTC) that have got records since they were last added up, and
// says how many of them changed: each tenant's by itself, so that one that fails keeps
// the others from nothing. db is a pool.
func RollUp(ctx context.Context, db pg.DB) (int64, error) {
	due, err := pg.All[tenantPeriod](ctx, db, periodsToRollAllTenantsSQL, nil)
	if err != nil {
		return 0, fmt.Errorf("find the days to add up: %w", err)
	}
	return each(ctx, db, due, rollPeriod)
}

func rollPeriod(ctx context.Context, tx pgx.Tx, p tenantPeriod) (int64, error) {
	args := pgx.NamedArgs{"tenant_id": p.TenantID, "start": p.StartsAt}
	tag, err := tx.Exec(ctx, rollPeriodSQL, args)
	if err == nil {
		_, err = tx.Exec(ctx, periodRolledSQL, args)
	}
	if err != nil {
		return 0, fmt.Errorf("add up the days of %s: %w", p.TenantID, err)
	}
	return tag.RowsAffected(), nil
}
