package token

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
)

// refreshPrefix tells a refresh token to whoever finds one (scanners for secrets).
const refreshPrefix = "nsr_"

// grace is how long after it was spent a refresh token still gets its successor though
// that one was spent too: for tabs that refresh at once. Later it is a theft. While the
// successor is unspent its answer may have been lost, and there is no such end.
const grace = 10 * time.Second

// spelled reports whether the text could be a refresh token at all.
func spelled(text string) bool {
	return strings.HasPrefix(text, refreshPrefix) && len(text) == len(refreshPrefix)+base64.RawURLEncoding.EncodedLen(sha256.Size)
}

// next is the successor of a refresh token: the same whoever derives it, and no help to
// whoever has the token alone.
func (m *Minter) next(parent string) string {
	mac := hmac.New(sha256.New, m.successor)
	mac.Write([]byte(parent))
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const insertRefreshSQL = `
INSERT INTO auth.refresh_tokens (token_hash, tenant_id, session_id, user_id, expires_at)
VALUES (@hash, @tenant_id, @session_id, @user_id, least(now() + make_interval(secs => @lasts), @until))`

func (m *Minter) keepRefresh(ctx context.Context, tx pgx.Tx, s opened, plain string) error {
	_, err := tx.Exec(ctx, insertRefreshSQL, pgx.NamedArgs{
		"hash": secret.Hash(plain), "tenant_id": s.Tenant, "session_id": s.ID, "user_id": s.User,
		"lasts": m.config.RefreshTTL.Seconds(), "until": s.ExpiresAt,
	})
	if err != nil {
		return fmt.Errorf("keep a refresh token of session %s: %w", s.ID, err)
	}
	return nil
}

func (m *Minter) firstRefresh(ctx context.Context, tx pgx.Tx, s opened) (string, error) {
	plain := refreshPrefix + secret.New()
	return plain, m.keepRefresh(ctx, tx, s, plain)
}

// Refreshing is a refresh token that was shown.
type Refreshing struct {
	Token     string
	Host      id.Tenant // whose host it was shown at; zero: no tenant's
	RequestID string    // for the audit log
}

// notGood is the one answer to every refresh token that gets nothing.
func notGood() error {
	return fault.New(fault.InvalidGrant, "the refresh token is not good, or no longer; sign in again")
}

// errReused says that a token was shown again after its grace, and its successor was used.
type errReused struct{ owned }

func (errReused) Error() string { return "a spent refresh token was shown again" }

// Refresh spends a refresh token for an access token in the member's present role and
// the next refresh token. Whoever shows one token again gets the same successor: within
// ten seconds, and whenever it comes as long as that successor is unspent and in its
// time. One that is shown later ends its family, on record. Every refusal is the
// same InvalidGrant, for an unknown token as for a tenant out of service. At the host of
// another tenant than the session's it is refused unspent. It takes transactions of its
// own: db is a pool, or the end of a family is lost with the caller's.
func (m *Minter) Refresh(ctx context.Context, db pg.DB, in Refreshing) (Token, error) {
	if !spelled(in.Token) {
		return Token{}, notGood()
	}
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		minted, err = m.refresh(ctx, tx, in)
		return err
	})
	var reused errReused
	switch {
	case errors.As(err, &reused):
		if err := reused.reused(ctx, db, in.RequestID); err != nil {
			return Token{}, err
		}
		return Token{}, notGood()
	case fault.Is(err, fault.NotFound), pg.NoRow(err):
		return Token{}, notGood()
	}
	return forgetOn(err, minted)
}

// owned is whose a refresh token is.
type owned struct {
	Tenant  id.Tenant  `db:"tenant_id"`
	Session id.Session `db:"session_id"`
	User    id.User    `db:"user_id"`
}

const ownerAllTenantsSQL = `
SELECT tenant_id, session_id, user_id FROM auth.refresh_tokens WHERE token_hash = @hash`

