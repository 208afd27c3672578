package usage

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// The figures are absolute, so that it does not matter how often they are made.
const rollUpAllTenantsSQL = `
WITH touched AS (
	SELECT DISTINCT r.tenant_id, r.meter, (r.at AT TIME ZONE 'UTC')::date AS day
	FROM billing.usage_records r WHERE r.recorded_at >= now() - interval '3 days'
), spans AS (
	SELECT t.tenant_id, t.meter, t.day, m.aggregation, t.day::timestamp AT TIME ZONE 'UTC' AS since, (t.day + 1)::timestamp AT TIME ZONE 'UTC' AS until
	FROM touched t JOIN billing.meters m ON m.code = t.meter
)
INSERT INTO billing.usage_daily AS d (tenant_id, meter, day, amount, events)
SELECT s.tenant_id, s.meter, s.day, CASE s.aggregation
	WHEN 'max' THEN coalesce((
		SELECT max(r.amount) FROM billing.usage_records r
		WHERE r.tenant_id = s.tenant_id AND r.meter = s.meter AND r.at >= s.since AND r.at < s.until AND r.source <> 'reversal' AND NOT EXISTS (
			SELECT FROM billing.usage_records n WHERE n.tenant_id = r.tenant_id AND n.meter = r.meter AND n.at = r.at
				AND n.idempotency_key = r.idempotency_key AND n.source = 'reversal')), 0)
	WHEN 'unique' THEN (
		SELECT count(*) FROM (
			SELECT FROM billing.usage_records r
			WHERE r.tenant_id = s.tenant_id AND r.meter = s.meter AND r.at >= s.since AND r.at < s.until
			GROUP BY r.value HAVING sum(CASE r.source WHEN 'reversal' THEN -1 ELSE 1 END) > 0) v)
	ELSE f.amount END, f.events
FROM spans s CROSS JOIN LATERAL (
	SELECT sum(r.amount) AS amount, count(*) AS events FROM billing.usage_records r
	WHERE r.tenant_id = s.tenant_id AND r.meter = s.meter AND r.at >= s.since AND r.at < s.until) f
ORDER BY s.tenant_id, s.meter, s.day
ON CONFLICT (tenant_id, meter, day) DO UPDATE SET amount = excluded.amount, events = excluded.events
WHERE (d.amount, d.events) IS DISTINCT FROM (excluded.amount, excluded.events)`

// RollUp adds up the days (UTC) of which the last three have brought records, and says
// how many of them changed.
func RollUp(ctx context.Context, db pg.DB) (int64, error) {
	tag, err := db.Exec(ctx, rollUpAllTenantsSQL, pgx.NamedArgs{})
	if err != nil {
		return 0, fmt.Errorf("add up the days: %w", err)
	}
	return tag.RowsAffected(), nil
}
