package quota

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const overdueAllTenantsSQL = `
SELECT DISTINCT tenant_id, meter, period_start FROM billing.quota_reservations WHERE state = 'open' AND expires_at <= now()`

const expireSQL = `SELECT billing.expire(@tenant_id, @meter, @period_start)`

const deadLeasesAllTenantsSQL = `
SELECT DISTINCT l.tenant_id, l.meter, l.period_start FROM billing.quota_leases l
JOIN billing.usage_periods p ON p.tenant_id = l.tenant_id AND p.starts_at = l.period_start
WHERE l.returned_at IS NULL AND p.closed_at IS NOT NULL`

// endDeadLeasesSQL counts nothing: their holders died, or never came back.
const endDeadLeasesSQL = `
SELECT count(*) FROM (
	SELECT array_agg(tenant_id) AS tenants, array_agg(id) AS ids, array_agg(reports + 1) AS numbers,
		array_agg(0::numeric) AS amounts, array_agg(true) AS finished
	FROM billing.quota_leases
	WHERE tenant_id = @tenant_id AND meter = @meter AND period_start = @period_start AND returned_at IS NULL) d
CROSS JOIN LATERAL billing.report_leases(d.tenants, d.ids, d.numbers, d.amounts, d.finished) AS reported`

// ExpireReservations ends the reservations whose time is over, and the leases of closed
// periods, which nobody handed back; what they held is held no longer. It returns how
// many, and joins the errors of those totals that failed. It may run twice, and beside
// another server. db is a pool as nself_server.
func ExpireReservations(ctx context.Context, db pg.DB) (int64, error) {
	expired, err := endAll(ctx, db, overdueAllTenantsSQL, expireSQL)
	if err != nil {
		err = fmt.Errorf("expire reservations: %w", err)
	}
	ended, failed := endAll(ctx, db, deadLeasesAllTenantsSQL, endDeadLeasesSQL)
	if failed != nil {
		failed = fmt.Errorf("end the leases of closed periods: %w", failed)
	}
	return expired + ended, errors.Join(err, failed)
}

// endAll finds totals by one statement, and ends what is due of each by another.
func endAll(ctx context.Context, db pg.DB, findSQL, endSQL string) (all int64, err error) {
	due, err := pg.All[total](ctx, db, findSQL, nil)
	if err != nil {
		return 0, err
	}
	err = totals(due).each(ctx, db, func(tx pgx.Tx, of total) (int, error) {
		return pg.Scalar[int](ctx, tx, endSQL, pgx.NamedArgs{"tenant_id": of.Tenant, "meter": of.Meter, "period_start": of.PeriodStart})
	}, func(_ total, ended int) { all += int64(ended) })
	return all, err
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
