package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/text"
)

// InviteInput is whom to invite.
type InviteInput struct {
	Email      string // cleaned (text.Email)
	Role       Role
	AnyAddress bool // whoever has the token may accept, whatever the address: an owner's choice
}

// Validate collects what is wrong with the input.
func (in InviteInput) Validate(problems *fault.Problems) {
	if in.AnyAddress && in.Role == Owner {
		problems.Add("anyAddress", "does not go with role owner: an owner is named by an address")
	}
}

// mayInvite says whether the actor may send an invitation such as this.
func mayInvite(actor session.Session, role Role, anyAddress bool) error {
	if anyAddress && !actor.IsOperator() && actor.Role != session.TenantOwner {
		return fault.New(fault.Forbidden, "only an owner may send an invitation that any address may accept")
	}
	return mayGive(actor, role)
}

const endExpiredSQL = `
UPDATE tenants.tenant_invitations SET revoked_at = expires_at
WHERE tenant_id = @tenant_id AND email = @email AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at <= now()`

const memberByEmailSQL = `
SELECT EXISTS (SELECT FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id
	WHERE m.tenant_id = @tenant_id AND u.email = @email)`

const inviteSQL = `
INSERT INTO tenants.tenant_invitations (tenant_id, email, role, any_address, token_hash, invited_by, by_operator, expires_at)
VALUES (@tenant_id, @email, @role, @any_address, @hash, @invited_by, @by_operator, now() + make_interval(days => @days))
RETURNING ` + invitationColumns

// Invite opens an invitation of an address to the actor's tenant and mails it there. One
// invitation of an address is open at a time. It does not count against the plan's users
// until it is accepted.
func (p Post) Invite(ctx context.Context, db pg.DB, actor session.Session, in InviteInput) (Invitation, error) {
	if err := mayInvite(actor, in.Role, in.AnyAddress); err != nil {
		return Invitation{}, err
	}
	var invited Invitation
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		from, err := readSender(ctx, tx, actor)
		if err != nil {
			return err
		}
		invited, err = p.invite(ctx, tx, from, in)
		return err
	})
	return invited, err
}

func (p Post) invite(ctx context.Context, tx pgx.Tx, from sender, in InviteInput) (Invitation, error) {
	if err := p.bound(ctx, tx, from.actor, ofTenant(from.actor.Tenant), ofAddress(in.Email)); err != nil {
		return Invitation{}, err
	}
	token := secret.New()
	args := pgx.NamedArgs{
		"tenant_id": from.actor.Tenant, "email": in.Email, "role": string(in.Role), "any_address": in.AnyAddress,
		"hash": secret.Hash(token), "days": invitationDays, "invited_by": from.actor.User, "by_operator": from.actor.IsOperator(),
	}
	member, err := pg.Scalar[bool](ctx, tx, memberByEmailSQL, args)
	if err != nil {
		return Invitation{}, fmt.Errorf("look for a member with the address: %w", err)
	}
	if member {
		return Invitation{}, fault.New(fault.AlreadyMember, "%s is a member already; change the role instead", in.Email)
	}
	if _, err := tx.Exec(ctx, endExpiredSQL, args); err != nil {
		return Invitation{}, fmt.Errorf("end expired invitations: %w", err)
	}
	invited, err := pg.One[Invitation](ctx, tx, inviteSQL, args)
	if err != nil {
		if pg.Constraint(err) == "tenant_invitations_open_key" {
			return Invitation{}, fault.New(fault.AlreadyInvited, "an invitation of %s is open; resend or revoke it", in.Email)
		}
		return Invitation{}, fmt.Errorf("invite %s: %w", in.Email, writeFault(err, from.actor.User))
	}
	if err := p.mailInvitation(ctx, tx, from, invited, token); err != nil {
		return Invitation{}, err
	}
	invited.Token = p.shown(invited, token)
	return invited, audit.Append(ctx, tx, from.actor, invitationEntry("invite_member", invited))
}

// MaxInvited is how many addresses are invited at once at most.
const MaxInvited = 100

// Outcome is what became of one address of many.
type Outcome struct {
	Email      string       // as it was cleaned
	Invitation Invitation   // zero where there is a problem
	Problem    *fault.Fault // nil: invited
}

// InviteAll invites many addresses in one transaction, each for itself: what is wrong
// with one is told of that one, and the others are invited all the same. An address that
// is there twice has one outcome, in the place of the first.
func (p Post) InviteAll(ctx context.Context, db pg.DB, actor session.Session, emails []string, role Role) ([]Outcome, error) {
	if err := mayInvite(actor, role, false); err != nil {
		return nil, err
	}
	outcomes, sorted := cleaned(emails)
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		from, err := readSender(ctx, tx, actor)
		if err != nil {
			return err
		}
		for _, outcome := range sorted {
			if outcome.Problem != nil {
				continue
			}
			outcome.Invitation, err = p.inviteApart(ctx, tx, from, InviteInput{Email: outcome.Email, Role: role})
			if outcome.Problem, err = problemOf(err); err != nil {
				return err
			}
		}
		return nil
	})
	return outcomes, err
}

// cleaned is each address once, in the order they were typed in and in that of the
// alphabet, in which they are invited (bound says why).
func cleaned(emails []string) (outcomes []Outcome, sorted []*Outcome) {
	for _, typed := range emails {
		var problems fault.Problems
		email := text.Email("email", typed, &problems)
		if slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Email == email }) {
			continue
		}
		outcome := Outcome{Email: email}
		_ = errors.As(problems.Fault(), &outcome.Problem)
		outcomes = append(outcomes, outcome)
	}
	for i := range outcomes {
		sorted = append(sorted, &outcomes[i])
	}
	slices.SortFunc(sorted, func(a, b *Outcome) int { return strings.Compare(a.Email, b.Email) })
	return outcomes, sorted
}

// inviteApart invites under a savepoint, so that a refusal undoes nothing of the others.
func (p Post) inviteApart(ctx context.Context, tx pgx.Tx, from sender, in InviteInput) (invited Invitation, err error) {
	err = pg.InTx(ctx, tx, func(tx pgx.Tx) error {
		invited, err = p.invite(ctx, tx, from, in)
		return err
	})
	return invited, err
}

// problemOf takes what is one address's own problem; anything else is everybody's. So is
// a refusal of the actor, whose role was looked at before: it was lost meanwhile.
func problemOf(err error) (*fault.Fault, error) {
	everybodys := []fault.Code{fault.Unavailable, fault.Forbidden, fault.InvalidSession}
	var told *fault.Fault
	switch {
	case err == nil:
		return nil, nil
	case errors.As(pg.Explain(err), &told) && !slices.Contains(everybodys, told.Code):
		return told, nil
	}
	return nil, err
}
