package actions

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/text"
	"github.com/nself/tenancy/internal/token"
)

// tokens serves the actions that mint.
type tokens struct{ minter *token.Minter }

type tokenReply struct {
	AccessToken  string     `json:"accessToken"`
	TokenType    string     `json:"tokenType"`
	ExpiresAt    time.Time  `json:"expiresAt"`
	RefreshToken *string    `json:"refreshToken"`
	SessionID    id.Session `json:"sessionId"`
	UserID       id.User    `json:"userId"`
	TenantID     *id.Tenant `json:"tenantId"`
	Role         string     `json:"role"`
}

// withoutSecrets is the reply with nothing in it that lets anybody in.
func (r tokenReply) withoutSecrets() any {
	r.AccessToken, r.RefreshToken = "", nil
	return r
}

func replyToken(t token.Token, err error) (tokenReply, error) {
	reply := tokenReply{
		AccessToken: t.Signed, TokenType: "Bearer", ExpiresAt: t.ExpiresAt,
		SessionID: t.Session, UserID: t.User, Role: string(t.Role),
	}
	if !t.Tenant.IsZero() {
		reply.TenantID = &t.Tenant
	}
	if t.Refresh != "" {
		reply.RefreshToken = &t.Refresh
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
	in.checkTTL(token.MaxTTL, problems)
}

func (in mintTokenInput) checkTTL(most time.Duration, problems *fault.Problems) {
	if limit := int(most.Seconds()); in.TTLSeconds != nil && (*in.TTLSeconds < 1 || *in.TTLSeconds > limit) {
		problems.Add("ttlSeconds", "must be 1 to %d; got %d", limit, *in.TTLSeconds)
	}
}

func (h tokens) mint(ctx context.Context, tx pgx.Tx, s session.Session, in mintTokenInput) (tokenReply, error) {
	return in.minted(ctx, tx, func(holder token.Holder) (token.Token, error) {
		return h.minter.MintForOperator(ctx, tx, s, holder)
	})
}

// minted makes a token for the user who is named, in the tenant that is named.
func (in mintTokenInput) minted(ctx context.Context, tx pgx.Tx, mint func(token.Holder) (token.Token, error)) (tokenReply, error) {
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
	made, err := mint(holder)
	if in.Tenant != nil && fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "user %s is no member of a tenant %.80q that is in service", in.UserID, *in.Tenant)
	}
	return replyToken(made, err)
}

type impersonateInput struct {
	mintTokenInput
	Reason string `json:"reason"`
	reason string
}

func (in *impersonateInput) validate(_ session.Session, problems *fault.Problems) {
	in.checkTTL(token.MaxImpersonation, problems)
	in.reason = text.Line("reason", in.Reason, 500, problems)
	if n := utf8.RuneCountInString(in.reason); n < 3 {
		problems.Add("reason", "must have 3 to 500 characters; got %d", n)
	}
}

func (h tokens) impersonate(ctx context.Context, tx pgx.Tx, s session.Session, in impersonateInput) (tokenReply, error) {
	return in.minted(ctx, tx, func(holder token.Holder) (token.Token, error) {
		return h.minter.Impersonate(ctx, tx, s, token.Impersonation{Holder: holder, Reason: in.reason})
	})
}

type rotateSigningKeyInput struct {
	RevokeOld *bool `json:"revokeOld"`
}

type signingKeyReply struct {
	KID       string    `json:"kid"`
	Algorithm string    `json:"algorithm"`
	CreatedAt time.Time `json:"createdAt"`
	SignsFrom time.Time `json:"signsFrom"`
	Retiring  []string  `json:"retiring"`
}

func (h tokens) rotate(ctx context.Context, tx pgx.Tx, s session.Session, in rotateSigningKeyInput) (signingKeyReply, error) {
	key, err := h.minter.Rotate(ctx, tx, s, in.RevokeOld != nil && *in.RevokeOld)
	return signingKeyReply{
		KID: key.KID, Algorithm: key.Algorithm, CreatedAt: key.CreatedAt, SignsFrom: key.SignsFrom,
		Retiring: append([]string{}, key.Retiring...),
	}, err
}
