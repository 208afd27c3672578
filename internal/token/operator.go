package token

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// impersonator is who sits in the user's place: the one who may.
const impersonator = "operator"

// MaxImpersonation bounds how long the operator may sit in a user's place.
const MaxImpersonation = time.Hour

const (
	leastReason = 3
	mostReason  = 500
)

// Holder is whom the operator mints a token for.
type Holder struct {
	User   id.User
	Tenant id.Tenant     // zero: a token of role user
	TTL    time.Duration // zero: the installation's
}

// MintForOperator mints a token for any user. Its session ends with it.
func (m *Minter) MintForOperator(ctx context.Context, db pg.DB, actor session.Session, h Holder) (Token, error) {
	return m.once(ctx, db, once{actor: actor, holder: h, method: ByOperator, action: "mint_token"})
}

// Impersonation is a user whose place the operator takes, and why.
type Impersonation struct {
	Holder        // TTL at most MaxImpersonation
	Reason string // 3 to 500 characters, for the audit log and the user's tenant
}

// Impersonate mints a token with which the operator acts as a user, in sight: the claims
// say so, the session has the reason, and every row of the audit log names both.
func (m *Minter) Impersonate(ctx context.Context, db pg.DB, actor session.Session, in Impersonation) (Token, error) {
	if !actor.IsOperator() {
		return Token{}, fault.New(fault.Forbidden, "only the operator takes a user's place")
	}
	var problems fault.Problems
	reason := strings.TrimSpace(printable(in.Reason, len(in.Reason)))
	if n := utf8.RuneCountInString(reason); n < leastReason || n > mostReason {
		problems.Add("reason", "must have %d to %d characters; got %d", leastReason, mostReason, n)
	}
	if in.TTL < 0 || in.TTL > MaxImpersonation {
		problems.Add("ttlSeconds", "must be at most %.0f; got %.0f", MaxImpersonation.Seconds(), in.TTL.Seconds())
	}
	if err := problems.Fault(); err != nil {
		return Token{}, err
	}
	if in.TTL == 0 {
		in.TTL = min(m.config.TTL, MaxImpersonation)
	}
	return m.once(ctx, db, once{actor: actor, holder: in.Holder, method: ByImpersonation, reason: reason, action: "impersonate"})
}

// once is one access token, whose session ends with it.
type once struct {
	actor  session.Session
	holder Holder
	method Method
	reason string
	action string // for the audit log
}

func (m *Minter) once(ctx context.Context, db pg.DB, o once) (Token, error) {
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		role, err := belongs(ctx, tx, o.holder.Tenant, o.holder.User)
		if err != nil {
			return err
		}
		until := m.until(time.Now(), o.holder.TTL)
		s, err := start(ctx, tx, opening{user: o.holder.User, tenant: o.holder.Tenant, method: o.method, reason: o.reason, until: &until}, role)
		if err != nil {
			return err
		}
		if minted, err = m.issue(ctx, tx, s, o.holder.TTL); err != nil {
			return err
		}
		entry := s.entry(o.action)
		if o.reason != "" {
			entry.After["reason"] = o.reason
		}
		return audit.Append(ctx, tx, o.actor, entry)
	})
	return forgetOn(err, minted)
}
