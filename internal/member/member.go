// Package member is who is in a tenant and in which role, and the invitations that
// lead there. It owns tenants.tenant_members and tenants.tenant_invitations. That a
// tenant keeps an owner, and that an identity local to one tenant joins no other, is
// held by the database, whichever door writes; here those refusals get their words. Who
// may be made a member without being asked is its own rule (Add).
package member

import (
	"time"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
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

// notFound is the one answer to a user who is not in this tenant and to one who does
// not exist.
func notFound(user id.User) error {
	return fault.New(fault.NotFound, "there is no member %s in this tenant", user)
}

// notToBeAdded is the one answer to a user of other tenants, to one local to another
// tenant and to one who does not exist.
func notToBeAdded(user id.User) error {
	return fault.New(fault.NotFound, "there is no user %s to add; invite people by e-mail with inviteMember", user)
}

func alreadyMember(user id.User) error {
	return fault.New(fault.AlreadyMember, "user %s is a member already; change the role instead", user)
}

// writeFault gives what the database refused its words.
func writeFault(err error, user id.User) error {
	switch pg.Constraint(err) {
	case "tenant_members_pkey":
		return alreadyMember(user)
	case "tenant_members_user_id_fkey", "tenant_members_local_identity":
		return notToBeAdded(user)
	case "tenant_members_invited_by_fkey", "tenant_invitations_invited_by_fkey":
		return fault.New(fault.InvalidSession, "x-hasura-user-id names no user of this installation").Because(err)
	case "tenant_members_keep_an_owner":
		return fault.New(fault.LastOwner, "user %s is the last owner; make another member an owner first", user)
	}
	return err
}
