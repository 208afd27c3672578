package events

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/quota"
)

// totalRow names a total, as the trigger quota_reached carries it. Which threshold it is
// at is read anew: events come late and in any order.
type totalRow struct {
	Tenant      id.Tenant `json:"tenant_id"`
	Meter       string    `json:"meter"`
	PeriodStart time.Time `json:"period_start"`
}

// quotaReached warns of the threshold that a total has reached, once for each.
func quotaReached(ctx context.Context, tx pgx.Tx, w *Work) error {
	if err := w.isOf("billing.usage_totals"); err != nil {
		return err
	}
	total, err := row[totalRow](w.Event.Event.Data.New, "billing.usage_totals")
	if err != nil {
		return err
	}
	if total.Tenant.IsZero() || total.Meter == "" || total.PeriodStart.IsZero() {
		return fault.New(fault.InvalidInput, "data.new is no row of billing.usage_totals: it lacks tenant_id, meter or period_start")
	}
	requestlog.Tenant(ctx, total.Tenant)
	threshold, err := quota.Notice(ctx, tx, w.outbox, total.Tenant, total.Meter, total.PeriodStart)
	if err == nil && threshold != 0 && w.warned != nil {
		w.after = append(w.after, func() { w.warned(total.Meter, threshold) })
	}
	return err
}
