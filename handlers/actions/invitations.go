package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/text"
)

type invitationReply struct {
	ID         id.Invitation `json:"id"`
	TenantID   id.Tenant     `json:"tenantId"`
	Email      string        `json:"email"`
	Role       string        `json:"role"`
	CreatedAt  time.Time     `json:"createdAt"`
	ExpiresAt  time.Time     `json:"expiresAt"`
	AcceptedAt *time.Time    `json:"acceptedAt"`
	RevokedAt  *time.Time    `json:"revokedAt"`
	Token      *string       `json:"token"`
}

// withoutSecrets is the reply as an idempotency key keeps it: the token is shown once.
func (r invitationReply) withoutSecrets() any {
	r.Token = nil
	return r
}

func replyInvitation(i member.Invitation, err error) (invitationReply, error) {
	reply := invitationReply{
		ID: i.ID, TenantID: i.TenantID, Email: i.Email, Role: string(i.Role),
		CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt, AcceptedAt: i.AcceptedAt, RevokedAt: i.RevokedAt,
	}
	if i.Token != "" {
		reply.Token = &i.Token
	}
	return reply, err
}

// invitations serves the actions that send mail to who is to join.
type invitations struct{ post member.Post }

type inviteMemberInput struct {
	ownTenant
	Email      string  `json:"email"`
	Role       *string `json:"role"`
	AnyAddress *bool   `json:"anyAddress"`
	idempotent
	clean member.InviteInput
}

func (in *inviteMemberInput) validate(_ session.Session, problems *fault.Problems) {
	in.checkKey(problems)
	in.clean = member.InviteInput{
		Email:      text.Email("email", in.Email, problems),
		Role:       member.CheckRole("role", value(in.Role), problems),
		AnyAddress: in.AnyAddress != nil && *in.AnyAddress,
	}
	in.clean.Validate(problems)
}

func (h invitations) invite(ctx context.Context, tx pgx.Tx, s session.Session, in inviteMemberInput) (invitationReply, error) {
	return replyInvitation(h.post.Invite(ctx, tx, s, in.clean))
}

// invitedReply is what became of one address: invited, or a code and a message.
type invitedReply struct {
	Email        string         `json:"email"`
	InvitationID *id.Invitation `json:"invitationId"`
	Role         *string        `json:"role"`
	ExpiresAt    *time.Time     `json:"expiresAt"`
	Token        *string        `json:"token"`
	Code         *string        `json:"code"`
	Message      *string        `json:"message"`
}

func replyInvited(o member.Outcome) invitedReply {
	if o.Problem != nil {
		code := string(o.Problem.Code)
		return invitedReply{Email: o.Email, Code: &code, Message: &o.Problem.Message}
	}
	role := string(o.Invitation.Role)
	reply := invitedReply{Email: o.Email, InvitationID: &o.Invitation.ID, Role: &role, ExpiresAt: &o.Invitation.ExpiresAt}
	if o.Invitation.Token != "" {
		reply.Token = &o.Invitation.Token
	}
	return reply
}

type inviteMembersInput struct {
	ownTenant
	Emails []string `json:"emails"`
	Role   *string  `json:"role"`
	role   member.Role
}

func (in *inviteMembersInput) validate(_ session.Session, problems *fault.Problems) {
	if n := len(in.Emails); n < 1 || n > member.MaxInvited {
		problems.Add("emails", "must name 1 to %d addresses; got %d", member.MaxInvited, n)
	}
	in.role = member.CheckRole("role", value(in.Role), problems)
}

func (h invitations) inviteAll(ctx context.Context, tx pgx.Tx, s session.Session, in inviteMembersInput) ([]invitedReply, error) {
	outcomes, err := h.post.InviteAll(ctx, tx, s, in.Emails, in.role)
	replies := make([]invitedReply, len(outcomes))
	for i, o := range outcomes {
		replies[i] = replyInvited(o)
	}
	return replies, err
}

type acceptInvitationInput struct {
	Token string `json:"token"`
}

func acceptInvitation(ctx context.Context, tx pgx.Tx, s session.Session, in acceptInvitationInput) (memberReply, error) {
	return replyMember(member.Accept(ctx, tx, s, in.Token))
}

type invitationInput struct {
	ownTenant
	InvitationID id.Invitation `json:"invitationId"`
}

func revokeInvitation(ctx context.Context, tx pgx.Tx, s session.Session, in invitationInput) (invitationReply, error) {
	return replyInvitation(member.Revoke(ctx, tx, s, in.InvitationID))
}

func (h invitations) resend(ctx context.Context, tx pgx.Tx, s session.Session, in invitationInput) (invitationReply, error) {
	return replyInvitation(h.post.Resend(ctx, tx, s, in.InvitationID))
}
