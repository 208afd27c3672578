package tokens

import (
	"net/http"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/token"
)

// signOut serves POST /auth/signout: it ends the session of the bearer's token, or of the
// refresh token in the body or of every cookie that holds one, and with everywhere all of
// that person's. A refresh token that is no good is a session that has ended: nothing is
// left to do.
func (d *door) signOut(v *visit) error {
	everywhere, err := v.in.flag("everywhere")
	if err != nil {
		return err
	}
	ended, err := d.end(v, everywhere)
	if err != nil {
		return err
	}
	if d.sameOrigin(v) == nil {
		d.jar.clear(v, refreshName)
	}
	if v.wantsPage() {
		d.pages.show(v.w, http.StatusOK, "signed-out", view{Host: v.at.host})
		return nil
	}
	return v.reply(map[string]int64{"ended": ended})
}

// end ends the sessions and counts them.
func (d *door) end(v *visit, everywhere bool) (int64, error) {
	if len(v.r.Header.Values("Authorization")) > 0 {
		return d.endBearers(v, everywhere)
	}
	if refresh := v.in["refresh_token"]; refresh != "" {
		return d.endRefreshers(v, refresh, everywhere)
	}
	if err := d.sameOrigin(v); err != nil {
		return 0, err
	}
	return d.endCookies(v, everywhere)
}

// maxCookies bounds what one request may have looked up; an honest browser brings one.
const maxCookies = 16

// endCookies ends what each refresh cookie is of: of two none is believed when it comes to
// signing in, but whoever is told that they are signed out must be out of both.
func (d *door) endCookies(v *visit, everywhere bool) (ended int64, err error) {
	shown := d.jar.all(v.r, refreshName)
	if len(shown) > maxCookies {
		return 0, fault.New(fault.InvalidInput, "there are %d cookies of one name, and at most %d are looked at; delete this site's cookies", len(shown), maxCookies)
	}
	for _, refresh := range shown {
		one, err := d.endRefreshers(v, refresh, everywhere)
		if err != nil {
			return ended, err
		}
		ended += one
	}
	return ended, nil
}

func (d *door) endBearers(v *visit, everywhere bool) (int64, error) {
	raw, err := bearer(v.r)
	if err != nil {
		return 0, err
	}
	caller, err := d.verified(v, raw)
	if err != nil {
		return 0, err
	}
	if d.foreign(v, caller.Tenant) {
		return 0, elsewhere()
	}
	return token.SignOut(v.r.Context(), d.DB, v.by(caller.Session), token.SigningOut{Everywhere: everywhere})
}

// endRefreshers ends what a refresh token is of, also where the token is good for nothing
// else any more.
func (d *door) endRefreshers(v *visit, refresh string, everywhere bool) (int64, error) {
	return d.Minter.SignOutByRefresh(v.r.Context(), d.DB, token.SigningOutBy{Refreshing: d.refreshing(v, refresh), Everywhere: everywhere})
}

// foreign reports whether a token's tenant is another than the host's. One without a
// tenant is foreign at every tenant's host.
func (d *door) foreign(v *visit, of id.Tenant) bool {
	return !v.at.tenant.IsZero() && of != v.at.tenant
}
