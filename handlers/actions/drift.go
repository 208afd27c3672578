package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/usage"
)

type driftReply struct {
	TenantID    id.Tenant `json:"tenantId"`
	Meter       string    `json:"meter"`
	PeriodStart time.Time `json:"periodStart"`
	Total       numeric   `json:"total"`
	Counted     numeric   `json:"counted"`
	FoundAt     time.Time `json:"foundAt"`
}

func usageDrift(ctx context.Context, tx pgx.Tx, _ session.Session, _ noInput) ([]driftReply, error) {
	list, err := usage.Drifts(ctx, tx)
	replies := make([]driftReply, len(list))
	for i, d := range list {
		replies[i] = driftReply{
			TenantID: d.TenantID, Meter: d.Meter, PeriodStart: d.PeriodStart, Total: numeric(d.Total), Counted: numeric(d.Counted), FoundAt: d.FoundAt,
		}
	}
	return replies, err
}

func reconcileUsage(ctx context.Context, tx pgx.Tx, s session.Session, in noInput) ([]driftReply, error) {
	if _, err := usage.Reconcile(ctx, tx); err != nil {
		return nil, err
	}
	return usageDrift(ctx, tx, s, in)
}
