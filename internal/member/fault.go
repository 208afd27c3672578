package member

import (
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// notFound is the one answer to a user who is not in this tenant and to one who does
// not exist.
func notFound(user id.User) error {
	return fault.New(fault.NotFound, "there is no member %s in this tenant", user)
}

// notToBeAdded is the one answer to a user of other tenants, to one local to another
// tenant, to the identity of an API key and to one who does not exist.
func notToBeAdded(user id.User) error {
	return fault.New(fault.NotFound, "there is no user %s to add; invite people by e-mail with inviteMember", user)
}

func alreadyMember(user id.User) error {
	return fault.New(fault.AlreadyMember, "user %s is a member already; change the role instead", user)
}

// ofAKey refuses to treat a machine as a person: its membership is its key.
func ofAKey(user id.User) error {
	return fault.New(fault.Forbidden, "user %s is the identity of an API key; end it with revokeApiKey", user)
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
	case "tenant_members_service_role":
		return fault.New(fault.Forbidden, "user %s is the identity of an API key: a machine owns no tenant", user)
	case "tenant_members_user_quota":
		return quotaExceeded(err)
	}
	return err
}

// quotaExceeded reads what tenants.keep_user_quota says: how many people the tenant may
// have, and how many it has without the one who was refused.
func quotaExceeded(err error) error {
	var refused *pgconn.PgError
	var quota struct {
		Meter                     string
		Limit, Current, Remaining int64
	}
	if !errors.As(err, &refused) || json.Unmarshal([]byte(refused.Detail), &quota) != nil {
		return err
	}
	return fault.New(fault.QuotaExceeded, "the tenant may have %d users and has %d; remove somebody or change the plan", quota.Limit, quota.Current).
		With("meter", quota.Meter).With("limit", quota.Limit).With("current", quota.Current).With("remaining", quota.Remaining)
}
