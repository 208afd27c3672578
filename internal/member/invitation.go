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
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
)

// Invitation asks whoever owns an e-mail address to join a tenant.
type Invitation struct {
	ID         id.Invitation `db:"id"`
	TenantID   id.Tenant     `db:"tenant_id"`
	Email      string        `db:"email"`
	Role       Role          `db:"role"`
	AnyAddress bool          `db:"any_address"` // whoever has the token may accept, once
	InvitedBy  id.User       `db:"invited_by"`  // whoever sent it last; zero: the operator's secret, or somebody who is gone
	CreatedAt  time.Time     `db:"created_at"`
	ExpiresAt  time.Time     `db:"expires_at"`
	AcceptedAt *time.Time    `db:"accepted_at"`
	RevokedAt  *time.Time    `db:"revoked_at"`
	Token      string        `db:"-"` // for whoever hands it on: just made, and not mailed or for any address; kept nowhere
}

const invitationDays = 7

const invitationColumns = `id, tenant_id, email, role, any_address, invited_by, created_at, expires_at, accepted_at, revoked_at`

// open reports whether the invitation is neither accepted nor revoked; it may be past
// its time, and is sent again then.
func (i Invitation) open() bool { return i.AcceptedAt == nil && i.RevokedAt == nil }

func invitationEntry(action string, i Invitation) audit.Entry {
	after := map[string]any{"email": i.Email, "role": i.Role, "expires_at": i.ExpiresAt}
	if i.AnyAddress {
		after["any_address"] = true
	}
	return audit.Entry{Tenant: i.TenantID, Action: action, Target: "invitation:" + i.ID.String(), After: after}
}

const openInvitationSQL = `
SELECT ` + invitationColumns + ` FROM tenants.tenant_invitations
WHERE tenant_id = @tenant_id AND id = @invitation_id FOR UPDATE`

const revokeSQL = `
UPDATE tenants.tenant_invitations SET revoked_at = now()
WHERE tenant_id = @tenant_id AND id = @invitation_id RETURNING ` + invitationColumns

// Revoke takes an open invitation back.
func Revoke(ctx context.Context, db pg.DB, actor session.Session, invitation id.Invitation) (Invitation, error) {
	return change(ctx, db, actor, invitationChange{
		action: "revoke_invitation", sql: revokeSQL, invitation: invitation,
		check: func(i Invitation) error { return mayGive(actor, i.Role) },
		then:  func(pgx.Tx, Invitation) error { return nil },
	})
}

const resendSQL = `
UPDATE tenants.tenant_invitations
SET token_hash = @hash, invited_by = @invited_by, by_operator = @by_operator, expires_at = now() + make_interval(days => @days)
WHERE tenant_id = @tenant_id AND id = @invitation_id RETURNING ` + invitationColumns

// Resend gives an open invitation a new token and its full time again, and sends it; the
// token sent before ends. From then on it is the actor's, who vouches for it.
func (p Post) Resend(ctx context.Context, db pg.DB, actor session.Session, invitation id.Invitation) (Invitation, error) {
	token := secret.New()
	var resent Invitation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if err := p.bound(ctx, tx, actor, ofTenant(actor.Tenant)); err != nil {
			return err
		}
		var err error
		resent, err = change(ctx, tx, actor, invitationChange{
			action: "resend_invitation", sql: resendSQL, invitation: invitation,
			args: pgx.NamedArgs{
				"hash": secret.Hash(token), "days": invitationDays, "invited_by": actor.User, "by_operator": actor.IsOperator(),
			},
			check: func(i Invitation) error { return mayInvite(actor, i.Role, i.AnyAddress) },
			then:  func(tx pgx.Tx, i Invitation) error { return p.mailAgain(ctx, tx, actor, i, token) },
		})
		return err
	})
	resent.Token = p.shown(resent, token)
	return resent, err
}

type invitationChange struct {
	action, sql string
	invitation  id.Invitation
	args        pgx.NamedArgs
	check       func(Invitation) error
	then        func(pgx.Tx, Invitation) error
}

// change locks an invitation of the actor's tenant that is open, changes it and records
// it.
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
		case !before.open():
			return ended(before)
		}
		if err := c.check(before); err != nil {
			return err
		}
		if after, err = pg.One[Invitation](ctx, tx, c.sql, args); err != nil {
			return fmt.Errorf("%s %s: %w", c.action, c.invitation, writeFault(err, actor.User))
		}
		if err := c.then(tx, after); err != nil {
			return err
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
