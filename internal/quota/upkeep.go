package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// overdue is a total of which reservations are overdue.
type overdue struct {
	Tenant      id.Tenant `db:"tenant_id"`
	Meter       string    `db:"meter"`
	PeriodStart time.Time `db:"period_start"`
}

const overdueAllTenantsSQL = `
SELECT DISTINCT tenant_id, meter, period_start FROM (
	SELECT tenant_id, meter, period_start FROM billing.quota_reservations
	WHERE state = 'open' AND expires_at <= now() ORDER BY expires_at LIMIT @batch) first`

const expireSQL = `SELECT billing.expire(@tenant_id, @meter, @period_start)`

// endDeadLeasesAllTenantsSQL counts nothing: their holders died, or never came back.
const endDeadLeasesAllTenantsSQL = `
WITH dead AS MATERIALIZED (
	SELECT l.tenant_id, l.id, l.reports + 1 AS number FROM billing.quota_leases l
	JOIN billing.usage_periods p ON p.tenant_id = l.tenant_id AND p.starts_at = l.period_start
	WHERE l.returned_at IS NULL AND p.closed_at IS NOT NULL LIMIT @batch)
SELECT count(*) FROM (SELECT array_agg(tenant_id) AS tenants, array_agg(id) AS ids, array_agg(number) AS numbers,
	array_agg(0::numeric) AS amounts, array_agg(true) AS finished FROM dead) d
CROSS JOIN LATERAL billing.report_leases(d.tenants, d.ids, d.numbers, d.amounts, d.finished) AS reported`

// ExpireReservations ends the reservations whose time is over, and the leases of closed
// periods, which nobody handed back; what they held is held no longer. It returns how
// many. It may run twice, and beside another server. db is a pool as nself_server.
func ExpireReservations(ctx context.Context, db pg.DB) (int64, error) {
	var all int64
	for {
		totals, err := pg.All[overdue](ctx, db, overdueAllTenantsSQL, pgx.NamedArgs{"batch": pg.Batch})
		if err != nil {
			return all, fmt.Errorf("find overdue reservations: %w", err)
		}
		if len(totals) == 0 {
			break
		}
		for _, t := range totals {
			ended, err := pg.Scalar[int64](ctx, db, expireSQL, pgx.NamedArgs{"tenant_id": t.Tenant, "meter": t.Meter, "period_start": t.PeriodStart})
			all += ended
			if err != nil {
				return all, fmt.Errorf("expire reservations of tenant %s, meter %s: %w", t.Tenant, t.Meter, err)
			}
		}
	}
	for {
		ended, err := pg.Scalar[int64](ctx, db, endDeadLeasesAllTenantsSQL, pgx.NamedArgs{"batch": pg.Batch})
		all += ended
		if err != nil || ended == 0 {
			return all, err
		}
	}
}

const pruneReservationsAllTenantsSQL = `
DELETE FROM billing.quota_reservations WHERE (tenant_id, id) IN (
	SELECT tenant_id, id FROM billing.quota_reservations
	WHERE state <> 'open' AND ended_at < now() - interval '35 days' LIMIT @batch)`

const pruneLeasesAllTenantsSQL = `
DELETE FROM billing.quota_leases WHERE (tenant_id, id) IN (
	SELECT tenant_id, id FROM billing.quota_leases WHERE returned_at < now() - interval '35 days' LIMIT @batch)`

// PruneEnded deletes the reservations and leases that ended over 35 days ago, and returns
// how many. db is a pool as nself_server.
func PruneEnded(ctx context.Context, db pg.DB) (int64, error) {
	reservations, err := pg.InBatches(ctx, db, pruneReservationsAllTenantsSQL)
	if err != nil {
		return reservations, fmt.Errorf("prune reservations: %w", err)
	}
	leases, err := pg.InBatches(ctx, db, pruneLeasesAllTenantsSQL)
	if err != nil {
		err = fmt.Errorf("prune leases: %w", err)
	}
	return reservations + leases, err
}
