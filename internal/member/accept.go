package member

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// The token names the invitation, and nothing but its owner's address accepts it: a
// forwarded or guessed token finds no row for another user.
const byTokenAllTenantsSQL = `
SELECT i.id, i.tenant_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, i.accepted_at, i.revoked_at
FROM tenants.tenant_invitations i
	JOIN auth.users u ON u.id = @user_id AND u.email = i.email AND (u.tenant_id IS NULL OR u.tenant_id = i.tenant_id)
	JOIN tenants.tenants t ON t.id = i.tenant_id AND t.status = 'active'
WHERE i.token_hash = @hash FOR UPDATE OF i`

const acceptSQL = `
UPDATE tenants.tenant_invitations SET accepted_at = now(), accepted_by = @user_id
WHERE tenant_id = @tenant_id AND id = @invitation_id`

const memberSQL = `SELECT ` + columns + ` FROM tenants.tenant_members WHERE tenant_id = @tenant_id AND user_id = @user_id`

// Accept makes the actor a member of the tenant whose invitation the token opens. The
// same user accepting again gets the same membership.
func Accept(ctx context.Context, db pg.DB, actor session.Session, token string) (Member, error) {
	var joined Member
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		invited, err := pg.One[Invitation](ctx, tx, byTokenAllTenantsSQL, pgx.NamedArgs{"user_id": actor.User, "hash": hashToken(token)})
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "there is no invitation for you with this token")
		case err != nil:
			return fmt.Errorf("read the invitation: %w", err)
		}
		inside := actor
		inside.Tenant = invited.TenantID
		joined, err = pg.One[Member](ctx, tx, memberSQL, keys(inside, actor.User))
		switch open := invited.AcceptedAt == nil && invited.RevokedAt == nil; {
		case err == nil && !open:
			return nil
		case err == nil:
			if err := markAccepted(ctx, tx, actor.User, invited); err != nil {
				return err
			}
			return audit.Append(ctx, tx, inside, invitationEntry("accept_invitation", invited))
		case !pg.NoRow(err):
			return fmt.Errorf("read the membership: %w", err)
		}
		if invited.AcceptedAt != nil || invited.RevokedAt != nil || !time.Now().Before(invited.ExpiresAt) {
			return ended(invited)
		}
		if joined, err = join(ctx, tx, inside, invited); err != nil {
			return err
		}
		return markAccepted(ctx, tx, actor.User, invited)
	})
	return joined, err
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

func markAccepted(ctx context.Context, tx pgx.Tx, user id.User, i Invitation) error {
	_, err := tx.Exec(ctx, acceptSQL, pgx.NamedArgs{"tenant_id": i.TenantID, "invitation_id": i.ID, "user_id": user})
	if err != nil {
		return fmt.Errorf("mark invitation %s accepted: %w", i.ID, err)
	}
	return nil
}
