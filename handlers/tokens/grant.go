package tokens

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// exchangeURN is RFC 8693's name of the grant, and accessURN that of what it yields.
const (
	exchangeURN = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessURN   = "urn:ietf:params:oauth:token-type:access_token"
)

// grants are what a token is given for, by grant_type.
var grants = map[string]func(*door, *visit) (token.Token, error){
	"link":          (*door).forLink,
	"exchange":      (*door).forSubject,
	exchangeURN:     (*door).forSubject,
	"refresh":       (*door).forRefresh,
	"refresh_token": (*door).forRefresh,
	"api_key":       (*door).forKey,
	"switch":        (*door).forSwitch,
}

func grantNames() []string { return slices.Sorted(maps.Keys(grants)) }

// granted is a token as it is answered.
type granted struct {
	AccessToken  string       `json:"access_token"`
	IssuedType   string       `json:"issued_token_type,omitempty"`
	TokenType    string       `json:"token_type"`
	ExpiresIn    int          `json:"expires_in"` // seconds
	RefreshToken string       `json:"refresh_token,omitempty"`
	SessionID    id.Session   `json:"session_id"`
	UserID       id.User      `json:"user_id"`
	TenantID     id.Tenant    `json:"tenant_id"`
	Role         session.Role `json:"role"`
	RedirectTo   string       `json:"redirect_to,omitempty"`
}

func grantedFrom(t token.Token) granted {
	return granted{
		AccessToken: t.Signed, TokenType: "Bearer", ExpiresIn: max(0, int(time.Until(t.ExpiresAt).Seconds())), RefreshToken: t.Refresh,
		SessionID: t.Session, UserID: t.User, TenantID: t.Tenant, Role: t.Role,
	}
}

// grantToken serves POST /auth/token.
func (d *door) grantToken(v *visit) error {
	name, err := v.in.need("grant_type")
	if err != nil {
		return err
	}
	serve, known := grants[name]
	if !known {
		return as(http.StatusBadRequest, "unsupported_grant_type",
			fault.New(fault.InvalidInput, "there is no grant_type %.60q; there are %s", name, strings.Join(grantNames(), ", ")))
	}
	byCookie, err := d.byCookie(v, strings.HasPrefix(name, "refresh"))
	if err != nil {
		return err
	}
	requestlog.Add(v.r.Context(), slog.String("grant", name))
	minted, err := serve(d, v)
	if err != nil {
		return err
	}
	answer := grantedFrom(minted)
	if byCookie && minted.Refresh != "" {
		d.jar.set(v.w, refreshName, minted.Refresh, d.jar.refreshTTL)
		answer.RefreshToken = ""
	}
	if name == exchangeURN {
		answer.IssuedType = accessURN
	}
	d.note(v, minted)
	return v.reply(answer)
}

// byCookie reports whether the refresh token goes out by cookie: because that was asked
// for, or because it came in by one. Both are for pages of this origin only.
func (d *door) byCookie(v *visit, refreshes bool) (bool, error) {
	wanted, err := v.in.flag("cookie")
	if err != nil {
		return false, err
	}
	if refreshes && v.in["refresh_token"] == "" {
		wanted = true
	}
	if !wanted {
		return false, nil
	}
	return true, d.sameOrigin(v)
}

// note tells the log whose sign-in it was.
func (d *door) note(v *visit, t token.Token) {
	if !t.Tenant.IsZero() {
		requestlog.Tenant(v.r.Context(), t.Tenant)
	}
	requestlog.Add(v.r.Context(), slog.String("role", string(t.Role)), slog.String("user_id", t.User.String()))
}

// elsewhere is the one answer to a token, or the wish for one, of another tenant than the
// host's.
func elsewhere() error {
	return fault.New(fault.WrongTenant, "this host is another tenant's; use the host of the tenant that is meant")
}
