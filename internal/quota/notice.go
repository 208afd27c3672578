package quota

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/usage"
)

// warningsFor is how long a warning that could not be mailed is still worth it.
const warningsFor = 3 * 24 * time.Hour

// notice is a warning that was not given before.
type notice struct {
	figures
	Threshold   int    `db:"threshold"`
	Tenant      string `db:"tenant"`
	Name        string `db:"name"`
	Unit        string `db:"unit"`
	Aggregation string `db:"aggregation"`
}

// noticeSQL goes by the limit as it is now. A higher threshold that was noticed before
// stands for the lower ones.
const noticeSQL = `
WITH standing AS (
	SELECT t.tenant_id, t.meter, t.period_start, t.used, t.held, e."limit", e.enforcement,
		billing.threshold(t.used, e."limit") AS threshold, n.name AS tenant, m.name, m.unit, m.aggregation, p.ends_at
	FROM billing.usage_totals t
	JOIN billing.meters m ON m.code = t.meter
	JOIN billing.usage_periods p ON p.tenant_id = t.tenant_id AND p.starts_at = t.period_start
	JOIN tenants.tenants n ON n.id = t.tenant_id AND n.status = 'active'
	CROSS JOIN LATERAL billing.entitlement(t.tenant_id, t.meter) e
	WHERE t.tenant_id = @tenant_id AND t.meter = @meter AND t.period_start = @period_start
), noticed AS (
	INSERT INTO billing.quota_notices (tenant_id, meter, period_start, threshold, used, "limit", enforcement)
	SELECT s.tenant_id, s.meter, s.period_start, s.threshold, s.used, s."limit", s.enforcement FROM standing s
	WHERE s.threshold > 0 AND NOT EXISTS (
		SELECT FROM billing.quota_notices q
		WHERE q.tenant_id = s.tenant_id AND q.meter = s.meter AND q.period_start = s.period_start AND q.threshold >= s.threshold)
	ON CONFLICT DO NOTHING
	RETURNING threshold)
SELECT s.threshold, s.tenant, s.name, s.unit, s.aggregation, s.used, s.held, s."limit", s.enforcement, s.ends_at FROM standing s JOIN noticed USING (threshold)`

const ownersSQL = `
SELECT u.email FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person'
WHERE m.tenant_id = @tenant_id AND m.role = 'owner' ORDER BY u.email`

// Notice warns of the threshold that a total is at: it keeps a row of it and queues a
// mail to each owner, in tx, which runs as nself_server. Each threshold is noticed once
// per period and meter, and a lower one not after a higher one. It returns the threshold;
// 0: nothing new, or there is no such total of an active tenant. A nil box sends nothing.
func Notice(ctx context.Context, tx pgx.Tx, box *queue.Outbox, tenant id.Tenant, meter string, periodStart time.Time) (threshold int, err error) {
	found, err := pg.One[notice](ctx, tx, noticeSQL, pgx.NamedArgs{"tenant_id": tenant, "meter": meter, "period_start": periodStart})
	if pg.NoRow(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("notice how tenant %s stands with %s: %w", tenant, meter, pg.Explain(err))
	}
	if !box.Open() {
		return found.Threshold, nil
	}
	rows, _ := tx.Query(ctx, ownersSQL, pgx.NamedArgs{"tenant_id": tenant})
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("read the owners of tenant %s: %w", tenant, pg.Explain(err))
	}
	for _, owner := range owners {
		if err := box.Send(ctx, tx, found.mail(tenant, owner)); err != nil {
			return 0, err
		}
	}
	return found.Threshold, nil
}

func (n notice) mail(tenant id.Tenant, to string) queue.Mail {
	mail := queue.Mail{
		Kind: queue.QuotaWarning, To: to, Tenant: tenant, Until: time.Now().Add(warningsFor),
		Values: map[string]string{
			queue.TenantName: n.Tenant, queue.Meter: n.Name, queue.Used: n.Used.String(), queue.Limit: strconv.FormatInt(n.Limit, 10),
			queue.Percent: strconv.Itoa(n.Threshold), queue.Enforcement: n.Enforcement,
		},
	}
	if n.Unit != "" {
		mail.Values[queue.Unit] = n.Unit
	}
	if n.Aggregation != string(usage.Level) {
		mail.Values[queue.Resets] = n.EndsAt.UTC().Format(time.RFC3339)
	}
	return mail
}

const unnoticedAllTenantsSQL = `
SELECT t.tenant_id, t.meter, t.period_start
FROM billing.usage_periods p
JOIN billing.usage_totals t ON t.tenant_id = p.tenant_id AND t.period_start = p.starts_at
JOIN tenants.tenants n ON n.id = t.tenant_id AND n.status = 'active'
CROSS JOIN LATERAL billing.entitlement(t.tenant_id, t.meter) e
WHERE p.ends_at > now() AND p.closed_at IS NULL AND billing.threshold(t.used, e."limit") > 0 AND NOT EXISTS (
	SELECT FROM billing.quota_notices q
	WHERE q.tenant_id = t.tenant_id AND q.meter = t.meter AND q.period_start = t.period_start AND q.threshold >= billing.threshold(t.used, e."limit"))`

// Sweep gives the routine that notices what no event told: one that was lost, a limit
// that was lowered, a level that goes on from one period into the next. It returns how
// many, and joins the errors of those that failed: each is a transaction of its own.
// warned is told of each that is committed; nil: nobody. It may run twice, and beside
// another server.
func Sweep(box *queue.Outbox, warned func(meter string, threshold int)) func(ctx context.Context, db pg.DB) (int64, error) {
	return func(ctx context.Context, db pg.DB) (int64, error) {
		due, err := pg.All[total](ctx, db, unnoticedAllTenantsSQL, nil)
		if err != nil {
			return 0, fmt.Errorf("find totals to warn of: %w", err)
		}
		var all int64
		err = totals(due).each(ctx, db, func(tx pgx.Tx, of total) (int, error) {
			return Notice(ctx, tx, box, of.Tenant, of.Meter, of.PeriodStart)
		}, func(of total, threshold int) {
			if threshold == 0 {
				return
			}
			all++
			if warned != nil {
				warned(of.Meter, threshold)
			}
		})
		return all, err
	}
}
