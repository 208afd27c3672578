// Package signin is how people prove who they are: by a one-time link sent to their
// address, or by the token of an identity provider that is trusted here. It finds or makes
// the person (identity), opens a session (token) in the tenant that was asked for and no
// other, and counts what strangers may try. It owns auth.sign_in_links and
// auth.rate_limits. Whether an address is known here shows in nothing it answers before
// the link was followed, neither in words nor in work done.
package signin

import (
	"context"
	"net/url"
	"time"

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
	SignUp     bool      // whether an address nobody has yet may sign in
}

// Desk signs people in. It is safe for concurrent use.
type Desk struct {
	config Config
	site   site
}

// New makes a Desk.
func New(config Config) *Desk {
	return &Desk{config: config, site: newSite(config.PublicURL, config.BaseDomain)}
}

// signer is the actor of a sign-in before it is known who signs in.
func signer(requestID string) session.Session {
	return session.Session{Role: session.User, RequestID: requestID}
}

const verifyPath = "/auth/verify"

// linkTo is the address of a link, at the tenant's host where there is a slug. It is made
// of settings and the database alone: whoever asks chooses no part of it.
func (s site) linkTo(slug, token string) string {
	at := s.public
	if slug != "" {
		at = s.scheme + "://" + slug + "." + s.base + s.port
	}
	return at + verifyPath + "?token=" + url.QueryEscape(token)
}
