package token

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// keyLasts is how long the session of an API key lasts that has no end of its own: it
// ends when the key is revoked.
const keyLasts = 100 * 365 * 24 * time.Hour

// KeySession is the identity of an API key, a member of the tenant already.
type KeySession struct {
	User      id.User
	Tenant    id.Tenant
	Role      session.Role // the member's
	ExpiresAt *time.Time   // nil: never
}

// OpenForKey opens the one session of an API key, in the transaction that makes the key.
// It leaves no row in the audit log: making the key does.
func (m *Minter) OpenForKey(ctx context.Context, tx pgx.Tx, actor session.Session, in KeySession) error {
	if in.Tenant != actor.Tenant {
		return fmt.Errorf("an API key of tenant %s is opened for tenant %s", in.Tenant, actor.Tenant)
	}
	return pg.AsServer(ctx, tx, func() error {
		_, err := start(ctx, tx, opening{user: in.User, tenant: in.Tenant, method: ByKey, until: in.ExpiresAt, lasts: keyLasts}, in.Role)
		return err
	})
}

const keySessionSQL = `
SELECT id, expires_at FROM auth.sessions
WHERE tenant_id = @tenant_id AND user_id = @user_id AND method = 'api_key' AND ended_at IS NULL AND expires_at > now()
ORDER BY created_at DESC LIMIT 1`

type keySession struct {
	ID        id.Session `db:"id"`
	ExpiresAt time.Time  `db:"expires_at"`
}

// MintForKey mints an access token of the session of the API key that this user is the
// identity of. No such session, an ended one and a tenant out of service are the same
// fault InvalidGrant. There is no refresh token: the key is one.
func (m *Minter) MintForKey(ctx context.Context, db pg.DB, tenant id.Tenant, user id.User) (Token, error) {
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		role, err := belongs(ctx, tx, tenant, user)
		if err != nil {
			return err
		}
		found, err := pg.One[keySession](ctx, tx, keySessionSQL, pgx.NamedArgs{"tenant_id": tenant, "user_id": user})
		if err != nil {
			return err
		}
		s := opened{ID: found.ID, Family: found.ID, Tenant: tenant, User: user, Role: role, Method: ByKey, ExpiresAt: found.ExpiresAt}
		minted, err = m.issue(ctx, tx, s, 0)
		return err
	})
	if fault.Is(err, fault.NotFound) || pg.NoRow(err) {
		return Token{}, fault.New(fault.InvalidGrant, "the API key is not good, or no longer").Because(err)
	}
	return forgetOn(err, minted)
}
