package quota

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// Standing is how a tenant stands with one meter.
type Standing struct {
	Meter       string
	Name        string
	Unit        string
	Aggregation string
	Used        decimal.Decimal // in the period; of a level: now, or when the period ended
	Held        decimal.Decimal // reserved and leased
	Limit       int64           // -1: unlimited; as it is now, whatever the period
	Enforcement string          // soft or hard
	Source      string          // of the limit: tenant, plan or default
	Remaining   *decimal.Decimal
	Percent     *decimal.Decimal // of the limit, with one decimal; nil, as Remaining: unlimited
	Reached     int16            // the warning threshold that used is at: 0, 80 or 100
	ResetDate   *time.Time       // nil: a level, which nothing resets
}

// Report is what a tenant used in one period, and what it is about to cost.
type Report struct {
	Tenant      string // its slug
	Plan        string // its code, as it is now
	Period      usage.Period
	Meters      []Standing // the built-in ones first
	ChargeMinor int64      // estimated, in minor units of Currency; what is more than an int64 holds is told as the most it does
	Currency    string     // of three letters, lower case
}

// row is a meter as standingsSQL reads it.
type row struct {
	figures
	Code         string          `db:"code"`
	Name         string          `db:"name"`
	Unit         string          `db:"unit"`
	Aggregation  string          `db:"aggregation"`
	Source       string          `db:"source"`
	Reached      int16           `db:"reached"`
	Average      decimal.Decimal `db:"average"`
	OverageMinor *int64          `db:"overage_minor"`
	OverageUnit  int64           `db:"overage_unit"`
}

// averageOfLevel is a level's average over the period so far: to six decimals, so that
// what level_hours was rounded by begins no unit.
const averageOfLevel = `CASE WHEN m.aggregation = 'level' AND until > p.starts_at THEN
		round((CASE WHEN t.period_start = p.starts_at THEN t.level_hours ELSE 0 END * 3600
			+ greatest(coalesce(t.used, 0), 0) * extract(epoch FROM greatest(until - greatest(t.level_at, p.starts_at), interval '0')))
			/ extract(epoch FROM until - p.starts_at), 6)
	ELSE 0 END AS average`

// periodOfTenant is one period, and when what is told of it ends.
const periodOfTenant = `
FROM billing.usage_periods p
CROSS JOIN LATERAL (SELECT LEAST(now(), p.ends_at) AS until, now() < p.ends_at AS running) c`

// totalInPeriod is what was counted of meter m in period p: a tenant whose level never
// changes in a period has no total of it yet.
const totalInPeriod = `
LEFT JOIN LATERAL (
	SELECT used, held, level_hours, level_at, period_start FROM billing.usage_totals
	WHERE tenant_id = @tenant_id AND meter = m.code AND period_start <= p.starts_at
		AND (m.aggregation = 'level' OR period_start = p.starts_at)
	ORDER BY period_start DESC LIMIT 1) t ON true`

// standingsSQL reads a period's totals. Of the running period users are the member rows,
// and every level is brought up to now.
const standingsSQL = `
SELECT m.code, m.name, m.unit, m.aggregation, n.used, coalesce(t.held, 0) AS held, e."limit", e.enforcement, e.source, p.ends_at,
	billing.threshold(n.used, e."limit") AS reached, l.overage_minor, coalesce(l.overage_unit, 1) AS overage_unit,
	` + averageOfLevel + periodOfTenant + `
CROSS JOIN billing.meters m
CROSS JOIN LATERAL billing.entitlement(@tenant_id, m.code) e` + totalInPeriod + `
CROSS JOIN LATERAL (
	SELECT CASE WHEN m.code = 'users' AND running THEN
		(SELECT count(*) FROM tenants.tenant_members b JOIN auth.users u ON u.id = b.user_id AND u.kind = 'person' WHERE b.tenant_id = @tenant_id)
	ELSE coalesce(t.used, 0) END AS used) n
LEFT JOIN billing.plan_limits l ON l.plan = @plan AND l.meter = m.code
WHERE p.tenant_id = @tenant_id AND p.starts_at = @starts_at
ORDER BY NOT m.built_in, array_position(ARRAY['api_requests', 'storage', 'compute_hours', 'users'], m.code), m.code`

