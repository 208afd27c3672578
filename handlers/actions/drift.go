package actions

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/usage"
)

type driftReply struct {
	TenantID    id.Tenant `json:"tenantId"`
	Meter       string    `json:"meter"`
	PeriodStart time.Time `json:"periodStart"`
	What        string    `json:"what"`
	Total       numeric   `json:"total"`
	Counted     numeric   `json:"counted"`
	FoundAt     time.Time `json:"foundAt"`
}

func usageDrift(ctx context.Context, tx pgx.Tx, _ session.Session, _ noInput) ([]driftReply, error) {
	list, err := usage.Drifts(ctx, tx)
	return replyDrifts(list), err
}

func replyDrifts(list []usage.Drift) []driftReply {
	replies := make([]driftReply, len(list))
	for i, d := range list {
		replies[i] = driftReply{
			TenantID: d.TenantID, Meter: d.Meter, PeriodStart: d.PeriodStart, What: d.What,
			Total: numeric(d.Total), Counted: numeric(d.Counted), FoundAt: d.FoundAt,
		}
	}
	return replies
}

func reconcileUsage(ctx context.Context, tx pgx.Tx, s session.Session, _ anyTenant) ([]driftReply, error) {
	if _, err := usage.ReconcileTenant(ctx, tx, s.Tenant); err != nil {
		return nil, err
	}
	all, err := usage.Drifts(ctx, tx)
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(all, func(d usage.Drift) bool { return d.TenantID != s.Tenant })
	return replyDrifts(own), audit.Append(ctx, tx, s, audit.Entry{
		Tenant: s.Tenant, Action: "reconcile_usage", Target: "tenant:" + s.Tenant.String(), After: map[string]any{"differ": len(own)},
	})
}
