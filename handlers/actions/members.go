package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/session"
)

type memberReply struct {
	TenantID  id.Tenant `json:"tenantId"`
	UserID    id.User   `json:"userId"`
	Role      string    `json:"role"`
	JoinedAt  time.Time `json:"joinedAt"`
	InvitedBy *id.User  `json:"invitedBy"`
}

func replyMember(m member.Member, err error) (memberReply, error) {
	reply := memberReply{TenantID: m.TenantID, UserID: m.UserID, Role: string(m.Role), JoinedAt: m.JoinedAt}
	if !m.InvitedBy.IsZero() {
		reply.InvitedBy = &m.InvitedBy
	}
	return reply, err
}

type memberInput struct {
	ownTenant
	UserID id.User `json:"userId"`
}

type addMemberInput struct {
	memberInput
	Role *string `json:"role"`
	idempotent
	role member.Role
}

func (in *addMemberInput) validate(_ session.Session, problems *fault.Problems) {
	in.checkKey(problems)
	in.role = member.CheckRole("role", value(in.Role), problems)
}

func addMember(ctx context.Context, tx pgx.Tx, s session.Session, in addMemberInput) (memberReply, error) {
	return replyMember(member.Add(ctx, tx, s, in.UserID, in.role))
}

type updateMemberRoleInput struct {
	memberInput
	Role string `json:"role"`
	role member.Role
}

func (in *updateMemberRoleInput) validate(_ session.Session, problems *fault.Problems) {
	if in.role = member.CheckRole("role", in.Role, problems); in.Role == "" {
		problems.Add("role", "must be owner, admin, member or guest")
	}
}

func updateMemberRole(ctx context.Context, tx pgx.Tx, s session.Session, in updateMemberRoleInput) (memberReply, error) {
	return replyMember(member.UpdateRole(ctx, tx, s, in.UserID, in.role))
}

func removeMember(ctx context.Context, tx pgx.Tx, s session.Session, in memberInput) (memberReply, error) {
	return replyMember(member.Remove(ctx, tx, s, in.UserID))
}

func leaveTenant(ctx context.Context, tx pgx.Tx, s session.Session, _ ownTenant) (memberReply, error) {
	return replyMember(member.Leave(ctx, tx, s))
}
