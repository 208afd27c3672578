package usage

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/session"
)

// secretHeader is where services of the installation show the webhook secret.
const secretHeader = "X-Webhook-Secret"

// sender is who sends: the server itself for a service of the installation. Whoever shows
// both the secret and a token is refused: a proxy that adds the secret to what it passes
// on would make a customer's request its own.
func (d door) sender(r *http.Request) (session.Session, error) {
	_, secret := r.Header[secretHeader]
	bearing := strings.TrimSpace(strings.Join(r.Header.Values("Authorization"), "")) != ""
	switch {
	case secret && bearing:
		return session.Session{}, fault.New(fault.InvalidInput, "send X-Webhook-Secret or Authorization, not both")
	case secret && d.HasSecret(r):
		return session.Session{Role: session.Server, RequestID: requestlog.ID(r.Context())}, nil
	case secret:
		return session.Session{}, fault.New(fault.BadWebhookSecret, "the header X-Webhook-Secret is wrong")
	}
	s, err := d.bearer(r)
	if err != nil {
		return session.Session{}, err
	}
	s.RequestID = requestlog.ID(r.Context())
	requestlog.Tenant(r.Context(), s.Tenant)
	requestlog.Add(r.Context(), slog.String("role", string(s.Role)), slog.String("user_id", s.User.String()))
	return s, mayRecord(s)
}

// keyMark is how an API key begins.
const keyMark = "nsk_"

// bearer is who holds the token of the Authorization header (RFC 6750, section 2.1).
func (d door) bearer(r *http.Request) (session.Session, error) {
	all := r.Header.Values("Authorization")
	scheme, value, _ := strings.Cut(strings.Join(all, ""), " ")
	if value = strings.TrimSpace(value); len(all) != 1 || !strings.EqualFold(scheme, "Bearer") || value == "" {
		return session.Session{}, fault.New(fault.InvalidToken, "send one access token or API key in the header Authorization, after the word Bearer, or the webhook secret in X-Webhook-Secret")
	}
	if strings.HasPrefix(value, keyMark) {
		holder, err := apikey.Use(r.Context(), d.DB, value)
		return session.Session{Role: holder.Role.Session(), User: holder.User, Tenant: holder.Tenant, ID: holder.Session}, err
	}
	caller, err := d.Verifier.Verify(r.Context(), value)
	return caller.Session, err
}

// mayRecord holds a bearer to what the action recordUsage asks.
func mayRecord(s session.Session) error {
	switch {
	case s.Impersonator != "":
		return fault.New(fault.Forbidden, "usage is not recorded in somebody's place: the token is held by the %s", s.Impersonator)
	case s.Tenant.IsZero():
		return fault.New(fault.TenantRequired, "the token names no tenant; get one that does")
	case s.Role != session.TenantOwner && s.Role != session.TenantAdmin && s.Role != session.Member:
		return fault.New(fault.Forbidden, "role %s may not record usage", s.Role)
	}
	return nil
}
