// Package provider verifies JWTs of the identity providers that the operator trusts
// (RFC 7519, RFC 8725, OpenID Connect Core and Discovery), and says whom they stand for.
// It fetches the providers' public keys and caches them. It knows no users, tenants or
// roles: no claim of a provider ever becomes one.
//
// Keys are parsed by go-jose and signatures checked by golang-jwt; the cache between them
// is this package's own. keyfunc with jwkset renews at a fixed interval whatever the
// provider says, fetches at start, has callers with an unknown key id queue for its rate
// limit, bounds neither the size of an answer nor the age of keys it goes on using, and
// loses a whole set to one key it does not understand.
package provider

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
)

// Identity is whom a token stands for, in the words of its provider. Issuer and Subject
// together name a person for good; the address may change and may be another's before.
type Identity struct {
	Issuer        string
	Subject       string    // 1 to 255 bytes
	Email         string    // lower case; empty where the token has none, or none that is one
	EmailVerified bool      // the provider vouches that the address is the subject's
	Name          string    // one line for people to read; may be empty
	Tenant        id.Tenant // Config.Tenant of the provider
	JoinAs        string    // Config.JoinAs of the provider
}

// provider is one trusted issuer with one audience.
type provider struct {
	Config
	keys *keyring
}

// Set is the providers that are trusted. It is safe for concurrent use.
type Set struct {
	providers []provider
	now       func() time.Time
}

// New makes a set; an empty one refuses every token. Nothing is fetched yet, so a
// provider that is down keeps no server from starting. ctx ends the fetches that tokens
// set off. A config that Parse would not have passed is an invalid-input fault.
func New(ctx context.Context, configs []Config, log *slog.Logger) (*Set, error) {
	return newSet(ctx, configs, log, time.Now)
}

func newSet(ctx context.Context, configs []Config, log *slog.Logger, now func() time.Time) (*Set, error) {
	var problems fault.Problems
	configs = slices.Clone(configs)
	checkAll(configs, &problems)
	if err := problems.Fault(); err != nil {
		return nil, err
	}
	client := newClient(http.DefaultTransport)
	set := &Set{now: now}
	for _, config := range configs {
		source := source{issuer: config.Issuer, keysURL: config.JWKSURL, client: client}
		keys := &keyring{ctx: ctx, source: source, log: log.With("issuer", config.Issuer), now: now}
		set.providers = append(set.providers, provider{config, keys})
	}
	return set, nil
}

// Verify says whom a token stands for. A token that is not good is an invalid-grant
// fault, a provider whose keys cannot be had an unavailable one; neither repeats anything
// of the token. Keys are fetched only for a token that would be good if its signature is.
func (s *Set) Verify(ctx context.Context, token string) (Identity, error) {
	t, err := parse(token)
	if err != nil {
		return Identity{}, err
	}
	p, err := s.choose(t.claims)
	if err != nil {
		return Identity{}, err
	}
	if err := t.header.check(p.Algorithms); err != nil {
		return Identity{}, err
	}
	if err := t.claims.checkTimes(s.now()); err != nil {
		return Identity{}, err
	}
	identity, err := t.claims.identity(p.Config)
	if err != nil {
		return Identity{}, err
	}
	keys, err := p.keys.find(ctx, t.header.kid, t.header.algorithm)
	if err != nil {
		return Identity{}, err
	}
	method := jwt.GetSigningMethod(t.header.algorithm)
	for _, key := range keys {
		if method.Verify(t.signed, t.signature, key.public) == nil {
			return identity, nil
		}
	}
	return Identity{}, refuse("is not signed by its provider")
}

// choose finds the one provider that the token is from and meant for.
func (s *Set) choose(c claims) (provider, error) {
	issuer, err := c.text("iss")
	if err != nil {
		return provider{}, err
	}
	known := slices.DeleteFunc(slices.Clone(s.providers), func(p provider) bool { return p.Issuer != issuer })
	if len(known) == 0 {
		return provider{}, refuse("is from an issuer that is not trusted here")
	}
	audiences, err := c.audiences()
	if err != nil {
		return provider{}, err
	}
	party, err := c.text("azp")
	if err != nil {
		return provider{}, err
	}
	meant := slices.DeleteFunc(known, func(p provider) bool {
		return !slices.Contains(audiences, p.Audience) || len(audiences) > 1 && party != "" && party != p.Audience
	})
	switch len(meant) {
	case 0:
		return provider{}, refuse("is meant for another audience")
	case 1:
		return meant[0], nil
	}
	return provider{}, refuse("is meant for several audiences of this server; ask the provider for one with a single audience")
}

func refuse(why string) error {
	return fault.New(fault.InvalidGrant, "the provider's token %s", why)
}
