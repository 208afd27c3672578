package token

import (
	"context"
	"crypto/cipher"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// backdate is how far iat lies in the past: Hasura refuses a token "issued in the
// future" with no skew allowed, so a clock a second ahead would lock everybody out.
const backdate = 5 * time.Second

// MaxTTL bounds the life of a token the operator mints.
const MaxTTL = 7 * 24 * time.Hour

// Config is what an installation decides about its tokens.
type Config struct {
	Issuer        string
	Audience      string
	TTL           time.Duration
	Algorithm     string // ES256 or RS256, for keys made from now on
	EncryptionKey []byte // 32 bytes; seals the private keys at rest
}

// Minter makes tokens. It is safe for concurrent use.
type Minter struct {
	config Config
	aead   cipher.AEAD
}

// New makes a Minter. The only error is an encryption key that is not 32 bytes.
func New(config Config) (*Minter, error) {
	aead, err := newAEAD(config.EncryptionKey)
	if err != nil || len(config.EncryptionKey) != 32 {
		return nil, fmt.Errorf("the encryption key has %d bytes; 32 are needed", len(config.EncryptionKey))
	}
	return &Minter{config: config, aead: aead}, nil
}

// Token is a signed JWT and what is in it.
type Token struct {
	Signed    string
	ExpiresAt time.Time
	Session   id.Session
	User      id.User
	Tenant    id.Tenant // zero: no tenant is chosen
	Role      session.Role
}

// Switch mints a token for another tenant of the actor.
func (m *Minter) Switch(ctx context.Context, db pg.DB, actor session.Session, tenant id.Tenant) (Token, error) {
	if actor.User.IsZero() {
		return Token{}, fault.New(fault.Forbidden, "the operator is no member; use mintToken for a user")
	}
	return m.forMember(ctx, db, actor, request{user: actor.User, tenant: tenant, action: "switch_tenant"})
}

// Holder is whom the operator mints a token for.
type Holder struct {
	User   id.User
	Tenant id.Tenant     // zero: a token of role user
	TTL    time.Duration // zero: the installation's
}

// MintForOperator mints a token for any user.
func (m *Minter) MintForOperator(ctx context.Context, db pg.DB, actor session.Session, h Holder) (Token, error) {
	return m.forMember(ctx, db, actor, request{user: h.User, tenant: h.Tenant, ttl: h.TTL, action: "mint_token"})
}

type request struct {
	user   id.User
	tenant id.Tenant
	ttl    time.Duration
	action string
}

func (m *Minter) forMember(ctx context.Context, db pg.DB, actor session.Session, r request) (Token, error) {
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		holder := session.Session{Role: session.User, User: r.user}
		if !r.tenant.IsZero() {
			membership, err := member.OfUser(ctx, tx, r.tenant, r.user)
			if err != nil {
				return err
			}
			holder.Tenant, holder.Role = membership.TenantID, membership.Role.Session()
		}
		var err error
		if minted, err = m.mint(ctx, tx, holder, r.ttl); err != nil {
			return err
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: minted.Tenant, Action: r.action, Target: "session:" + minted.Session.String(),
			After: map[string]any{"user_id": minted.User, "role": minted.Role, "expires_at": minted.ExpiresAt},
		})
	})
	return minted, err
}

const tenantsOfUserAllTenantsSQL = `
SELECT m.tenant_id FROM tenants.tenant_members m JOIN tenants.tenants t ON t.id = m.tenant_id
WHERE m.user_id = @user_id AND t.status = 'active' ORDER BY m.tenant_id`

const insertSessionSQL = `
INSERT INTO auth.sessions (tenant_id, user_id, role, expires_at) VALUES (@tenant_id, @user_id, @role, @expires_at) RETURNING id`

// mint signs a token for the holder and opens the session it belongs to.
func (m *Minter) mint(ctx context.Context, tx pgx.Tx, holder session.Session, ttl time.Duration) (Token, error) {
	if ttl == 0 {
		ttl = m.config.TTL
	}
	now := time.Now()
	t := Token{ExpiresAt: now.Add(ttl).Truncate(time.Second), User: holder.User, Tenant: holder.Tenant, Role: holder.Role}
	args := pgx.NamedArgs{"tenant_id": t.Tenant, "user_id": t.User, "role": string(t.Role), "expires_at": t.ExpiresAt}
	var err error
	if t.Session, err = pg.Scalar[id.Session](ctx, tx, insertSessionSQL, args); err != nil {
		if pg.Constraint(err) == "sessions_user_id_fkey" {
			return Token{}, fault.New(fault.NotFound, "there is no user %s", t.User)
		}
		return Token{}, fmt.Errorf("open a session: %w", err)
	}
	rows, _ := tx.Query(ctx, tenantsOfUserAllTenantsSQL, args)
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
	if err != nil {
		return Token{}, fmt.Errorf("list the tenants of user %s: %w", t.User, err)
	}
	signer, err := m.current(ctx, tx)
	if pg.NoRow(err) {
		return Token{}, fault.New(fault.Unavailable, "no signing key is in force; a server that starts makes one").Because(err)
	}
	if err != nil {
		return Token{}, err
	}
	unsigned := jwt.NewWithClaims(signer.method, m.claims(t, tenants, now))
	unsigned.Header["kid"] = signer.kid
	if t.Signed, err = unsigned.SignedString(signer.key); err != nil {
		return Token{}, fmt.Errorf("sign a token: %w", err)
	}
	return t, nil
}

// claims are what Hasura reads (hasura.io/jwt/claims): the role list is an array, every
// other value a string, a list of ids a Postgres array literal.
func (m *Minter) claims(t Token, tenants []id.Tenant, now time.Time) jwt.MapClaims {
	ids := make([]string, len(tenants))
	for i, tenant := range tenants {
		ids[i] = tenant.String()
	}
	hasura := map[string]any{
		"x-hasura-allowed-roles": []session.Role{t.Role},
		"x-hasura-default-role":  t.Role,
		"x-hasura-user-id":       t.User.String(),
		"x-hasura-tenant-ids":    "{" + strings.Join(ids, ",") + "}",
	}
	if !t.Tenant.IsZero() {
		hasura["x-hasura-tenant-id"] = t.Tenant.String()
	}
	return jwt.MapClaims{
		"iss": m.config.Issuer, "aud": m.config.Audience, "sub": t.User.String(), "jti": t.Session.String(),
		"iat": now.Add(-backdate).Unix(), "exp": t.ExpiresAt.Unix(),
		"https://hasura.io/jwt/claims": hasura,
	}
}
