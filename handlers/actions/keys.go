package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/session"
)

type keyReply struct {
	TenantID   id.Tenant  `json:"tenantId"`
	ID         id.APIKey  `json:"id"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix"`
	Role       string     `json:"role"`
	UserID     id.User    `json:"userId"`
	CreatedAt  time.Time  `json:"createdAt"`
	ExpiresAt  *time.Time `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	RevokedAt  *time.Time `json:"revokedAt"`
	Key        *string    `json:"key"`
}

// withoutSecrets is the reply as an idempotency key keeps it: the key is shown once.
func (r keyReply) withoutSecrets() any {
	r.Key = nil
	return r
}

func replyKey(k apikey.Key, err error) (keyReply, error) {
	reply := keyReply{
		TenantID: k.TenantID, ID: k.ID, Name: k.Name, Prefix: k.Prefix, Role: string(k.Role), UserID: k.UserID,
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, LastUsedAt: k.LastUsedAt, RevokedAt: k.RevokedAt,
	}
	if k.Plain != "" {
		reply.Key = &k.Plain
	}
	return reply, err
}

type createKeyInput struct {
	ownTenant
	Name      string     `json:"name"`
	Role      *string    `json:"role"`
	ExpiresAt *time.Time `json:"expiresAt"`
	idempotent
	clean apikey.CreateInput
}

func (in *createKeyInput) validate(_ session.Session, problems *fault.Problems) {
	in.checkKey(problems)
	in.clean = apikey.CreateInput{Name: in.Name, Role: member.Role(value(in.Role)), ExpiresAt: in.ExpiresAt}
	in.clean.Validate(problems)
}

func (h tokens) createKey(ctx context.Context, tx pgx.Tx, s session.Session, in createKeyInput) (keyReply, error) {
	return replyKey(apikey.Create(ctx, tx, s, h.minter, in.clean))
}

type revokeKeyInput struct {
	ownTenant
	APIKeyID id.APIKey `json:"apiKeyId"`
}

func revokeKey(ctx context.Context, tx pgx.Tx, s session.Session, in revokeKeyInput) (keyReply, error) {
	return replyKey(apikey.Revoke(ctx, tx, s, in.APIKeyID))
}
