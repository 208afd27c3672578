package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Drift is a total that is not what it is the total of.
type Drift struct {
	TenantID    id.Tenant       `db:"tenant_id"`
	Meter       string          `db:"meter"`
	PeriodStart time.Time       `db:"period_start"`
	Total       decimal.Decimal `db:"total"`
	Counted     decimal.Decimal `db:"counted"` // from the records, or from the rows that a built-in level is of
	FoundAt     time.Time       `db:"found_at"`
}

const forgetDriftAllTenantsSQL = `DELETE FROM billing.usage_drift`

// One statement sees one moment. A level begins with what it was at the end of the period
// before; the latest one of users and storage has rows to be compared with. A closed period
// whose records are gone in part is left out.
const findDriftAllTenantsSQL = `
WITH summed AS (
	SELECT r.tenant_id, r.meter, r.period_start, sum(r.amount) AS amount, count(*) AS events
	FROM billing.usage_records r GROUP BY 1, 2, 3
), highest AS (
	SELECT r.tenant_id, r.meter, r.period_start, max(r.amount) AS amount
	FROM billing.usage_records r JOIN billing.meters m ON m.code = r.meter AND m.aggregation = 'max'
	WHERE r.source <> 'reversal' AND NOT EXISTS (
		SELECT FROM billing.usage_records n WHERE n.tenant_id = r.tenant_id AND n.meter = r.meter AND n.at = r.at
			AND n.idempotency_key = r.idempotency_key AND n.source = 'reversal')
	GROUP BY 1, 2, 3
), different AS (
	SELECT v.tenant_id, v.meter, v.period_start, count(*) AS amount FROM (
		SELECT r.tenant_id, r.meter, r.period_start, r.value
		FROM billing.usage_records r JOIN billing.meters m ON m.code = r.meter AND m.aggregation = 'unique'
		GROUP BY 1, 2, 3, 4 HAVING sum(CASE r.source WHEN 'reversal' THEN -1 ELSE 1 END) > 0) v
	GROUP BY 1, 2, 3
), present AS (
	SELECT m.tenant_id, 'users' AS meter, count(*)::numeric AS amount
	FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person' GROUP BY 1
	UNION ALL
	SELECT o.tenant_id, 'storage', sum(o.size_bytes) FROM tenants.storage_objects o GROUP BY 1
), counted AS (
	SELECT t.tenant_id, t.meter, t.period_start, t.used, p.closed_at IS NULL OR coalesce(s.events, 0) = t.events AS whole,
		coalesce(CASE m.aggregation
			WHEN 'max' THEN h.amount
			WHEN 'unique' THEN d.amount
			WHEN 'level' THEN CASE
				WHEN t.meter IN ('users', 'storage') AND latest.is THEN n.amount
				ELSE coalesce(former.used, 0) + coalesce(s.amount, 0) END
			ELSE s.amount END, 0) AS amount
	FROM billing.usage_totals t
	JOIN billing.usage_periods p ON p.tenant_id = t.tenant_id AND p.starts_at = t.period_start
	JOIN billing.meters m ON m.code = t.meter
	LEFT JOIN summed s ON s.tenant_id = t.tenant_id AND s.meter = t.meter AND s.period_start = t.period_start
	LEFT JOIN highest h ON h.tenant_id = t.tenant_id AND h.meter = t.meter AND h.period_start = t.period_start
	LEFT JOIN different d ON d.tenant_id = t.tenant_id AND d.meter = t.meter AND d.period_start = t.period_start
	LEFT JOIN present n ON n.tenant_id = t.tenant_id AND n.meter = t.meter
	LEFT JOIN LATERAL (
		SELECT f.used FROM billing.usage_totals f WHERE f.tenant_id = t.tenant_id AND f.meter = t.meter
			AND f.period_start < t.period_start ORDER BY f.period_start DESC LIMIT 1) former ON true
	CROSS JOIN LATERAL (
		SELECT NOT EXISTS (SELECT FROM billing.usage_totals l WHERE l.tenant_id = t.tenant_id AND l.meter = t.meter
			AND l.period_start > t.period_start) AS is) latest
)
INSERT INTO billing.usage_drift (tenant_id, meter, period_start, total, counted)
SELECT c.tenant_id, c.meter, c.period_start, c.used, c.amount FROM counted c WHERE c.whole AND c.used <> c.amount
ON CONFLICT (tenant_id, meter, period_start) DO UPDATE SET total = excluded.total, counted = excluded.counted, found_at = now()`

// Reconcile compares the totals of the open periods, and of the closed ones whose records
// are kept, with what they are totals of, and notes those that differ in place of what was
// noted before: it says how many. Of users and storage a difference may be events on their
// way; one that stays is none.
func Reconcile(ctx context.Context, db pg.DB) (int64, error) {
	var found int64
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, forgetDriftAllTenantsSQL); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, findDriftAllTenantsSQL)
		found = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reconcile the totals: %w", err)
	}
	return found, nil
}

const driftsAllTenantsSQL = `
SELECT tenant_id, meter, period_start, total, counted, found_at FROM billing.usage_drift ORDER BY tenant_id, meter, period_start`

// Drifts are the totals that the last Reconcile found to differ.
func Drifts(ctx context.Context, db pg.DB) ([]Drift, error) {
	found, err := pg.All[Drift](ctx, db, driftsAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("list the totals that differ: %w", err)
	}
	return found, nil
}
