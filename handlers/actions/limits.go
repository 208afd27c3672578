package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/entitlement"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/usage"
)

type tenantLimitReply struct {
	TenantID    id.Tenant  `json:"tenantId"`
	Meter       string     `json:"meter"`
	Limit       int64      `json:"limit"`
	Enforcement string     `json:"enforcement"`
	Reason      *string    `json:"reason"`
	ExpiresAt   *time.Time `json:"expiresAt"`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`
}

func replyLimit(o entitlement.Override, err error) (tenantLimitReply, error) {
	return tenantLimitReply{
		TenantID: o.TenantID, Meter: o.Meter, Limit: o.Limit, Enforcement: o.Enforcement, Reason: o.Reason,
		ExpiresAt: o.ExpiresAt, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
	}, err
}

type tenantLimitInput struct {
	anyTenant
	Meter string `json:"meter"`
}

type setTenantLimitInput struct {
	tenantLimitInput
	Limit       bigint     `json:"limit"`
	Enforcement *string    `json:"enforcement"`
	ExpiresAt   *time.Time `json:"expiresAt"`
	Reason      *string    `json:"reason"`
	clean       entitlement.SetInput
}

func (in *setTenantLimitInput) validate(_ session.Session, problems *fault.Problems) {
	in.clean = entitlement.SetInput{
		Meter: in.Meter, Limit: int64(in.Limit), Enforcement: value(in.Enforcement), Reason: value(in.Reason), ExpiresAt: in.ExpiresAt,
	}
	in.clean.Validate(problems)
}

func setTenantLimit(ctx context.Context, tx pgx.Tx, s session.Session, in setTenantLimitInput) (tenantLimitReply, error) {
	return replyLimit(entitlement.Set(ctx, tx, s, in.clean))
}

func removeTenantLimit(ctx context.Context, tx pgx.Tx, s session.Session, in tenantLimitInput) (tenantLimitReply, error) {
	return replyLimit(entitlement.Remove(ctx, tx, s, in.Meter))
}

type periodReply struct {
	StartsAt time.Time  `json:"startsAt"`
	EndsAt   time.Time  `json:"endsAt"`
	ClosedAt *time.Time `json:"closedAt"`
}

type setBillingCycleInput struct {
	anyTenant
	AnchorAt *time.Time `json:"anchorAt"`
}

func setBillingCycle(ctx context.Context, tx pgx.Tx, s session.Session, in setBillingCycleInput) (periodReply, error) {
	p, err := usage.SetCycle(ctx, tx, s, s.Tenant, in.AnchorAt)
	return periodReply{StartsAt: p.StartsAt, EndsAt: p.EndsAt, ClosedAt: p.ClosedAt}, err
}
