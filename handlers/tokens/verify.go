package tokens

import (
	"net/http"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/identity"
	"github.com/nself/tenancy/internal/signin"
)

// followLink serves GET /auth/verify, which a mail leads to. The browser that asked is
// signed in; to any other the link is worth nothing without the code, so that what opens
// links to look at them (a mail scanner, a preview) spends nothing.
func (d *door) followLink(v *visit) error {
	if err := v.notAhead(); err != nil {
		return err
	}
	secret, err := v.in.need("token")
	if err != nil {
		return err
	}
	delete(v.in, "code") // a code is typed, never followed
	browser := d.jar.read(v.r, browserName)
	if browser == "" {
		return d.askCode(v, secret, fault.New(fault.WrongCode, "type the code that was shown where you asked for this link").With("codeNeeded", true))
	}
	return d.finish(v, secret, browser)
}

// proveLink serves POST /auth/verify: the code of a link. Signing in leaves a cookie
// behind, so it is for pages of this origin only.
func (d *door) proveLink(v *visit) error {
	if err := d.sameOrigin(v); err != nil {
		return err
	}
	secret, err := v.in.need("token")
	if err != nil {
		return err
	}
	return d.finish(v, secret, d.jar.read(v.r, browserName))
}

// finish signs in, or asks for the code.
func (d *door) finish(v *visit, secret, browser string) error {
	signed, err := d.Desk.UseLink(v.r.Context(), d.DB, d.using(v, secret, browser))
	if f := fault.From(err); f != nil && f.Code == fault.WrongCode {
		return d.askCode(v, secret, f)
	}
	if err != nil {
		return err
	}
	d.note(v, signed.Token)
	d.jar.set(v.w, refreshName, signed.Refresh, d.jar.refreshTTL)
	d.jar.clear(v, browserName)
	return d.welcome(v, signed)
}

// welcome tells whoever signed in that they did, or sends them where they wanted to go.
func (d *door) welcome(v *visit, signed signin.Signed) error {
	_, ours := d.site.Lead(signed.RedirectTo) // the installation may have moved since
	onward := ours && signed.RedirectTo != ""
	if !v.wantsPage() {
		answer := grantedFrom(signed.Token)
		answer.RefreshToken = "" // the browser has it in its cookie
		if onward {
			answer.RedirectTo = signed.RedirectTo
		}
		return v.reply(answer)
	}
	if onward {
		return v.goTo(signed.RedirectTo)
	}
	person, err := identity.ByID(v.r.Context(), d.DB, signed.User)
	if err != nil {
		return err
	}
	d.pages.show(v.w, http.StatusOK, "signed-in", view{
		Host: v.at.host, Email: person.Email, Role: roleWord(signed.Role), Outside: !v.at.tenant.IsZero() && signed.Tenant.IsZero(),
	})
	return nil
}

// askCode shows a browser the form for the code; the token is in the form and in no
// further address. A code that was wrong is a refusal, one that was not given yet is none.
func (d *door) askCode(v *visit, secret string, f *fault.Fault) error {
	if !v.wantsPage() {
		return f
	}
	shown := view{Host: v.at.host, Token: secret}
	status := http.StatusOK
	if f.Details["codeNeeded"] != true || v.in["code"] != "" {
		requestlog.Fault(v.r.Context(), f)
		status, shown.Problem = http.StatusBadRequest, sentence(f)
	}
	d.pages.show(v.w, status, "code", shown)
	return nil
}
