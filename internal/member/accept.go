package member

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
)

// shownInvitation is an invitation as its token opens it for a user.
type shownInvitation struct {
	Invitation
	Vouched bool `db:"vouched"`
	Expired bool `db:"expired"` // by the database's clock, which gave it its time
}

// The token names the invitation, and nothing but its owner's address accepts it: a
// forwarded or guessed token finds no row for another user, unless an owner opened the
// invitation to any address. A machine joins nothing, and an identity local to one tenant
// no other.
const byTokenAllTenantsSQL = `
SELECT i.id, i.tenant_id, i.email, i.role, i.any_address, i.invited_by, i.created_at, i.expires_at, i.accepted_at, i.revoked_at,
	i.expires_at <= now() AS expired, ` + vouched + ` AS vouched
FROM tenants.tenant_invitations i
	JOIN auth.users u ON u.id = @user_id AND u.kind = 'person' AND (u.email = i.email OR i.any_address)
		AND (u.tenant_id IS NULL OR u.tenant_id = i.tenant_id)
	JOIN tenants.tenants t ON t.id = i.tenant_id AND t.status = 'active'
WHERE i.token_hash = @hash FOR UPDATE OF i`

const memberSQL = `SELECT ` + columns + ` FROM tenants.tenant_members WHERE tenant_id = @tenant_id AND user_id = @user_id`

// Accept makes the actor a member of the tenant whose invitation the token opens. The
// same user accepting again gets the same membership. Where the plan has no place for
// one more user, the invitation stays open. Nobody accepts in another's place.
func Accept(ctx context.Context, db pg.DB, actor session.Session, token string) (Member, error) {
	if actor.Impersonator != "" {
		return Member{}, fault.New(fault.Forbidden, "an invitation is accepted by the user alone; %s acts in the user's place", actor.Impersonator)
	}
	var joined Member
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		shown, err := pg.One[shownInvitation](ctx, tx, byTokenAllTenantsSQL, pgx.NamedArgs{"user_id": actor.User, "hash": secret.Hash(token)})
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "there is no invitation for you with this token")
		case err != nil:
			return fmt.Errorf("read the invitation: %w", err)
		}
		inside := actor
		inside.Tenant = shown.TenantID
		joined, err = pg.One[Member](ctx, tx, memberSQL, keys(inside, actor.User))
		switch {
		case err == nil:
			return again(ctx, tx, inside, shown.Invitation)
		case !pg.NoRow(err):
			return fmt.Errorf("read the membership: %w", err)
		case !shown.open() || shown.Expired:
			return ended(shown.Invitation)
		case !shown.Vouched:
			return fault.New(fault.InvitationEnded, "whoever sent the invitation of %s may no longer invite; ask for it to be sent again", shown.Email)
		}
		if joined, err = join(ctx, tx, inside, shown.Invitation); err != nil {
			return err
		}
		return markAccepted(ctx, tx, actor.User, shown.Invitation)
	})
	return joined, err
}

// again is for an actor who is a member already: an invitation of their own is used up,
// one for any address stays for somebody else.
func again(ctx context.Context, tx pgx.Tx, inside session.Session, i Invitation) error {
	if !i.open() || i.AnyAddress {
		return nil
	}
	if err := markAccepted(ctx, tx, inside.User, i); err != nil {
		return err
	}
	return audit.Append(ctx, tx, inside, invitationEntry("accept_invitation", i))
}

const joinSQL = `
INSERT INTO tenants.tenant_members (tenant_id, user_id, role, invited_by)
VALUES (@tenant_id, @user_id, @role, @invited_by) RETURNING ` + columns

// join makes the actor a member by the actor's own consent.
func join(ctx context.Context, tx pgx.Tx, actor session.Session, i Invitation) (Member, error) {
	args := keys(actor, actor.User)
	args["role"], args["invited_by"] = string(i.Role), i.InvitedBy
	joined, err := insert(ctx, tx, actor, joinSQL, args)
	return joined, writeFault(err, actor.User)
}

const acceptSQL = `
UPDATE tenants.tenant_invitations SET accepted_at = now(), accepted_by = @user_id
WHERE tenant_id = @tenant_id AND id = @invitation_id`

func markAccepted(ctx context.Context, tx pgx.Tx, user id.User, i Invitation) error {
	_, err := tx.Exec(ctx, acceptSQL, pgx.NamedArgs{"tenant_id": i.TenantID, "invitation_id": i.ID, "user_id": user})
	if err != nil {
		return fmt.Errorf("mark invitation %s accepted: %w", i.ID, err)
	}
	return nil
}
