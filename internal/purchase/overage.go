package purchase

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/quota"
)

// ranIn is the condition that a subscription ran in the period p: what was used before the
// first one, or after the last, was part of no agreement. A period in which one began or
// ended is billed whole, by its terms (billing.usage_terms).
const ranIn = `EXISTS (
	SELECT FROM billing.subscriptions s
	WHERE s.tenant_id = p.tenant_id AND s.livemode = @livemode AND s.status NOT IN ('incomplete', 'incomplete_expired')
		AND s.created_at < p.ends_at AND (s.ended_at IS NULL OR s.ended_at > p.starts_at))`

// Of a deleted tenant what it used before is billed.
const periodsToBillAllTenantsSQL = `
SELECT p.tenant_id, p.starts_at FROM billing.usage_periods p JOIN tenants.tenants t ON t.id = p.tenant_id
WHERE p.closed_at IS NOT NULL AND p.billed_at IS NULL AND (t.deleted_at IS NULL OR p.starts_at < t.deleted_at) AND ` + ranIn + `
ORDER BY p.ends_at, p.tenant_id LIMIT @batch`

// Whoever bought nothing is not looked at for ever: within a week a subscription that ran
// in the period has come in.
const nothingToBillAllTenantsSQL = `
UPDATE billing.usage_periods SET billed_at = now()
WHERE (tenant_id, starts_at) IN (
	SELECT p.tenant_id, p.starts_at FROM billing.usage_periods p
	WHERE p.closed_at IS NOT NULL AND p.billed_at IS NULL AND p.ends_at < now() - interval '7 days' AND NOT ` + ranIn + `
	ORDER BY p.ends_at LIMIT @batch)`

type periodToBill struct {
	TenantID id.Tenant `db:"tenant_id"`
	StartsAt time.Time `db:"starts_at"`
}

// Overages is a routine: of each closed period it computes once what was used past soft
// limits, by the terms that held then, and puts each on an invoice, as it does those that
// were not put on one for a day. It says how many lines.
func (d *Desk) Overages(ctx context.Context, db pg.DB) (int64, error) {
	args := pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "batch": pg.Batch}
	if _, err := db.Exec(ctx, nothingToBillAllTenantsSQL, args); err != nil {
		return 0, fmt.Errorf("mark the periods of which nothing is to be billed: %w", pg.Explain(err))
	}
	due, err := pg.All[periodToBill](ctx, db, periodsToBillAllTenantsSQL, args)
	if err != nil {
		return 0, fmt.Errorf("find the periods to bill: %w", pg.Explain(err))
	}
	lines, failed := d.reportAgain(ctx, db)
	for _, period := range due {
		n, err := d.billPeriod(ctx, db, period)
		if lines += n; err != nil {
			failed = append(failed, fmt.Errorf("bill the period of %s from %s: %w", period.TenantID, period.StartsAt.UTC().Format(time.RFC3339), err))
		}
	}
	return lines, errors.Join(failed...)
}

func (d *Desk) billPeriod(ctx context.Context, db pg.DB, period periodToBill) (int64, error) {
	var begun []id.Operation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		begun, err = d.bill(ctx, tx, period)
		return err
	})
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, op := range begun {
		failed = append(failed, d.goOn(ctx, period.TenantID, op))
	}
	return int64(len(begun)), errors.Join(failed...)
}

// The lock lets those be who note the period's terms.
const lockPeriodSQL = `
SELECT true FROM billing.usage_periods
WHERE tenant_id = @tenant_id AND starts_at = @starts_at AND closed_at IS NOT NULL AND billed_at IS NULL
FOR NO KEY UPDATE`

const markBilledSQL = `UPDATE billing.usage_periods SET billed_at = now() WHERE tenant_id = @tenant_id AND starts_at = @starts_at`

const insertOverageSQL = `
INSERT INTO billing.overages (tenant_id, meter, period_start, billable, "limit", units, amount_minor, currency)
VALUES (@tenant_id, @meter, @starts_at, @billable, @limit, @units, @amount_minor, @currency)`

// bill takes a period that nobody else took, and begins an operation for each line that it
// has.
func (d *Desk) bill(ctx context.Context, tx pgx.Tx, period periodToBill) ([]id.Operation, error) {
	args := pgx.NamedArgs{"tenant_id": period.TenantID, "starts_at": period.StartsAt}
	if _, err := pg.Scalar[bool](ctx, tx, lockPeriodSQL, args); err != nil {
		if pg.NoRow(err) {
			return nil, nil
		}
		return nil, err
	}
	lines, err := quota.Overages(ctx, tx, period.TenantID, period.StartsAt)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, markBilledSQL, args); err != nil {
		return nil, err
	}
	var begun []id.Operation
	for _, line := range lines {
		if slices.Contains(ofThousand, line.Currency) { // Stripe takes no less than ten of its thousandths
			line.AmountMinor -= line.AmountMinor % 10
		}
		if line.AmountMinor == 0 {
			continue
		}
		_, err := tx.Exec(ctx, insertOverageSQL, pgx.NamedArgs{
			"tenant_id": period.TenantID, "meter": line.Meter, "starts_at": period.StartsAt, "billable": line.Billable,
			"limit": line.Limit, "units": line.Units, "amount_minor": line.AmountMinor, "currency": line.Currency,
		})
		if err != nil {
			return nil, fmt.Errorf("keep the overage of %s: %w", line.Meter, err)
		}
		op, err := d.begin(ctx, tx, period.TenantID, reportOverage{Meter: line.Meter, PeriodStart: period.StartsAt})
		if err != nil {
			return nil, err
		}
		begun = append(begun, op)
	}
	return begun, nil
}

// Each is tried once a day, where there is somebody to bill.
const unreportedAllTenantsSQL = `
SELECT v.tenant_id, v.meter, v.period_start FROM billing.overages v
JOIN billing.customers c ON c.tenant_id = v.tenant_id AND c.deleted_at IS NULL AND c.livemode = @livemode
WHERE v.reported_at IS NULL AND v.created_at < now() - interval '1 day' AND NOT EXISTS (
	SELECT FROM billing.operations o
	WHERE o.tenant_id = v.tenant_id AND o.kind = 'report_overage' AND o.input ->> 'meter' = v.meter
		AND (o.input ->> 'periodStart')::timestamptz = v.period_start AND (o.state = 'open' OR o.created_at > now() - interval '1 day'))
ORDER BY v.created_at LIMIT @batch`

type unreported struct {
	TenantID    id.Tenant `db:"tenant_id"`
	Meter       string    `db:"meter"`
	PeriodStart time.Time `db:"period_start"`
}

// reportAgain takes up overages whose operation failed. The new one looks first whether the
// line stands at Stripe after all.
func (d *Desk) reportAgain(ctx context.Context, db pg.DB) (lines int64, failed []error) {
	left, err := pg.All[unreported](ctx, db, unreportedAllTenantsSQL, pgx.NamedArgs{"livemode": d.config.Stripe.Livemode(), "batch": pg.Batch})
	if err != nil {
		return 0, []error{fmt.Errorf("find the overages that are on no invoice: %w", pg.Explain(err))}
	}
	for _, o := range left {
		if err := d.beginNow(ctx, db, o.TenantID, reportOverage{Meter: o.Meter, PeriodStart: o.PeriodStart}); err != nil {
			failed = append(failed, fmt.Errorf("report the overage of %s of %s: %w", o.Meter, o.TenantID, err))
			continue
		}
		lines++
	}
	return lines, failed
}
