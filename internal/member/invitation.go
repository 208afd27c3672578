package member

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Invitation asks whoever owns an e-mail address to join a tenant.
type Invitation struct {
	ID         id.Invitation `db:"id"`
	TenantID   id.Tenant     `db:"tenant_id"`
	Email      string        `db:"email"`
	Role       Role          `db:"role"`
	InvitedBy  id.User       `db:"invited_by"`
	CreatedAt  time.Time     `db:"created_at"`
	ExpiresAt  time.Time     `db:"expires_at"`
	AcceptedAt *time.Time    `db:"accepted_at"`
	RevokedAt  *time.Time    `db:"revoked_at"`
	Token      string        `db:"-"` // only where it was just made; kept nowhere
}

const invitationDays = 7

const invitationColumns = `id, tenant_id, email, role, invited_by, created_at, expires_at, accepted_at, revoked_at`

// newToken makes a token of 256 random bits and the hash that is stored for it.
func newToken() (token string, hash []byte) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	token = base64.RawURLEncoding.EncodeToString(random[:])
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

const endExpiredSQL = `
UPDATE tenants.tenant_invitations SET revoked_at = expires_at
WHERE tenant_id = @tenant_id AND email = @email AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at <= now()`

const memberByEmailSQL = `
SELECT EXISTS (SELECT FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id
	WHERE m.tenant_id = @tenant_id AND u.email = @email)`

const inviteSQL = `
INSERT INTO tenants.tenant_invitations (tenant_id, email, role, token_hash, invited_by, expires_at)
VALUES (@tenant_id, @email, @role, @hash, @invited_by, now() + make_interval(days => @days))
RETURNING ` + invitationColumns

// Invite opens an invitation of an address to the actor's tenant. One invitation of an
// address is open at a time.
func Invite(ctx context.Context, db pg.DB, actor session.Session, email string, role Role) (Invitation, error) {
	if err := mayGive(actor, role); err != nil {
		return Invitation{}, err
	}
	token, hash := newToken()
	args := pgx.NamedArgs{
		"tenant_id": actor.Tenant, "email": email, "role": string(role), "hash": hash,
		"invited_by": actor.User, "days": invitationDays,
	}
	var invited Invitation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		member, err := pg.Scalar[bool](ctx, tx, memberByEmailSQL, args)
		if err != nil {
			return fmt.Errorf("look for a member with the address: %w", err)
		}
		if member {
			return fault.New(fault.AlreadyMember, "%s is a member already; change the role instead", email)
		}
		if _, err := tx.Exec(ctx, endExpiredSQL, args); err != nil {
			return fmt.Errorf("end expired invitations: %w", err)
		}
		if invited, err = pg.One[Invitation](ctx, tx, inviteSQL, args); err != nil {
			if pg.Constraint(err) == "tenant_invitations_open_key" {
				return fault.New(fault.AlreadyInvited, "an invitation of %s is open; resend or revoke it", email)
			}
			return fmt.Errorf("invite %s: %w", email, writeFault(err, actor.User))
		}
		return audit.Append(ctx, tx, actor, invitationEntry("invite_member", invited))
	})
	invited.Token = token
	return invited, err
}

func invitationEntry(action string, i Invitation) audit.Entry {
	return audit.Entry{
		Tenant: i.TenantID, Action: action, Target: "invitation:" + i.ID.String(),
		After: map[string]any{"email": i.Email, "role": i.Role, "expires_at": i.ExpiresAt},
	}
}

const openInvitationSQL = `
SELECT ` + invitationColumns + ` FROM tenants.tenant_invitations
WHERE tenant_id = @tenant_id AND id = @invitation_id FOR UPDATE`

const revokeSQL = `
UPDATE tenants.tenant_invitations SET revoked_at = now()
WHERE tenant_id = @tenant_id AND id = @invitation_id RETURNING ` + invitationColumns

// Revoke takes an open invitation back.
func Revoke(ctx context.Context, db pg.DB, actor session.Session, invitation id.Invitation) (Invitation, error) {
	return change(ctx, db, actor, invitationChange{action: "revoke_invitation", sql: revokeSQL, invitation: invitation})
}

const resendSQL = `
UPDATE tenants.tenant_invitations SET token_hash = @hash, expires_at = now() + make_interval(days => @days)
WHERE tenant_id = @tenant_id AND id = @invitation_id RETURNING ` + invitationColumns

// Resend gives an open invitation a new token and its full time again; the token sent
// before ends.
func Resend(ctx context.Context, db pg.DB, actor session.Session, invitation id.Invitation) (Invitation, error) {
	token, hash := newToken()
	resent, err := change(ctx, db, actor, invitationChange{
		action: "resend_invitation", sql: resendSQL, invitation: invitation,
		args: pgx.NamedArgs{"hash": hash, "days": invitationDays},
	})
	resent.Token = token
	return resent, err
}

type invitationChange struct {
	action, sql string
	invitation  id.Invitation
	args        pgx.NamedArgs
}

// change locks an invitation of the actor's tenant that is neither accepted nor
// revoked, changes it and records it.
func change(ctx context.Context, db pg.DB, actor session.Session, c invitationChange) (Invitation, error) {
	args := pgx.NamedArgs{"tenant_id": actor.Tenant, "invitation_id": c.invitation}
	for name, value := range c.args {
		args[name] = value
	}
	var after Invitation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		before, err := pg.One[Invitation](ctx, tx, openInvitationSQL, args)
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "there is no invitation %s in this tenant", c.invitation)
		case err != nil:
			return fmt.Errorf("read invitation %s: %w", c.invitation, err)
		case before.AcceptedAt != nil || before.RevokedAt != nil:
			return ended(before)
		}
		if err := mayGive(actor, before.Role); err != nil {
			return err
		}
		if after, err = pg.One[Invitation](ctx, tx, c.sql, args); err != nil {
			return fmt.Errorf("%s %s: %w", c.action, c.invitation, err)
		}
		return audit.Append(ctx, tx, actor, invitationEntry(c.action, after))
	})
	return after, err
}

func ended(i Invitation) error {
	how := "has expired; ask for it to be sent again"
	switch {
	case i.AcceptedAt != nil:
		how = "was accepted already"
	case i.RevokedAt != nil:
		how = "was revoked"
	}
	return fault.New(fault.InvitationEnded, "the invitation of %s %s", i.Email, how)
}
