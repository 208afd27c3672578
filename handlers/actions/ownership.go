package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

type transferReply struct {
	ID         id.Transfer `json:"id"`
	TenantID   id.Tenant   `json:"tenantId"`
	FromUserID id.User     `json:"fromUserId"`
	ToUserID   id.User     `json:"toUserId"`
	CreatedAt  time.Time   `json:"createdAt"`
	ExpiresAt  time.Time   `json:"expiresAt"`
	AcceptedAt *time.Time  `json:"acceptedAt"`
	EndedAt    *time.Time  `json:"endedAt"`
}

func replyTransfer(t member.Transfer, err error) (transferReply, error) {
	return transferReply{
		ID: t.ID, TenantID: t.TenantID, FromUserID: t.From, ToUserID: t.To,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, AcceptedAt: t.AcceptedAt, EndedAt: t.EndedAt,
	}, err
}

func (h invitations) offerOwnership(ctx context.Context, tx pgx.Tx, s session.Session, in memberInput) (transferReply, error) {
	return replyTransfer(h.post.OfferOwnership(ctx, tx, s, in.UserID))
}

// acceptOwnership answers with the tenant, read before the caller's new role ends the
// token's right to read it.
func (h tenants) acceptOwnership(ctx context.Context, tx pgx.Tx, s session.Session, _ ownTenant) (tenantReply, error) {
	t, err := tenant.Get(ctx, tx, s.Tenant)
	if err != nil {
		return tenantReply{}, err
	}
	t.OwnerUserID = s.User
	t.UpdatedAt, err = member.AcceptOwnership(ctx, tx, s)
	return h.reply(t, err)
}

func cancelOwnershipTransfer(ctx context.Context, tx pgx.Tx, s session.Session, _ ownTenant) (transferReply, error) {
	return replyTransfer(member.CancelTransfer(ctx, tx, s))
}
