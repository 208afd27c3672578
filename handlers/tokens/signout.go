package tokens

import (
	"net/http"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// signOut serves POST /auth/signout: it ends the session of the bearer's token, or of the
// refresh token in the body or cookie, and with everywhere all of that person's. A refresh
// token that is no good is a session that has ended: nothing is left to do.
func (d *door) signOut(v *visit) error {
	everywhere, err := v.in.flag("everywhere")
	if err != nil {
		return err
	}
	actor, found, err := d.leaving(v)
	if err != nil {
		return err
	}
	var ended int64
	if found {
		ended, err = token.SignOut(v.r.Context(), d.DB, actor, token.SigningOut{Everywhere: everywhere})
		if err != nil && !fault.Is(err, fault.SessionEnded) {
			return err
		}
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

// leaving is who wants to sign out; found is false where nobody is signed in any more.
func (d *door) leaving(v *visit) (actor session.Session, found bool, err error) {
	if len(v.r.Header.Values("Authorization")) > 0 {
		raw, err := bearer(v.r)
		if err != nil {
			return session.Session{}, false, err
		}
		caller, err := d.verified(v, raw)
		if err == nil && d.foreign(v, caller.Tenant) {
			err = elsewhere()
		}
		return v.by(caller.Session), err == nil, err
	}
	refresh := v.in["refresh_token"]
	if refresh == "" {
		if err := d.sameOrigin(v); err != nil {
			return session.Session{}, false, err
		}
		refresh = d.jar.read(v.r, refreshName)
	}
	if refresh == "" {
		return session.Session{}, false, nil
	}
	minted, err := d.Minter.Refresh(v.r.Context(), d.DB, d.refreshing(v, refresh))
	if fault.Is(err, fault.InvalidGrant) {
		return session.Session{}, false, nil
	}
	return v.by(sessionOf(minted)), err == nil, err
}

// foreign reports whether a token's tenant is another than the host's. One without a
// tenant is foreign at every tenant's host.
func (d *door) foreign(v *visit, of id.Tenant) bool {
	return !v.at.tenant.IsZero() && of != v.at.tenant
}

func sessionOf(t token.Token) session.Session {
	return session.Session{Role: t.Role, User: t.User, Tenant: t.Tenant, ID: t.Session}
}
