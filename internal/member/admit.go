package member

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

type standing struct {
	Status string `db:"status"`
	Role   *Role  `db:"role"`
}

const standingSQL = `
SELECT t.status, m.role
FROM tenants.tenants t LEFT JOIN tenants.tenant_members m ON m.tenant_id = t.id AND m.user_id = @user_id
WHERE t.id = @tenant_id`

// Admit says whether the session may still act in its tenant: the tenant is active, the
// user is a member, in the role the token was minted for. A token stays valid for its
// time; this is what refuses its bearer before that. It gives the reason in words;
// row-level security holds the same rule (tenants.active_tenant_id).
func Admit(ctx context.Context, db pg.DB, s session.Session) error {
	at, err := pg.One[standing](ctx, db, standingSQL, keys(s, s.User))
	switch {
	case pg.NoRow(err):
		return fault.New(fault.NotAMember, "you are not a member of the session's tenant")
	case err != nil:
		return fmt.Errorf("read the standing of user %s: %w", s.User, err)
	case at.Role == nil:
		return fault.New(fault.NotAMember, "you are not a member of the session's tenant")
	case at.Status != "active":
		return fault.New(fault.TenantNotActive, "this tenant is %s", at.Status).With("status", at.Status)
	case at.Role.Session() != s.Role:
		return fault.New(fault.RoleChanged, "your role here is %s now; switchTenant mints a new token", *at.Role).With("role", *at.Role)
	}
	return nil
}

// The tenant's row is held, so that it cannot be suspended between this look and what
// the caller does with it.
const belongsSQL = `
SELECT m.tenant_id, m.user_id, m.role, m.joined_at, m.invited_by
FROM tenants.tenant_members m JOIN tenants.tenants t ON t.id = m.tenant_id
WHERE m.tenant_id = @tenant_id AND m.user_id = @user_id AND t.status = 'active' FOR SHARE OF t`

// OfUser reads the user's membership in a tenant that is in service. No such tenant, a
// tenant out of service and no such member are the same not-found.
func OfUser(ctx context.Context, db pg.DB, tenant id.Tenant, user id.User) (Member, error) {
	m, err := pg.One[Member](ctx, db, belongsSQL, pgx.NamedArgs{"tenant_id": tenant, "user_id": user})
	switch {
	case pg.NoRow(err):
		return Member{}, fault.New(fault.NotFound, "user %s is no member of a tenant %s that is in service", user, tenant)
	case err != nil:
		return Member{}, fmt.Errorf("read the membership of user %s: %w", user, err)
	}
	return m, nil
}
