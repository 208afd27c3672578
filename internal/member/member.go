// Package member is who is in a tenant and in which role, the invitations that lead
// there, and the offers by which a tenant changes hands. It owns tenants.tenant_members,
// tenants.tenant_invitations and tenants.ownership_transfers. That a tenant keeps an
// owner, that an identity local to one tenant joins no other, that a machine owns nothing
// and that a plan's users are not exceeded is held by the database, whichever door
// writes; here those refusals get their words (fault.go). Who may be made a member
// without being asked is its own rule (Add).
package member

import (
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
)

// Role is what a member may do inside a tenant. Hasura's role for it has the prefix
// "tenant_": a member role of admin is tenant_admin, never Hasura's admin.
type Role string

// The roles, from most to least (spec section 2).
const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Plain  Role = "member"
	Guest  Role = "guest"
	prefix      = "tenant_"
)

// Session is the Hasura role of a member with this role.
func (r Role) Session() session.Role { return session.Role(prefix + string(r)) }

// Member is one user in one tenant.
type Member struct {
	TenantID  id.Tenant `db:"tenant_id"`
	UserID    id.User   `db:"user_id"`
	Role      Role      `db:"role"`
	JoinedAt  time.Time `db:"joined_at"`
	InvitedBy id.User   `db:"invited_by"` // zero: nobody, or somebody who is gone
}

// CheckRole reads a role somebody typed; empty means member.
func CheckRole(field, value string, problems *fault.Problems) Role {
	switch role := Role(value); role {
	case Owner, Admin, Plain, Guest:
		return role
	case "":
		return Plain
	default:
		problems.Add(field, "must be owner, admin, member or guest; got %.40q", value)
		return role
	}
}

// mayGive says whether the actor may make or unmake a member of this role: an admin
// has no say about owners.
func mayGive(actor session.Session, roles ...Role) error {
	for _, role := range roles {
		if role == Owner && !actor.IsOperator() && actor.Role != session.TenantOwner {
			return fault.New(fault.Forbidden, "only an owner may make, change or remove an owner")
		}
	}
	return nil
}
