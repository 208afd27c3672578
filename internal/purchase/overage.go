package purchase

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/quota"
)

// What was used before a tenant first subscribed was part of no agreement.
const periodsToBillAllTenantsSQL = `
SELECT p.tenant_id, p.starts_at FROM billing.usage_periods p
WHERE p.closed_at IS NOT NULL AND p.billed_at IS NULL AND EXISTS (
	SELECT FROM billing.subscriptions s
	WHERE s.tenant_id = p.tenant_id AND s.livemode = @livemode AND s.created_at < p.ends_at AND s.status NOT IN ('incomplete', 'incomplete_expired'))
ORDER BY p.ends_at, p.tenant_id LIMIT @batch`

type periodToBill struct {
	TenantID id.Tenant `db:"tenant_id"`
	StartsAt time.Time `db:"starts_at"`
}

// Overages is a routine: of each closed period it computes once what was used past soft
// limits, and begins an operation for each line of an invoice. It says how many lines.
func (d *Desk) Overages(ctx context.Context, db pg.DB) (int64, error) {
	due, err := pg.All[periodToBill](ctx, db, periodsToBillAllTenantsSQL, pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "batch": pg.Batch})
	if err != nil {
		return 0, fmt.Errorf("find the periods to bill: %w", pg.Explain(err))
	}
	var lines int64
	var failed []error
	for _, period := range due {
		n := 0
		err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
			n, err = d.bill(ctx, tx, period)
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("bill the period of %s from %s: %w", period.TenantID, period.StartsAt.UTC().Format(time.RFC3339), err))
			continue
		}
		lines += int64(n)
	}
	return lines, errors.Join(failed...)
}

const markBilledSQL = `
UPDATE billing.usage_periods SET billed_at = now()
WHERE tenant_id = @tenant_id AND starts_at = @starts_at AND closed_at IS NOT NULL AND billed_at IS NULL`

const insertOverageSQL = `
INSERT INTO billing.overages (tenant_id, meter, period_start, billable, "limit", units, amount_minor, currency)
VALUES (@tenant_id, @meter, @starts_at, @billable, @limit, @units, @amount_minor, @currency)`

// bill takes a period that nobody else took, and says how many lines it has.
func (d *Desk) bill(ctx context.Context, tx pgx.Tx, period periodToBill) (int, error) {
	tag, err := tx.Exec(ctx, markBilledSQL, pgx.NamedArgs{"tenant_id": period.TenantID, "starts_at": period.StartsAt})
	if err != nil || tag.RowsAffected() == 0 {
		return 0, err
	}
	lines, err := quota.Overages(ctx, tx, period.TenantID, period.StartsAt)
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		_, err := tx.Exec(ctx, insertOverageSQL, pgx.NamedArgs{
			"tenant_id": period.TenantID, "meter": line.Meter, "starts_at": period.StartsAt, "billable": line.Billable,
			"limit": line.Limit, "units": line.Units, "amount_minor": line.AmountMinor, "currency": line.Currency,
		})
		if err != nil {
			return 0, fmt.Errorf("keep the overage of %s: %w", line.Meter, err)
		}
		if _, err := d.begin(ctx, tx, period.TenantID, reportOverage{Meter: line.Meter, PeriodStart: period.StartsAt}); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}

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
	if checkStatus(now.Status, changeable) == nil && now.Customer == l.Customer {
		l.Subscription = now.ID
	}
	return l, nil
}
