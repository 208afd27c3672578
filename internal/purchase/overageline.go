package purchase

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

const overageSQL = `
SELECT o.amount_minor, o.currency, o.units, p.ends_at, m.name, m.unit FROM billing.overages o
JOIN billing.usage_periods p ON p.tenant_id = o.tenant_id AND p.starts_at = o.period_start
JOIN billing.meters m ON m.code = o.meter
WHERE o.tenant_id = @tenant_id AND o.meter = @meter AND o.period_start = @period_start`

type overageRow struct {
	AmountMinor int64     `db:"amount_minor"`
	Currency    string    `db:"currency"`
	Units       int64     `db:"units"`
	EndsAt      time.Time `db:"ends_at"`
	Name        string    `db:"name"`
	Unit        string    `db:"unit"`
}

// line is an overage as it is to stand on an invoice.
type line struct {
	Customer     string    `json:"customer"`
	Subscription string    `json:"subscription,omitempty"` // empty: none goes on; it is invoiced by itself
	AmountMinor  int64     `json:"amountMinor"`
	Currency     string    `json:"currency"`
	Description  string    `json:"description"`
	PeriodEnd    time.Time `json:"periodEnd"`
}

func (r *run) chooseLine(ctx context.Context, in reportOverage) (line, error) {
	args := pgx.NamedArgs{"tenant_id": r.op.TenantID, "meter": in.Meter, "period_start": in.PeriodStart}
	due, err := pg.One[overageRow](ctx, r.desk.config.DB, overageSQL, args)
	if err != nil {
		return line{}, fmt.Errorf("read the overage of %s: %w", in.Meter, pg.Explain(err))
	}
	customer, err := r.desk.customerRow(ctx, r.op)
	if err != nil {
		return line{}, err
	}
	if customer == nil || customer.DeletedAt != nil {
		return line{}, fault.New(fault.NoSubscription, "the tenant's customer at Stripe is gone: the overage of %s can be billed to nobody", in.Meter)
	}
	l := line{
		Customer: customer.StripeID, AmountMinor: due.AmountMinor, Currency: due.Currency, PeriodEnd: due.EndsAt,
		Description: fmt.Sprintf("%s beyond the plan, %s to %s", due.Name, in.PeriodStart.UTC().Format(time.DateOnly), due.EndsAt.UTC().Format(time.DateOnly)),
	}
	main, err := billing.MainOf(ctx, r.desk.config.DB, r.op.TenantID)
	if fault.Is(err, fault.NoSubscription) {
		return l, nil
	}
	if err != nil {
		return line{}, err
	}
	now, err := r.desk.config.Stripe.Subscription(ctx, main.StripeID)
	if err != nil {
		return line{}, fmt.Errorf("fetch the subscription %s: %w", main.StripeID, err)
	}
	if checkStatus(now.Status, running) == nil && now.Customer == l.Customer {
		l.Subscription = now.ID
	}
	return l, nil
}
