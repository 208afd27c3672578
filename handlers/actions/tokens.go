package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// tokens serves the actions that mint.
type tokens struct{ minter *token.Minter }

type tokenReply struct {
	AccessToken string     `json:"accessToken"`
	TokenType   string     `json:"tokenType"`
	ExpiresAt   time.Time  `json:"expiresAt"`
	SessionID   id.Session `json:"sessionId"`
	UserID      id.User    `json:"userId"`
	TenantID    *id.Tenant `json:"tenantId"`
	Role        string     `json:"role"`
}

func replyToken(t token.Token, err error) (tokenReply, error) {
	reply := tokenReply{
		AccessToken: t.Signed, TokenType: "Bearer", ExpiresAt: t.ExpiresAt,
		SessionID: t.Session, UserID: t.User, Role: string(t.Role),
	}
	if !t.Tenant.IsZero() {
		reply.TenantID = &t.Tenant
	}
	return reply, err
}

type switchTenantInput struct {
	Tenant string `json:"tenant"`
}

func (h tokens) switchTenant(ctx context.Context, tx pgx.Tx, s session.Session, in switchTenantInput) (tokenReply, error) {
	to, err := tenant.Resolve(ctx, tx, in.Tenant)
	if err != nil {
		return tokenReply{}, err
	}
	minted, err := h.minter.Switch(ctx, tx, s, to)
	if fault.Is(err, fault.NotFound) {
		err = tenant.NotFound(in.Tenant)
	}
	return replyToken(minted, err)
}

type mintTokenInput struct {
	UserID     id.User `json:"userId"`
	Tenant     *string `json:"tenant"`
	TTLSeconds *int    `json:"ttlSeconds"`
}

func (in *mintTokenInput) validate(_ session.Session, problems *fault.Problems) {
	if limit := int(token.MaxTTL.Seconds()); in.TTLSeconds != nil && (*in.TTLSeconds < 1 || *in.TTLSeconds > limit) {
		problems.Add("ttlSeconds", "must be 1 to %d; got %d", limit, *in.TTLSeconds)
	}
}

func (h tokens) mint(ctx context.Context, tx pgx.Tx, s session.Session, in mintTokenInput) (tokenReply, error) {
	holder := token.Holder{User: in.UserID}
	if in.TTLSeconds != nil {
		holder.TTL = time.Duration(*in.TTLSeconds) * time.Second
	}
	if in.Tenant != nil {
		to, err := tenant.Resolve(ctx, tx, *in.Tenant)
		if err != nil {
			return tokenReply{}, err
		}
		holder.Tenant = to
	}
	minted, err := h.minter.MintForOperator(ctx, tx, s, holder)
	if in.Tenant != nil && fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "user %s is no member of a tenant %.80q that is in service", in.UserID, *in.Tenant)
	}
	return replyToken(minted, err)
}
