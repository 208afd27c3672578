package events

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// tenantRow is what the trigger tenant_status carries of tenants.tenants.
type tenantRow struct {
	ID          id.Tenant     `json:"id"`
	Status      tenant.Status `json:"status"`
	SuspendedAt *time.Time    `json:"suspended_at"`
	DeletedAt   *time.Time    `json:"deleted_at"`
}

// tenantChanged ends the sessions of a tenant that went out of service. It looks at
// when that was, not at what the tenant is by now: events come late and in any order.
func tenantChanged(ctx context.Context, tx pgx.Tx, w *Work) error {
	if err := w.isOf("tenants.tenants"); err != nil {
		return err
	}
	t, err := row[tenantRow](w.Event.Event.Data.New, "tenants.tenants")
	if err != nil {
		return err
	}
	requestlog.Tenant(ctx, t.ID)
	switch {
	case t.ID.IsZero():
		return fault.New(fault.InvalidInput, "data.new is no row of tenants.tenants: it has no id")
	case t.Status == tenant.Suspended && t.SuspendedAt != nil:
		return endSessions(ctx, tx, t.ID, *t.SuspendedAt, "tenant suspended")
	case t.Status == tenant.Deleted && t.DeletedAt != nil:
		return endSessions(ctx, tx, t.ID, *t.DeletedAt, "tenant deleted")
	case t.Status == tenant.Active:
		return nil
	}
	return fault.New(fault.InvalidInput, "data.new is no row of tenants.tenants: status %.40q lacks its date", t.Status)
}

func endSessions(ctx context.Context, tx pgx.Tx, of id.Tenant, until time.Time, reason string) error {
	if _, err := tenant.Get(ctx, tx, of); err != nil {
		return err
	}
	actor := session.Session{Role: session.Server, Tenant: of, RequestID: requestlog.ID(ctx)}
	return token.EndSessions(ctx, tx, actor, until, reason)
}
