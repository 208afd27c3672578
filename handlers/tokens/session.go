package tokens

import (
	"net/http"
	"strings"
	"time"

	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// bearer is the token of the Authorization header (RFC 6750, section 2.1).
func bearer(r *http.Request) (string, error) {
	all := r.Header.Values("Authorization")
	if len(all) > 1 {
		return "", fault.New(fault.InvalidInput, "the header Authorization is there %d times", len(all))
	}
	scheme, value, _ := strings.Cut(strings.Join(all, ""), " ")
	if value = strings.TrimSpace(value); !strings.EqualFold(scheme, "Bearer") || value == "" {
		return "", fault.New(fault.InvalidToken, "send a token in the header Authorization, after the word Bearer")
	}
	return value, nil
}

// barred are the faults that make a bearer's token no good, whatever their standing
// elsewhere.
var barred = map[fault.Code]bool{
	fault.InvalidToken: true, fault.SessionEnded: true, fault.NotAMember: true, fault.RoleChanged: true,
	fault.TenantNotActive: true, fault.InvalidGrant: true,
}

// refuseBearer gives such a fault the standing of a token that is no good.
func refuseBearer(err error) error {
	if f := fault.From(err); f != nil && barred[f.Code] {
		return as(http.StatusUnauthorized, "invalid_token", f)
	}
	return err
}

// verified is who holds one of our access tokens.
func (d *door) verified(v *visit, raw string) (token.Caller, error) {
	caller, err := d.Verifier.Verify(v.r.Context(), raw)
	return caller, refuseBearer(err)
}

// keyMark is how an API key begins.
const keyMark = "nsk_"

// caller is who holds an access token or an API key. At a tenant's host it is the
// tenant's own.
func (d *door) caller(v *visit) (token.Caller, error) {
	raw, err := bearer(v.r)
	if err != nil {
		return token.Caller{}, err
	}
	var caller token.Caller
	if strings.HasPrefix(raw, keyMark) {
		caller, err = d.keyHolder(v, raw)
	} else {
		caller, err = d.verified(v, raw)
	}
	if err == nil && d.foreign(v, caller.Tenant) {
		err = elsewhere()
	}
	return caller, err
}

// keyHolder is who holds a key, which is as good here as where it gets a token.
func (d *door) keyHolder(v *visit, plain string) (token.Caller, error) {
	holder, err := apikey.Use(v.r.Context(), d.DB, plain)
	if err != nil {
		return token.Caller{}, refuseBearer(err)
	}
	return token.Caller{
		Session: session.Session{Role: holder.Role.Session(), User: holder.User, Tenant: holder.Tenant, ID: holder.Session},
		Method:  token.ByKey,
	}, nil
}

// known is who a caller is, as it is answered.
type known struct {
	UserID       id.User      `json:"user_id"`
	TenantID     id.Tenant    `json:"tenant_id"`
	Role         session.Role `json:"role"`
	SessionID    id.Session   `json:"session_id"`
	Method       token.Method `json:"method"`
	ExpiresAt    *time.Time   `json:"expires_at"` // of the token; null: an API key
	Impersonator string       `json:"impersonator,omitempty"`
}

// whoIsThis serves GET /auth/session.
func (d *door) whoIsThis(v *visit) error {
	caller, err := d.caller(v)
	if err != nil {
		return err
	}
	answer := known{
		UserID: caller.User, TenantID: caller.Tenant, Role: caller.Role, SessionID: caller.ID,
		Method: caller.Method, Impersonator: caller.Impersonator,
	}
	if !caller.ExpiresAt.IsZero() {
		at := caller.ExpiresAt.UTC()
		answer.ExpiresAt = &at
	}
	return v.reply(answer)
}
