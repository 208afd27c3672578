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

// figures are how a tenant stands with a meter, as the database tells it with a decision.
type figures struct {
	Used        decimal.Decimal `db:"used"`
	Held        decimal.Decimal `db:"held"`
	Limit       int64           `db:"limit"`
	Enforcement string          `db:"enforcement"`
	EndsAt      time.Time       `db:"ends_at"`
}

// decide puts the figures into an answer.
func (f figures) decide(meter usage.Meter, allowed bool) Decision {
	d := Decision{
		Meter: meter.Code, Name: meter.Name, Unit: meter.Unit, Allowed: allowed,
		Limit: f.Limit, Used: positive(f.Used), Held: f.Held, Enforcement: f.Enforcement,
	}
	if f.Limit != entitlement.Unlimited {
		free := decimal.NewFromInt(f.Limit).Sub(positive(f.Used)).Sub(f.Held)
		d.Remaining = new(positive(free))
	}
	if meter.Aggregation != usage.Level {
		d.ResetDate = f.EndsAt
	}
	return d
}

// positive is the amount, or 0 where it is below: a level is while events are on their way.
func positive(amount decimal.Decimal) decimal.Decimal {
	if amount.IsNegative() {
		return decimal.Zero
	}
	return amount
}

// taken is what billing.take answers.
type taken struct {
	figures
	Granted []bool `db:"granted"`
}

const takeSQL = `
SELECT granted, used, held, "limit", enforcement, ends_at
FROM billing.take(@tenant_id, @meter, @amounts::text[]::numeric[], @vals)`

func takeArgs(tenant id.Tenant, meter string, asks []Ask) pgx.NamedArgs {
	amounts, values := make([]string, len(asks)), make([]*string, len(asks))
	for i, ask := range asks {
		amounts[i] = ask.Amount.String()
		if ask.Value != "" {
			values[i] = &ask.Value
		}
	}
	return pgx.NamedArgs{"tenant_id": tenant, "meter": meter, "amounts": amounts, "vals": values}
}

// Take checks and takes in one step, whether the meter is strict or leased. What does not
// fit is not taken at all and is no error: the decision says so. Beyond a soft limit
// everything fits. Not-found: there is no such tenant or meter; tenant-not-active: the
// tenant is suspended or deleted; invalid-input: the ask does not fit the meter, or the
// meter is a level, which is reserved or follows a table. db is a pool or a transaction,
// as nself_server or as the tenant itself.
func Take(ctx context.Context, db pg.DB, ask Ask) (Decision, error) {
	meter, err := readMeter(ctx, db, ask.Meter)
	if err != nil {
		return Decision{}, err
	}
	if err := ask.takes(meter); err != nil {
		return Decision{}, err
	}
	answer, err := pg.One[taken](ctx, db, takeSQL, takeArgs(ask.Tenant, ask.Meter, []Ask{ask}))
	if pg.NoRow(err) {
		return Decision{}, absent(ctx, db, ask.Tenant, ask.Meter)
	}
	if err != nil {
		return Decision{}, fmt.Errorf("take %s of %s for tenant %s: %w", ask.Amount, ask.Meter, ask.Tenant, pg.Explain(err))
	}
	return answer.decide(meter, answer.Granted[0]), nil
}

// takes tells what is wrong with taking an ask of this meter.
func (a *Ask) takes(meter usage.Meter) error {
	if meter.Aggregation == usage.Level {
		return unfit(meter, "reserve it, or change the rows that it counts")
	}
	return a.fit(meter)
}
