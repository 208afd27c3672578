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

// Total is what a tenant has used of a meter in a period.
type Total struct {
	Meter       string          `db:"meter"`
	PeriodStart time.Time       `db:"period_start"`
	Used        decimal.Decimal `db:"used"`        // of a level what there is; below 0 while its events are on their way
	Held        decimal.Decimal `db:"held"`        // reserved and leased
	LevelHours  decimal.Decimal `db:"level_hours"` // of a level: its integral over the period until its last change
	Events      int64           `db:"events"`
	Reached     int16           `db:"reached"` // 0, 80 or 100 percent of the limit
	UpdatedAt   time.Time       `db:"updated_at"`
}

const totalsSQL = `
SELECT meter, period_start, used, held, level_hours, events, reached, updated_at
FROM billing.usage_totals WHERE tenant_id = @tenant_id AND period_start = @start ORDER BY meter`

// Totals are the tenant's of the period that begins at start, by meter. A level that did
// not change since has its total in an earlier one.
func Totals(ctx context.Context, db pg.DB, tenant id.Tenant, start time.Time) ([]Total, error) {
	found, err := pg.All[Total](ctx, db, totalsSQL, pgx.NamedArgs{"tenant_id": tenant, "start": start})
	if err != nil {
		return nil, fmt.Errorf("read the totals of %s: %w", tenant, err)
	}
	return found, nil
}

// Day is what was used of a meter on a day (UTC).
type Day struct {
	Meter  string          `db:"meter"`
	Day    time.Time       `db:"day"`
	Amount decimal.Decimal `db:"amount"` // of a level: by how much it changed
	Events int64           `db:"events"`
}

const daysSQL = `
SELECT meter, day, amount, events FROM billing.usage_daily
WHERE tenant_id = @tenant_id AND meter = @meter AND day BETWEEN @from AND @to ORDER BY day`

// Days are the tenant's days of a meter from one day to another, both included; days
// without events are left out.
func Days(ctx context.Context, db pg.DB, tenant id.Tenant, meter string, from, to time.Time) ([]Day, error) {
	args := pgx.NamedArgs{"tenant_id": tenant, "meter": meter, "from": from, "to": to}
	found, err := pg.All[Day](ctx, db, daysSQL, args)
	if err != nil {
		return nil, fmt.Errorf("read the days of %s: %w", tenant, err)
	}
	return found, nil
}