// plan is what a tenant pays before any overage.
type plan struct {
	Slug     string          `db:"slug"`
	Code     string          `db:"code"`
	Price    decimal.Decimal `db:"price"` // of all seats and add-ons
	Currency string          `db:"currency"`
}

// An add-on is paid in the currency of the plan: another is not sold with it.
const planSQL = `
SELECT t.slug, p.code, p.currency, p.price_minor::numeric * CASE WHEN p.per_seat THEN greatest(1, (
		SELECT count(*) FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person' WHERE m.tenant_id = t.id))
	ELSE 1 END + coalesce((
		SELECT sum(a.price_minor::numeric * h.quantity) FROM billing.tenant_addons h
		JOIN billing.addons a ON a.code = h.addon AND a.currency = p.currency WHERE h.tenant_id = t.id), 0) AS price
FROM tenants.tenants t JOIN billing.plans p ON p.code = t.plan WHERE t.id = @tenant_id`

func planOf(ctx context.Context, db pg.DB, tenant id.Tenant) (plan, error) {
	found, err := pg.One[plan](ctx, db, planSQL, pgx.NamedArgs{"tenant_id": tenant})
	if pg.NoRow(err) {
		return found, fault.New(fault.NotFound, "there is no tenant %s", tenant)
	}
	if err != nil {
		return found, fmt.Errorf("read the plan of tenant %s: %w", tenant, pg.Explain(err))
	}
	return found, nil
}

// Read reports the period that a moment is in; zero: now. Limits, plan and price are
// those of now. Not-found: there is no such tenant, or no such period of it.
func Read(ctx context.Context, db pg.DB, tenant id.Tenant, at time.Time) (Report, error) {
	paid, err := planOf(ctx, db, tenant)
	if err != nil {
		return Report{}, err
	}
	period, err := usage.PeriodOf(ctx, db, tenant, at)
	if err != nil {
		return Report{}, err
	}
	rows, err := rowsOf(ctx, db, tenant, paid.Code, period.StartsAt)
	if err != nil {
		return Report{}, err
	}
	report := Report{Tenant: paid.Slug, Plan: paid.Code, Period: period, Currency: paid.Currency}
	charge := paid.Price
	for _, r := range rows {
		report.Meters = append(report.Meters, r.standing())
		_, amount := r.charged().overage()
		charge = charge.Add(amount)
	}
	report.ChargeMinor = decimal.Min(charge, mostMinor).IntPart()
	return report, nil
}

func rowsOf(ctx context.Context, db pg.DB, tenant id.Tenant, plan string, startsAt time.Time) ([]row, error) {
	rows, err := pg.All[row](ctx, db, standingsSQL, pgx.NamedArgs{"tenant_id": tenant, "plan": plan, "starts_at": startsAt})
	if err != nil {
		return nil, fmt.Errorf("read the totals of tenant %s: %w", tenant, pg.Explain(err))
	}
	return rows, nil
}

func (r row) charged() charged {
	return charged{
		Aggregation: r.Aggregation, Used: r.Used, Average: r.Average, Limit: r.Limit, Enforcement: r.Enforcement,
		OverageMinor: r.OverageMinor, OverageUnit: r.OverageUnit,
	}
}

func (r row) standing() Standing {
	meter := usage.Meter{Code: r.Code, Name: r.Name, Unit: r.Unit, Aggregation: usage.Aggregation(r.Aggregation)}
	d := r.decide(meter, true)
	s := Standing{
		Meter: r.Code, Name: r.Name, Unit: r.Unit, Aggregation: r.Aggregation, Used: d.Used, Held: d.Held,
		Limit: r.Limit, Enforcement: r.Enforcement, Source: r.Source, Remaining: d.Remaining, Reached: r.Reached,
	}
	if r.Limit != entitlement.Unlimited {
		s.Percent = new(percent(r.Used, r.Limit))
	}
	if !d.ResetDate.IsZero() {
		s.ResetDate = &d.ResetDate
	}
	return s
}

// percent is 100 where something is used of nothing.
func percent(used decimal.Decimal, limit int64) decimal.Decimal {
	switch {
	case !used.IsPositive():
		return decimal.Zero
	case limit == 0:
		return decimal.NewFromInt(100)
	}
	return used.Mul(decimal.NewFromInt(100)).DivRound(decimal.NewFromInt(limit), 1)
}

var mostMinor = decimal.NewFromInt(math.MaxInt64)
