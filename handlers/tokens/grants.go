package tokens

import (
	"net/http"
	"strings"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/apikey"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// chosen is the tenant that a sign-in is for: the one that is named, else the host's, else
// none. At a tenant's host no other can be named. One that does not exist is asked for by
// an id that nobody has, so that words and work are those for a tenant one has no part in.
func (d *door) chosen(v *visit) (id.Tenant, error) {
	ref := v.in["tenant"]
	if !v.at.tenant.IsZero() {
		if ref != "" && ref != v.at.slug && !strings.EqualFold(ref, v.at.tenant.String()) {
			return id.Tenant{}, elsewhere()
		}
		return v.at.tenant, nil
	}
	if ref == "" {
		return id.Tenant{}, nil
	}
	return d.named(v, ref)
}

func (d *door) named(v *visit, ref string) (id.Tenant, error) {
	found, err := tenant.Resolve(v.r.Context(), d.DB, ref)
	if fault.Is(err, fault.NotFound) {
		return id.New[id.Tenant](), nil
	}
	return found, err
}

func (d *door) forSubject(v *visit) (token.Token, error) {
	subject, err := v.in.need("subject_token")
	if err != nil {
		return token.Token{}, err
	}
	in := signin.Exchanging{SubjectToken: subject, Network: d.network(v), UserAgent: v.r.UserAgent(), RequestID: requestlog.ID(v.r.Context())}
	if in.Tenant, err = d.chosen(v); err != nil {
		return token.Token{}, err
	}
	return d.Desk.Exchange(v.r.Context(), d.DB, in)
}

func (d *door) forRefresh(v *visit) (token.Token, error) {
	given := v.in["refresh_token"]
	byCookie := given == ""
	if byCookie {
		given = d.jar.read(v.r, refreshName)
	}
	if given == "" {
		return token.Token{}, fault.New(fault.InvalidInput, "the parameter refresh_token is missing, and so is its cookie")
	}
	minted, err := d.Minter.Refresh(v.r.Context(), d.DB, d.refreshing(v, given))
	if byCookie && fault.Is(err, fault.InvalidGrant) {
		d.jar.clear(v, refreshName)
	}
	return minted, err
}

func (d *door) refreshing(v *visit, refresh string) token.Refreshing {
	return token.Refreshing{Token: refresh, Host: v.at.tenant, RequestID: requestlog.ID(v.r.Context())}
}

// forLink is for programs; a browser that brings its cookie needs no code, so it must be
// on a page of ours.
func (d *door) forLink(v *visit) (token.Token, error) {
	secret, err := v.in.need("token")
	if err != nil {
		return token.Token{}, err
	}
	browser := d.jar.read(v.r, browserName)
	if browser != "" {
		if err := d.sameOrigin(v); err != nil {
			return token.Token{}, err
		}
	}
	signed, err := d.Desk.UseLink(v.r.Context(), d.DB, d.using(v, secret, browser))
	if err == nil {
		d.jar.clear(v, browserName)
	}
	return signed.Token, err
}

func (d *door) using(v *visit, secret, browser string) signin.Using {
	return signin.Using{
		Token: secret, Browser: browser, Code: v.in["code"], UserAgent: v.r.UserAgent(),
		RequestID: requestlog.ID(v.r.Context()), Host: v.at.tenant,
	}
}

func (d *door) forKey(v *visit) (token.Token, error) {
	plain, err := v.in.need("api_key")
	if err != nil {
		return token.Token{}, err
	}
	holder, err := apikey.Use(v.r.Context(), d.DB, plain)
	if err != nil {
		return token.Token{}, err
	}
	if d.foreign(v, holder.Tenant) {
		return token.Token{}, elsewhere()
	}
	return d.Minter.MintForKey(v.r.Context(), d.DB, holder.Tenant, holder.User)
}

// forSwitch is for whoever has chosen no tenant yet too, so a token without one is good at
// a tenant's host.
func (d *door) forSwitch(v *visit) (token.Token, error) {
	raw, err := bearer(v.r)
	if err != nil {
		return token.Token{}, err
	}
	caller, err := d.verified(v, raw)
	if err != nil {
		return token.Token{}, err
	}
	if !v.at.tenant.IsZero() && !caller.Tenant.IsZero() && caller.Tenant != v.at.tenant {
		return token.Token{}, elsewhere()
	}
	ref := v.in["tenant"]
	if ref == "" {
		ref = v.at.slug
	}
	if ref == "" {
		return token.Token{}, fault.New(fault.InvalidInput, "the parameter tenant is missing")
	}
	to, err := d.named(v, ref)
	switch {
	case err != nil:
		return token.Token{}, err
	case v.in["cookie"] == "true" && !v.at.tenant.IsZero() && to != v.at.tenant: // of no use here
		return token.Token{}, elsewhere()
	}
	minted, err := d.Minter.Switch(v.r.Context(), d.DB, v.by(caller.Session), to)
	if fault.Is(err, fault.NotFound) {
		return token.Token{}, as(http.StatusBadRequest, "invalid_grant", tenant.NotFound(ref))
	}
	return minted, err
}
