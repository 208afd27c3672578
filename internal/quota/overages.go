package quota

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/usage"
)

// Overage is what a tenant used of a meter in a period past a soft limit, and its cost.
type Overage struct {
	Meter       string
	Name        string          // the meter's, for people
	Billable    decimal.Decimal // what was used; of a level: its average over the period
	Limit       int64           // as the period's terms have it
	Units       int64           // begun past the limit; what is more than an int64 holds is told as the most it does, here and in AmountMinor
	AmountMinor int64           // in minor units of Currency
	Currency    string          // of three letters, lower case: the plan's
}

// What was noted when the tenant's plan, its add-ons or a limit changed, or the
// subscription ended, stands.
const noteTermsSQL = `
SELECT coalesce(sum(billing.note_terms(p.tenant_id, p.ends_at)), 0)::bigint FROM billing.usage_periods p
WHERE p.tenant_id = @tenant_id AND p.starts_at = @starts_at AND NOT EXISTS (
	SELECT FROM billing.usage_terms u WHERE u.tenant_id = p.tenant_id AND u.period_start = p.starts_at)`

const overagesSQL = `
SELECT m.code, m.name, m.aggregation, coalesce(t.used, 0) AS used, u."limit", u.enforcement, u.overage_minor, u.overage_unit, u.currency,
	` + averageOfLevel + periodOfTenant + `
JOIN billing.usage_terms u ON u.tenant_id = p.tenant_id AND u.period_start = p.starts_at
JOIN billing.meters m ON m.code = u.meter` + totalInPeriod + `
WHERE p.tenant_id = @tenant_id AND p.starts_at = @starts_at
ORDER BY m.code`

// charged is what was used of a meter in a period, and the terms by which that costs.
type charged struct {
	Code         string          `db:"code"`
	Name         string          `db:"name"`
	Aggregation  string          `db:"aggregation"`
	Used         decimal.Decimal `db:"used"`
	Average      decimal.Decimal `db:"average"`
	Limit        int64           `db:"limit"`
	Enforcement  string          `db:"enforcement"`
	OverageMinor *int64          `db:"overage_minor"`
	OverageUnit  int64           `db:"overage_unit"`
	Currency     string          `db:"currency"`
}

// Overages is what is due of the period that starts at periodStart and was closed, a
// meter each, where something is: by the sums that Read estimates with, but by the terms
// that held when the period ended, or when what the tenant paid for did. Where those are
// not noted yet they are now: db is nself_server's, and the period not marked as billed. A
// period that is not there has none.
func Overages(ctx context.Context, db pg.DB, tenant id.Tenant, periodStart time.Time) ([]Overage, error) {
	args := pgx.NamedArgs{"tenant_id": tenant, "starts_at": periodStart}
	if _, err := pg.Scalar[int64](ctx, db, noteTermsSQL, args); err != nil {
		return nil, fmt.Errorf("note the terms of a period of tenant %s: %w", tenant, pg.Explain(err))
	}
	rows, err := pg.All[charged](ctx, db, overagesSQL, args)
	if err != nil {
		return nil, fmt.Errorf("read what a period of tenant %s is billed by: %w", tenant, pg.Explain(err))
	}
	var due []Overage
	for _, r := range rows {
		units, amount := r.overage()
		if amount.IsPositive() {
			due = append(due, Overage{
				Meter: r.Code, Name: r.Name, Billable: r.billable(), Limit: r.Limit, Currency: r.Currency,
				Units: decimal.Min(units, mostMinor).IntPart(), AmountMinor: decimal.Min(amount, mostMinor).IntPart(),
			})
		}
	}
	return due, nil
}

// billable is what a period is charged for: of a level its average over the period so far.
func (c charged) billable() decimal.Decimal {
	if c.Aggregation == string(usage.Level) {
		return c.Average
	}
	return c.Used
}

// overage is how many units were begun beyond a soft limit, and what they cost in minor
// units of the currency.
func (c charged) overage() (units, amount decimal.Decimal) {
	if c.OverageMinor == nil || c.Limit == entitlement.Unlimited || c.Enforcement != entitlement.Soft {
		return decimal.Zero, decimal.Zero
	}
	past := c.billable().Sub(decimal.NewFromInt(c.Limit))
	if !past.IsPositive() {
		return decimal.Zero, decimal.Zero
	}
	units, rest := past.QuoRem(decimal.NewFromInt(c.OverageUnit), 0)
	if rest.IsPositive() {
		units = units.Add(one)
	}
	return units, units.Mul(decimal.NewFromInt(*c.OverageMinor))
}
