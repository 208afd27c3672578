package tokens

import (
	"net/http"
	"time"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/signin"
	"github.com/nself/tenancy/internal/tenant"
)

// signInPage serves GET /auth/sign-in.
func (d *door) signInPage(v *visit) error {
	d.pages.show(v.w, http.StatusOK, "sign-in", view{Host: v.at.host, RedirectTo: v.in["redirect_to"], Tenant: v.in["tenant"]})
	return nil
}

// askLink serves POST /auth/link. What it answers, and what it does, is the same for
// every address.
func (d *door) askLink(v *visit) error {
	asked, err := d.ask(v)
	if err != nil {
		return d.askAgain(v, err)
	}
	d.jar.set(v.w, browserName, asked.Browser, asked.ExpiresIn)
	if v.wantsPage() {
		d.pages.show(v.w, http.StatusAccepted, "asked", view{
			Host: v.at.host, Email: v.in["email"], Code: asked.Code, Minutes: int(asked.ExpiresIn / time.Minute),
		})
		return nil
	}
	wire.Reply(v.w, http.StatusAccepted, map[string]any{"code": asked.Code, "expires_in": int(asked.ExpiresIn.Seconds())})
	return nil
}

func (d *door) ask(v *visit) (signin.Asked, error) {
	if err := d.sameOrigin(v); err != nil { // the cookie would bind the reader's browser to a stranger's link
		return signin.Asked{}, err
	}
	email, err := v.in.need("email")
	if err != nil {
		return signin.Asked{}, err
	}
	at, err := d.linkTenant(v)
	if err != nil {
		return signin.Asked{}, err
	}
	return d.Desk.AskLink(v.r.Context(), d.DB, signin.Asking{
		Email: email, Tenant: at, Host: v.at.tenant, RedirectTo: v.in["redirect_to"], Network: d.network(v),
	})
}

// linkTenant is the tenant a link is asked for. Which slugs are tenants shows at their
// hosts already, so one that is not in service is told.
func (d *door) linkTenant(v *visit) (id.Tenant, error) {
	if v.in["tenant"] == "" || !v.at.tenant.IsZero() {
		return d.chosen(v)
	}
	found, err := tenant.InService(v.r.Context(), d.DB, v.in["tenant"])
	return found.ID, err
}

// askAgain shows a browser the form once more, with what was wrong.
func (d *door) askAgain(v *visit, err error) error {
	f := fault.From(pg.Explain(err))
	if s := standingOf(err, f); v.wantsPage() && s.status < http.StatusInternalServerError {
		requestlog.Fault(v.r.Context(), f)
		challenge(v.w.Header(), s, f)
		d.pages.show(v.w, s.status, "sign-in", view{
			Host: v.at.host, Email: v.in["email"], RedirectTo: v.in["redirect_to"], Tenant: v.in["tenant"], Problem: sentence(f),
		})
		return nil
	}
	return err
}
