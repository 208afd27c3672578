package token

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Method is how a session came to be.
type Method string

// The methods, as auth.sessions knows them.
const (
	ByLink          Method = "link"
	ByExchange      Method = "exchange"
	ByKey           Method = "api_key"
	ByOperator      Method = "operator"
	ByImpersonation Method = "impersonation"
)

// opened is a session in the database.
type opened struct {
	ID        id.Session
	Family    id.Session
	Tenant    id.Tenant // zero: none is chosen
	User      id.User
	Role      session.Role
	Method    Method
	ExpiresAt time.Time
}

// opening is a session to be.
type opening struct {
	user   id.User
	tenant id.Tenant
	method Method
	family id.Session    // zero: its own
	agent  string        // what the browser says it is
	reason string        // of an impersonation
	lasts  time.Duration // from the database's now
	until  *time.Time    // instead of lasts, where not nil
}

// Every row that is written for a user holds the user's, and who deletes a user has that
// row first: so it is the first here too.
const keepUserSQL = `SELECT FROM auth.users WHERE id = @user_id FOR KEY SHARE`

// A session is a part of its membership, so the member is locked next: whoever removes
// a member holds that row and then asks for the tenant's.
const holdMemberSQL = `
SELECT FROM tenants.tenant_members WHERE tenant_id = @tenant_id AND user_id = @user_id FOR KEY SHARE`

// belongs reads the role of the user in the tenant, which is in service, and holds the
// three for the transaction, in the order of all locks. The fault is that of member.OfUser.
func belongs(ctx context.Context, tx pgx.Tx, tenant id.Tenant, user id.User) (session.Role, error) {
	args := pgx.NamedArgs{"tenant_id": tenant, "user_id": user}
	if _, err := tx.Exec(ctx, keepUserSQL, args); err != nil {
		return "", fmt.Errorf("lock user %s: %w", user, err)
	}
	if tenant.IsZero() {
		return session.User, nil
	}
	if _, err := tx.Exec(ctx, holdMemberSQL, args); err != nil {
		return "", fmt.Errorf("lock the membership of user %s: %w", user, err)
	}
	membership, err := member.OfUser(ctx, tx, tenant, user)
	return membership.Role.Session(), err
}

const insertSessionSQL = `
INSERT INTO auth.sessions (id, family_id, method, tenant_id, user_id, role, user_agent, reason, expires_at)
VALUES (@id, @family_id, @method, @tenant_id, @user_id, @role, @user_agent, nullif(@reason, ''),
	coalesce(@until, now() + make_interval(secs => @lasts)))
RETURNING expires_at`

// start opens a session for a user in this role, which belongs or the caller has proved.
func start(ctx context.Context, tx pgx.Tx, o opening, role session.Role) (opened, error) {
	s := opened{ID: id.New[id.Session](), Family: o.family, Tenant: o.tenant, User: o.user, Role: role, Method: o.method}
	if s.Family.IsZero() {
		s.Family = s.ID
	}
	var err error
	s.ExpiresAt, err = pg.Scalar[time.Time](ctx, tx, insertSessionSQL, pgx.NamedArgs{
		"id": s.ID, "family_id": s.Family, "method": string(s.Method), "tenant_id": s.Tenant, "user_id": s.User,
		"role": string(s.Role), "user_agent": printable(o.agent, 300), "reason": o.reason, "until": o.until, "lasts": o.lasts.Seconds(),
	})
	switch pg.Constraint(err) {
	case "sessions_user_id_fkey":
		return opened{}, fault.New(fault.NotFound, "there is no user %s", o.user)
	case "sessions_member_fkey":
		return opened{}, fault.New(fault.NotFound, "user %s is no member of tenant %s", o.user, o.tenant)
	}
	if err != nil {
		return opened{}, fmt.Errorf("open a session: %w", err)
	}
	return s, nil
}

// printable is what of a client's text the database keeps: no control characters, and
// at most so many characters.
func printable(text string, most int) string {
	kept := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
	return string(kept[:min(len(kept), most)])
}

// SignIn is a user who proved who they are.
type SignIn struct {
	User      id.User
	Tenant    id.Tenant // zero: none is chosen, the role is user
	Method    Method    // ByLink or ByExchange
	UserAgent string    // what the browser says it is; 300 characters are kept
}

// Open begins a family of sessions with its first one, a refresh token included. A user
// who is no member of the tenant, a tenant out of service and no such tenant are the
// same not-found.
func (m *Minter) Open(ctx context.Context, db pg.DB, actor session.Session, in SignIn) (Token, error) {
	if in.Method != ByLink && in.Method != ByExchange {
		return Token{}, fmt.Errorf("%q is no way to sign in; give ByLink or ByExchange", in.Method)
	}
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		role, err := belongs(ctx, tx, in.Tenant, in.User)
		if err != nil {
			return err
		}
		o := opening{user: in.User, tenant: in.Tenant, method: in.Method, agent: in.UserAgent, lasts: m.config.SessionTTL}
		s, err := start(ctx, tx, o, role)
		if err != nil {
			return err
		}
		if minted, err = m.issue(ctx, tx, s, 0); err != nil {
			return err
		}
		if minted.Refresh, err = m.firstRefresh(ctx, tx, s); err != nil {
			return err
		}
		return audit.Append(ctx, tx, actor, s.entry("sign_in"))
	})
	return forgetOn(err, minted)
}

// entry is the audit row of a session that was opened.
func (s opened) entry(action string) audit.Entry {
	return audit.Entry{Tenant: s.Tenant, Action: action, Target: "session:" + s.ID.String(), After: map[string]any{
		"user_id": s.User, "role": s.Role, "method": s.Method, "family_id": s.Family, "expires_at": s.ExpiresAt,
	}}
}

// forgetOn hands out no token of a transaction that failed.
func forgetOn(err error, t Token) (Token, error) {
	if err != nil {
		return Token{}, err
	}
	return t, nil
}
