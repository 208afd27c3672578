// Package tokens is the door for people and programs that want to be known here: signing
// in by link, by a provider's token, by an API key; refreshing, choosing a tenant, signing
// out; the pages that a browser needs for it; and what verifies this installation's
// tokens. It answers in OAuth's shapes (RFC 6749, 6750, 8693), and in pages where a
// browser asks for one. The host of a request decides the tenant. No page of another
// origin can use these doors in somebody's name: nothing here sends CORS headers.
package tokens

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/token"
)

// Config is what the doors need.
type Config struct {
	DB             *pgxpool.Pool // handlers.New fills it in
	Minter         *token.Minter
	Verifier       *token.Verifier
	Desk           *signin.Desk
	Issuer         string         // JWT_ISSUER
	PublicURL      string         // scheme, host and port, without a path; https makes cookies Secure
	BaseDomain     string         // a tenant's host is <slug>.<BaseDomain>
	RefreshTTL     time.Duration  // how long a browser keeps the refresh cookie
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Log            *slog.Logger   // handlers.New fills it in; nil: slog.Default()
}

// door is the Config made ready.
type door struct {
	Config
	hosts  hosts
	site   signin.Site
	jar    jar
	pages  *pages
	origin *http.CrossOriginProtection
	warned *sync.Once // of a proxy that is not trusted

	pageless bool // it answers programs alone, whatever they say they accept
}

// Mount adds the doors to a router.
func Mount(r chi.Router, c Config) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	d := &door{
		Config: c, hosts: newHosts(c.BaseDomain, c.PublicURL), site: signin.NewSite(c.PublicURL, c.BaseDomain), jar: newJar(c.PublicURL, c.RefreshTTL),
		pages: newPages(c.PublicURL, c.BaseDomain), origin: http.NewCrossOriginProtection(),
		warned: &sync.Once{},
	}
	programs := *d
	programs.pageless = true
	r.Get("/.well-known/jwks.json", JWKS(c.DB))
	r.Get("/.well-known/openid-configuration", d.discovery)
	r.Route("/auth", func(r chi.Router) {
		r.NotFound(d.get(func(*visit) error { return fault.New(fault.NotFound, "there is no such door below /auth") }))
		r.MethodNotAllowed(d.get(func(v *visit) error {
			v.w.Header().Set("Allow", strings.Join(methodsAt(r, v.r.URL.Path), ", "))
			return as(http.StatusMethodNotAllowed, "invalid_request", fault.New(fault.InvalidInput, "this door does not take %s", v.r.Method))
		}))
		r.Post("/token", programs.post(d.grantToken))
		r.Get("/session", programs.get(d.whoIsThis))
		r.Post("/signout", d.post(d.signOut))
		r.Get("/sign-in", d.get(d.signInPage))
		r.Post("/link", d.post(d.askLink))
		r.Get("/verify", d.get(d.followLink))
		r.Post("/verify", d.post(d.proveLink))
		r.Get("/invitation", d.get(d.showInvitation))
		r.Post("/invitation", d.post(d.acceptInvitation))
	})
}

// methodsAt are the methods a path below /auth takes.
func methodsAt(r chi.Routes, path string) []string {
	var found []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if r.Match(chi.NewRouteContext(), method, strings.TrimPrefix(path, "/auth")) {
			found = append(found, method)
		}
	}
	return found
}