// owner finds whose the token is. Shown at another tenant's host it is nobody's.
func (in Refreshing) owner(ctx context.Context, tx pgx.Tx) (owned, error) {
	of, err := pg.One[owned](ctx, tx, ownerAllTenantsSQL, pgx.NamedArgs{"hash": secret.Hash(in.Token)})
	switch {
	case pg.NoRow(err):
		return owned{}, notGood()
	case err != nil:
		return owned{}, fmt.Errorf("find a refresh token: %w", err)
	case !in.Host.IsZero() && !of.Tenant.IsZero() && of.Tenant != in.Host:
		return owned{}, notGood()
	}
	return of, nil
}

// refresh finds the owner without a lock and then locks in the order of all: the user, the
// member, the tenant, the session. All refreshes of a session go one after the other, so
// the token needs no lock of its own.
func (m *Minter) refresh(ctx context.Context, tx pgx.Tx, in Refreshing) (Token, error) {
	of, err := in.owner(ctx, tx)
	if err != nil {
		return Token{}, err
	}
	role, err := belongs(ctx, tx, of.Tenant, of.User)
	if err != nil {
		return Token{}, err
	}
	s, err := renew(ctx, tx, of, role)
	if err != nil {
		return Token{}, err
	}
	successor := m.next(in.Token)
	fresh, err := spend(ctx, tx, of, pgx.NamedArgs{
		"hash": secret.Hash(in.Token), "next": secret.Hash(successor), "grace": grace.Seconds(),
	})
	if err != nil {
		return Token{}, err
	}
	if fresh {
		if err := m.keepRefresh(ctx, tx, s, successor); err != nil {
			return Token{}, err
		}
	}
	minted, err := m.issue(ctx, tx, s, 0)
	minted.Refresh = successor
	return minted, err
}

const renewSQL = `
UPDATE auth.sessions SET role = @role, refreshed_at = now()
WHERE id = @session_id AND tenant_id IS NOT DISTINCT FROM @tenant_id AND ended_at IS NULL AND expires_at > now()
RETURNING family_id, method, expires_at`

type renewed struct {
	Family    id.Session `db:"family_id"`
	Method    Method     `db:"method"`
	ExpiresAt time.Time  `db:"expires_at"`
}

// renew notes the refresh in the session, whose row is locked by it. pgx.ErrNoRows: it
// has ended.
func renew(ctx context.Context, tx pgx.Tx, of owned, role session.Role) (opened, error) {
	r, err := pg.One[renewed](ctx, tx, renewSQL, pgx.NamedArgs{"session_id": of.Session, "tenant_id": of.Tenant, "role": string(role)})
	if err != nil {
		return opened{}, fmt.Errorf("renew session %s: %w", of.Session, err)
	}
	return opened{ID: of.Session, Family: r.Family, Tenant: of.Tenant, User: of.User, Role: role, Method: r.Method, ExpiresAt: r.ExpiresAt}, nil
}

const spendAllTenantsSQL = `
UPDATE auth.refresh_tokens r SET spent_at = coalesce(r.spent_at, now())
FROM auth.refresh_tokens was
WHERE was.token_hash = @hash AND r.token_hash = was.token_hash
RETURNING was.spent_at IS NULL AS fresh, was.spent_at > now() - make_interval(secs => @grace) AS in_grace, was.expires_at > now() AS in_time,
	EXISTS (SELECT FROM auth.refresh_tokens n WHERE n.token_hash = @next AND n.spent_at IS NULL AND n.expires_at > now()) AS awaited`

type spending struct {
	Fresh   bool  `db:"fresh"`
	InGrace *bool `db:"in_grace"`
	InTime  bool  `db:"in_time"`
	Awaited bool  `db:"awaited"` // its successor was made, and not used
}

// spend marks the token spent and reports whether it was not before. A spent one is good
// within its grace and while its successor is unused, and a reuse after both.
func spend(ctx context.Context, tx pgx.Tx, of owned, args pgx.NamedArgs) (fresh bool, err error) {
	was, err := pg.One[spending](ctx, tx, spendAllTenantsSQL, args)
	switch {
	case err != nil:
		return false, fmt.Errorf("spend a refresh token of session %s: %w", of.Session, err)
	case was.Fresh && !was.InTime:
		return false, notGood()
	case !was.Fresh && !*was.InGrace && !was.Awaited:
		return false, errReused{of}
	}
	return was.Fresh, nil
}
