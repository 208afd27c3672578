package quota

import (
	"context"
	"time"

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
	Limit       int64           // as it is now
	Units       int64           // begun past the limit; what is more than an int64 holds is told as the most it does, here and in AmountMinor
	AmountMinor int64           // in minor units of Currency
	Currency    string          // of three letters, lower case: the plan's
}

// Overages is what is due of the period that starts at periodStart, a meter each, where
// something is: by the sums that Read estimates with, so that both come to the same
// amount. Plan, limits and prices are those of now. A period that is not there has none;
// not-found: there is no such tenant.
func Overages(ctx context.Context, db pg.DB, tenant id.Tenant, periodStart time.Time) ([]Overage, error) {
	paid, err := planOf(ctx, db, tenant)
	if err != nil {
		return nil, err
	}
	rows, err := rowsOf(ctx, db, tenant, paid.Code, periodStart)
	if err != nil {
		return nil, err
	}
	var due []Overage
	for _, r := range rows {
		units, amount := r.overage()
		if amount.IsPositive() {
			due = append(due, Overage{
				Meter: r.Code, Name: r.Name, Billable: r.billable(), Limit: r.Limit, Currency: paid.Currency,
				Units: decimal.Min(units, mostMinor).IntPart(), AmountMinor: decimal.Min(amount, mostMinor).IntPart(),
			})
		}
	}
	return due, nil
}

// billable is what a period is charged for: of a level its average over the period so far.
func (r row) billable() decimal.Decimal {
	if r.Aggregation == string(usage.Level) {
		return r.Average
	}
	return r.Used
}

// overage is how many units were begun beyond a soft limit, and what they cost in minor
// units of the currency.
func (r row) overage() (units, amount decimal.Decimal) {
	if r.OverageMinor == nil || r.Limit == entitlement.Unlimited || r.Enforcement != entitlement.Soft {
		return decimal.Zero, decimal.Zero
	}
	past := r.billable().Sub(decimal.NewFromInt(r.Limit))
	if !past.IsPositive() {
		return decimal.Zero, decimal.Zero
	}
	units, rest := past.QuoRem(decimal.NewFromInt(r.OverageUnit), 0)
	if rest.IsPositive() {
		units = units.Add(one)
	}
	return units, units.Mul(decimal.NewFromInt(*r.OverageMinor))
}
