// Package signin is how people prove who they are: by a one-time link sent to their
// address, or by the token of an identity provider that is trusted here. It finds or makes
// the person (identity), opens a session (token) in the tenant that was asked for and no
// other, and bounds what strangers may try (rate). It owns auth.sign_in_links. Whether an
// address is known or invited here shows in nothing it answers before the link was
// followed, neither in words nor in work done.
package signin

import (
	"context"
	"time"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/provider"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// LinkLife is how long a sign-in link is good.
const LinkLife = 15 * time.Minute

// Providers verifies the tokens of the identity providers that are trusted here. A token
// that is not good is an invalid-grant fault.
type Providers interface {
	Verify(ctx context.Context, token string) (provider.Identity, error)
}

// Config is what an installation decides about signing in.
type Config struct {
	Outbox     *queue.Outbox // nil: no mail can be sent, so there are no links
	Minter     *token.Minter
	Providers  Providers // nil: none is trusted
	PublicURL  string    // where /auth is reached without a tenant: scheme, host and port, checked by internal/config
	BaseDomain string    // a tenant's host is <slug>.<BaseDomain>, with PublicURL's scheme and port
	SignUp     bool      // whether an address nobody has yet may sign in uninvited
}

// Desk signs people in. It is safe for concurrent use.
type Desk struct {
	config Config
	site   Site
}

// New makes a Desk.
func New(config Config) *Desk {
	return &Desk{config: config, site: NewSite(config.PublicURL, config.BaseDomain)}
}

// signer is the actor of a sign-in before it is known who signs in.
func signer(requestID string) session.Session {
	return session.Session{Role: session.User, RequestID: requestID}
}

// VerifyPath is where a sign-in link leads.
const VerifyPath = "/auth/verify"

// maySignUp says whether somebody new may be made of an address: where sign-up is open,
// anybody's; else that of whoever is invited to the tenant, or with the zero tenant to any.
func (d *Desk) maySignUp(ctx context.Context, db pg.DB, tenant id.Tenant, email string) (bool, error) {
	if d.config.SignUp {
		return true, nil
	}
	return member.Invited(ctx, db, tenant, email)
}
