// Package token lets people and machines in and takes it back: it opens sessions, mints
// the JWTs that carry a tenant's claims, renews them by refresh tokens, ends sessions,
// rotates and publishes the keys, and says of a JWT whether it is good at this moment.
// It owns auth.signing_keys, auth.sessions and auth.refresh_tokens. Who somebody is was
// settled before (a link, a provider, an API key). It trusts nobody's word for a
// membership: it reads it in the transaction that mints. Locks are taken in one order:
// user, members, tenant, sessions by id, refresh tokens.
package token

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/seal"
	"github.com/nself/tenancy/internal/session"
)

// backdate is how far iat lies in the past: Hasura refuses a token "issued in the
// future" with no skew allowed, so a clock a second ahead would lock everybody out.
const backdate = 5 * time.Second

// MaxTTL bounds the life of every access token; a key is published that long after it
// signed for the last time.
const MaxTTL = 7 * 24 * time.Hour

// What Config leaves zero.
const (
	defaultRefreshTTL = 30 * 24 * time.Hour
	defaultSessionTTL = 90 * 24 * time.Hour
)

// Config is what an installation decides about its tokens.
type Config struct {
	Issuer        string
	Audience      string
	TTL           time.Duration // of an access token; at most MaxTTL
	RefreshTTL    time.Duration // how long a session may lie idle; zero: 30 days
	SessionTTL    time.Duration // from sign-in to the next at the latest; zero: 90 days
	Algorithm     string        // ES256 or RS256, for keys made from now on
	EncryptionKey []byte        // 32 bytes; seals the private keys at rest
}

// Minter opens sessions and makes their tokens. It is safe for concurrent use.
type Minter struct {
	config    Config
	box       *seal.Box
	successor []byte                 // the key that the next refresh token is derived with
	ready     atomic.Pointer[signer] // the key that signed last, opened
}

// New makes a Minter. The only error is an encryption key that is not 32 bytes.
func New(config Config) (*Minter, error) {
	box, err := seal.New(config.EncryptionKey)
	if err != nil {
		return nil, err
	}
	if config.RefreshTTL == 0 {
		config.RefreshTTL = defaultRefreshTTL
	}
	if config.SessionTTL == 0 {
		config.SessionTTL = defaultSessionTTL
	}
	return &Minter{config: config, box: box, successor: box.Derive("refresh tokens")}, nil
}

// Token is a signed JWT, what is in it, and how to get the next.
type Token struct {
	Signed    string
	ExpiresAt time.Time // of the JWT
	Session   id.Session
	User      id.User
	Tenant    id.Tenant // zero: no tenant is chosen
	Role      session.Role
	Refresh   string // empty: the session ends with its access token, or is an API key's
}

// mostTenants bounds the claim of tenant ids, so that a token fits a header.
const mostTenants = 100

const tenantsOfUserAllTenantsSQL = `
SELECT m.tenant_id FROM tenants.tenant_members m JOIN tenants.tenants t ON t.id = m.tenant_id
WHERE m.user_id = @user_id AND t.status = 'active'
ORDER BY (m.tenant_id IS NOT DISTINCT FROM @chosen) DESC, m.tenant_id LIMIT @most`

// issue signs an access token of the session, which must be running. It lives ttl (zero:
// the installation's), but never past MaxTTL or the session.
func (m *Minter) issue(ctx context.Context, tx pgx.Tx, s opened, ttl time.Duration) (Token, error) {
	rows, _ := tx.Query(ctx, tenantsOfUserAllTenantsSQL, pgx.NamedArgs{"user_id": s.User, "chosen": s.Tenant, "most": mostTenants})
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
	if err != nil {
		return Token{}, fmt.Errorf("list the tenants of user %s: %w", s.User, err)
	}
	key, err := m.current(ctx, tx)
	if pg.NoRow(err) {
		return Token{}, fault.New(fault.Unavailable, "no signing key is in force; a server that starts makes one").Because(err)
	}
	if err != nil {
		return Token{}, err
	}
	now := time.Now()
	t := Token{ExpiresAt: m.until(now, ttl), Session: s.ID, User: s.User, Tenant: s.Tenant, Role: s.Role}
	if s.ExpiresAt.Before(t.ExpiresAt) {
		t.ExpiresAt = s.ExpiresAt.Truncate(time.Second)
	}
	t.Signed, err = key.sign(m.claims(t, s.Method, tenants, now))
	return t, err
}

// until is when a token that lives ttl from now ends; JWTs count whole seconds.
func (m *Minter) until(now time.Time, ttl time.Duration) time.Time {
	if ttl == 0 {
		ttl = m.config.TTL
	}
	return now.Add(min(ttl, MaxTTL)).Truncate(time.Second)
}

// claims are what Hasura reads (hasura.io/jwt/claims): the role list is an array, every
// other value a string, a list of ids a Postgres array literal.
func (m *Minter) claims(t Token, method Method, tenants []id.Tenant, now time.Time) jwt.MapClaims {
	ids := make([]string, len(tenants))
	for i, tenant := range tenants {
		ids[i] = tenant.String()
	}
	hasura := map[string]any{
		"x-hasura-allowed-roles": []session.Role{t.Role},
		"x-hasura-default-role":  t.Role,
		"x-hasura-user-id":       t.User.String(),
		"x-hasura-session-id":    t.Session.String(),
		"x-hasura-tenant-ids":    "{" + strings.Join(ids, ",") + "}",
	}
	if !t.Tenant.IsZero() {
		hasura["x-hasura-tenant-id"] = t.Tenant.String()
	}
	all := jwt.MapClaims{
		"iss": m.config.Issuer, "aud": m.config.Audience, "sub": t.User.String(),
		"jti": uuid.NewString(), "sid": t.Session.String(),
		"iat": now.Add(-backdate).Unix(), "exp": t.ExpiresAt.Unix(),
		hasuraClaims: hasura,
	}
	if method == ByImpersonation {
		hasura["x-hasura-impersonator"] = impersonator
		all["act"] = acting{Sub: impersonator}
	}
	return all
}
