package actions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// tenants serves the actions on tenants themselves.
type tenants struct{ Config }

type tenantReply struct {
	ID            id.Tenant       `json:"id"`
	Slug          string          `json:"slug"`
	Name          string          `json:"name"`
	Status        string          `json:"status"`
	Strategy      string          `json:"strategy"`
	Plan          string          `json:"plan"`
	OwnerUserID   id.User         `json:"ownerUserId"`
	URL           string          `json:"url"`
	Metadata      json.RawMessage `json:"metadata"`
	CreatedAt     time.Time       `json:"createdAt"`
	UpdatedAt     time.Time       `json:"updatedAt"`
	SuspendedAt   *time.Time      `json:"suspendedAt"`
	SuspendReason *string         `json:"suspendReason"`
	DeletedAt     *time.Time      `json:"deletedAt"`
	PurgeAfter    *time.Time      `json:"purgeAfter"`
}

func (h tenants) reply(t tenant.Tenant, err error) (tenantReply, error) {
	return tenantReply{
		ID: t.ID, Slug: t.Slug, Name: t.Name, Status: string(t.Status), Strategy: string(t.Strategy), Plan: t.Plan,
		OwnerUserID: t.OwnerUserID, URL: "https://" + t.Slug + "." + h.BaseDomain, Metadata: t.Metadata,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, SuspendedAt: t.SuspendedAt, SuspendReason: t.SuspendReason,
		DeletedAt: t.DeletedAt, PurgeAfter: t.PurgeAfter,
	}, err
}

// placed has the tenant's places follow what was done, in the same transaction.
func (h tenants) placed(ctx context.Context, tx pgx.Tx) func(tenant.Tenant, error) (tenant.Tenant, error) {
	return func(t tenant.Tenant, err error) (tenant.Tenant, error) {
		if err == nil && h.Placed != nil {
			err = h.Placed(ctx, tx, t.ID)
		}
		return t, err
	}
}

type createTenantInput struct {
	Name        string   `json:"name"`
	Slug        *string  `json:"slug"`
	Plan        *string  `json:"plan"`
	OwnerUserID *id.User `json:"ownerUserId"`
	Strategy    *string  `json:"strategy"`
	idempotent
	clean tenant.CreateInput
}

func (in *createTenantInput) validate(s session.Session, problems *fault.Problems) {
	in.checkKey(problems)
	in.clean = tenant.CreateInput{
		Name: in.Name, Slug: value(in.Slug), Plan: value(in.Plan), Strategy: tenant.Strategy(value(in.Strategy)),
	}
	if in.Slug != nil && *in.Slug == "" {
		problems.Add("slug", "must not be empty; leave it out to have one made from the name")
	}
	if in.OwnerUserID != nil {
		in.clean.Owner = *in.OwnerUserID
	}
	in.clean.Validate(s, problems)
}

func (h tenants) create(ctx context.Context, tx pgx.Tx, s session.Session, in createTenantInput) (tenantReply, error) {
	return h.reply(h.placed(ctx, tx)(tenant.Create(ctx, tx, s, in.clean, h.Tenants)))
}

type updateTenantInput struct {
	ownTenant
	Name     *string          `json:"name"`
	Slug     *string          `json:"slug"`
	Metadata *json.RawMessage `json:"metadata"`
}

func (in *updateTenantInput) validate(_ session.Session, problems *fault.Problems) {
	clean := tenant.UpdateInput{Name: in.Name, Slug: in.Slug, Metadata: in.Metadata}
	clean.Validate(problems)
}

func (h tenants) update(ctx context.Context, tx pgx.Tx, s session.Session, in updateTenantInput) (tenantReply, error) {
	return h.reply(tenant.Update(ctx, tx, s, tenant.UpdateInput{Name: in.Name, Slug: in.Slug, Metadata: in.Metadata}))
}

type suspendTenantInput struct {
	anyTenant
	Reason *string `json:"reason"`
	reason string
}

func (in *suspendTenantInput) validate(_ session.Session, problems *fault.Problems) {
	in.reason = tenant.CleanReason("reason", value(in.Reason), problems)
}

