package quota

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// checked is how things stand with what was asked for.
type checked struct {
	figures
	Seen bool `db:"seen"` // of a meter that counts values: this one is counted
}

// checkSQL leaves the overdue reservations out: whoever takes ends them. Users are the
// member rows that are there now; what is used of every other level is the latest total.
const checkSQL = `
SELECT CASE WHEN m.code = 'users' THEN
	(SELECT count(*) FROM tenants.tenant_members p JOIN auth.users u ON u.id = p.user_id AND u.kind = 'person' WHERE p.tenant_id = @tenant_id)
	ELSE coalesce(t.used, 0) END AS used,
	coalesce(t.held, 0) - (
		SELECT coalesce(sum(r.amount), 0) FROM billing.quota_reservations r
		WHERE r.tenant_id = @tenant_id AND r.meter = m.code AND r.state = 'open' AND r.expires_at <= now()
			AND (m.aggregation = 'level' OR r.period_start = p.starts_at)) AS held,
	e."limit", e.enforcement, p.ends_at,
	EXISTS (SELECT FROM billing.usage_values v
		WHERE v.tenant_id = @tenant_id AND v.meter = m.code AND v.period_start = p.starts_at
			AND v.value_hash = billing.hash128(@value::text) AND v.events > 0) AS seen
FROM billing.meters m
CROSS JOIN LATERAL billing.entitlement(@tenant_id, m.code) e
CROSS JOIN LATERAL billing.period(@tenant_id, now()) p
LEFT JOIN LATERAL (
	SELECT used, held FROM billing.usage_totals
	WHERE tenant_id = @tenant_id AND meter = m.code AND (m.aggregation = 'level' OR period_start = p.starts_at)
	ORDER BY period_start DESC LIMIT 1) t ON true
WHERE m.code = @meter AND billing.decidable(@tenant_id, m.code) IS NOT NULL`

// Check answers as Take would, or of a level as Reserve would, and takes nothing: what it
// allows may be gone a moment later. Errors are those of Take, but a level is none.
func Check(ctx context.Context, db pg.DB, ask Ask) (Decision, error) {
	meter, err := readMeter(ctx, db, ask.Meter)
	if err != nil {
		return Decision{}, err
	}
	if err := ask.fit(meter); err != nil {
		return Decision{}, err
	}
	now, err := pg.One[checked](ctx, db, checkSQL, pgx.NamedArgs{"tenant_id": ask.Tenant, "meter": ask.Meter, "value": ask.Value})
	if pg.NoRow(err) {
		return Decision{}, absent(ctx, db, ask.Tenant, ask.Meter)
	}
	if err != nil {
		return Decision{}, fmt.Errorf("check %s for tenant %s: %w", ask.Meter, ask.Tenant, pg.Explain(err))
	}
	return now.decide(meter, now.fits(meter, ask)), nil
}

// fits is the rule of billing.take and billing.hold.
func (c checked) fits(meter usage.Meter, ask Ask) bool {
	if c.Limit == entitlement.Unlimited || c.Enforcement == entitlement.Soft {
		return true
	}
	more := ask.Amount
	switch {
	case meter.Aggregation == usage.Max:
		more = positive(ask.Amount.Sub(c.Used))
	case meter.Aggregation == usage.Unique && c.Seen:
		more = decimal.Zero
	}
	return more.IsZero() || positive(c.Used).Add(c.Held).Add(more).LessThanOrEqual(decimal.NewFromInt(c.Limit))
}
