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

type inviteMemberInput struct {
	ownTenant
	Email string  `json:"email"`
	Role  *string `json:"role"`
	idempotent
	email string
	role  member.Role
}

func (in *inviteMemberInput) validate(_ session.Session, problems *fault.Problems) {
	in.checkKey(problems)
	in.email = text.Email("email", in.Email, problems)
	in.role = member.CheckRole("role", value(in.Role), problems)
}

func inviteMember(ctx context.Context, tx pgx.Tx, s session.Session, in inviteMemberInput) (invitationReply, error) {
	return replyInvitation(member.Invite(ctx, tx, s, in.email, in.role))
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

func resendInvitation(ctx context.Context, tx pgx.Tx, s session.Session, in invitationInput) (invitationReply, error) {
	return replyInvitation(member.Resend(ctx, tx, s, in.InvitationID))
}
