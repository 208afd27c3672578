package member

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
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
		return fault.New(fault.RoleChanged, "your role here is %s now; mint a new token", *at.Role).With("role", *at.Role)
	}
	return nil
}

const belongsAllTenantsSQL = `
SELECT m.tenant_id, m.user_id, m.role, m.joined_at, m.invited_by
FROM tenants.tenant_members m JOIN tenants.tenants t ON t.id = m.tenant_id
WHERE m.user_id = @user_id AND t.status = 'active' AND (t.slug = @ref OR t.id::text = @ref)`

// OfUser finds the user's membership in an active tenant named by id or slug. A tenant
// that does not exist, is out of service, or has no such member is the same not-found.
func OfUser(ctx context.Context, db pg.DB, s session.Session, ref string) (Member, error) {
	m, err := pg.One[Member](ctx, db, belongsAllTenantsSQL, pgx.NamedArgs{"user_id": s.User, "ref": ref})
	switch {
	case pg.NoRow(err):
		return Member{}, fault.New(fault.NotFound, "there is no tenant %.80q here", ref)
	case err != nil:
		return Member{}, fmt.Errorf("read the membership of user %s: %w", s.User, err)
	}
	return m, nil
}
