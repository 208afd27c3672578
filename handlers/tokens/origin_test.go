package tokens_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/pgtest"
)

// A browser at a plain http name, or an old one, says where a form was sent from by Origin
// alone.
func TestABrowserThatTellsItsOriginAloneSignsIn(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		w := newWorld(t, func(c *tokens.Config) { c.PublicURL = scheme + "://" + public })
		b := w.browser(public)
		form := page(t, b.get("/auth/sign-in"), http.StatusOK, `action="/auth/link"`)
		send := func(origin string) *httptest.ResponseRecorder {
			r := b.request(http.MethodPost, "/auth/link", formType, "email=ann%40example.org")
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", origin)
			return b.send(r)
		}
		if got := b.get("/auth/sign-in").Header().Get("Referrer-Policy"); got != "same-origin" {
			t.Errorf("under the policy %q browsers send the form with another origin than its own:\n%s", got, form)
		}
		page(t, send(scheme+"://"+public), http.StatusAccepted, "Look at your mail")
		for _, origin := range []string{"null", scheme + "://evil.example", scheme + "://evil.example.com", scheme + "://" + public + ".evil.example"} {
			page(t, send(origin), http.StatusForbidden, "another site")
		}
	}
}

func TestALinkAskedAtThePublicHostForATenantIsFollowedThereWithoutACode(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	b := w.browser(public)
	b.asked(t, "email", w.email(t, team.Admin), "tenant", team.Slug)
	if link := w.link(t); link.Host != public {
		t.Fatalf("the mail leads to %s", link.Host)
	}
	page(t, b.get(w.link(t).RequestURI()), http.StatusOK, "You are signed in", "admin")
	b.program = true
	if got := b.grant(t, "grant_type", "refresh"); got["tenant_id"] != team.ID.String() || got["role"] != "tenant_admin" {
		t.Errorf("%v", got)
	}
}