func (h tenants) suspend(ctx context.Context, tx pgx.Tx, s session.Session, in suspendTenantInput) (tenantReply, error) {
	return h.reply(h.placed(ctx, tx)(tenant.Suspend(ctx, tx, s, in.reason)))
}

func (h tenants) activate(ctx context.Context, tx pgx.Tx, s session.Session, _ anyTenant) (tenantReply, error) {
	return h.reply(h.placed(ctx, tx)(tenant.Activate(ctx, tx, s)))
}

type deleteTenantInput struct {
	ownTenant
	ConfirmSlug string `json:"confirmSlug"`
}

func (h tenants) delete(ctx context.Context, tx pgx.Tx, s session.Session, in deleteTenantInput) (tenantReply, error) {
	deleted, err := tenant.Delete(ctx, tx, s, in.ConfirmSlug, h.Tenants)
	if err != nil {
		return tenantReply{}, err
	}
	err = pg.AsServer(ctx, tx, func() error {
		_, err := h.placed(ctx, tx)(deleted, nil)
		return err
	})
	return h.reply(deleted, err)
}

func (h tenants) restore(ctx context.Context, tx pgx.Tx, s session.Session, _ anyTenant) (tenantReply, error) {
	return h.reply(h.placed(ctx, tx)(tenant.Restore(ctx, tx, s)))
}

type setTenantPlanInput struct {
	anyTenant
	Plan string `json:"plan"`
}

func (h tenants) setPlan(ctx context.Context, tx pgx.Tx, s session.Session, in setTenantPlanInput) (tenantReply, error) {
	return h.reply(tenant.SetPlan(ctx, tx, s, in.Plan))
}

type myTenantReply struct {
	ID       id.Tenant `json:"id"`
	Slug     string    `json:"slug"`
	Name     string    `json:"name"`
	Status   string    `json:"status"`
	Plan     string    `json:"plan"`
	Role     string    `json:"role"`
	JoinedAt time.Time `json:"joinedAt"`
}

type noInput struct{}

func (h tenants) mine(ctx context.Context, tx pgx.Tx, s session.Session, _ noInput) ([]myTenantReply, error) {
	list, err := tenant.ListOfUser(ctx, tx, s)
	replies := make([]myTenantReply, len(list))
	for i, m := range list {
		replies[i] = myTenantReply{ID: m.ID, Slug: m.Slug, Name: m.Name, Status: string(m.Status), Plan: m.Plan, Role: m.Role, JoinedAt: m.JoinedAt}
	}
	return replies, err
}

type tenantStatsReply struct {
	TenantID        id.Tenant  `json:"tenantId"`
	Slug            string     `json:"slug"`
	Status          string     `json:"status"`
	Plan            string     `json:"plan"`
	Members         int        `json:"members"`
	Owners          int        `json:"owners"`
	Admins          int        `json:"admins"`
	Guests          int        `json:"guests"`
	OpenInvitations int        `json:"openInvitations"`
	Settings        int        `json:"settings"`
	ActiveSessions  int        `json:"activeSessions"`
	MaxUsers        int64      `json:"maxUsers"`
	AuditEntries    int64      `json:"auditEntries"`
	LastActivityAt  *time.Time `json:"lastActivityAt"`
	CreatedAt       time.Time  `json:"createdAt"`
}

func (h tenants) stats(ctx context.Context, tx pgx.Tx, s session.Session, _ ownTenant) (tenantStatsReply, error) {
	stats, err := tenant.ReadStats(ctx, tx, s)
	return tenantStatsReply{
		TenantID: stats.TenantID, Slug: stats.Slug, Status: string(stats.Status), Plan: stats.Plan,
		Members: stats.Members, Owners: stats.Owners, Admins: stats.Admins, Guests: stats.Guests,
		OpenInvitations: stats.OpenInvitations, Settings: stats.Settings, ActiveSessions: stats.ActiveSessions,
		MaxUsers: stats.MaxUsers, AuditEntries: stats.AuditEntries, LastActivityAt: stats.LastActivityAt, CreatedAt: stats.CreatedAt,
	}, err
}
