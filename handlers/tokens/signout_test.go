package tokens_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
)

func TestSigningOutWorksWhereTheTokenIsGoodForNothingElse(t *testing.T) {
	w := newWorld(t, nil)
	for everywhere, want := range map[string][2]float64{"false": {1, 1}, "true": {2, 0}} {
		t.Run("everywhere="+everywhere, func(t *testing.T) {
			team := pgtest.NewTeam(t, w.db)
			email := w.email(t, team.Member)
			byCookie, byBody := w.program(public), w.exchange(t, public, email, "tenant", team.Slug)
			byCookie.grant(t, "grant_type", "exchange", "subject_token", w.vouched(t, email), "tenant", team.Slug, "cookie", "true")
			inside := pgtest.Operator
			inside.Tenant = team.ID
			_, err := tenant.Suspend(t.Context(), w.db, inside, "")
			check(t, err)
			const running = `SELECT count(*) FROM auth.sessions WHERE tenant_id = $1 AND ended_at IS NULL`
			if n := w.count(t, running, team.ID); n != 2 {
				t.Fatalf("%d sessions are running", n)
			}
			r := byCookie.request(http.MethodPost, "/auth/signout", formType, form("everywhere", everywhere))
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if got := answered(t, byCookie.send(r), http.StatusOK); got["ended"] != want[0] || byCookie.cookies[refreshKey] != "" {
				t.Errorf("by cookie: %v, %v", got, byCookie.cookies)
			}
			answer := w.program(public).post("/auth/signout", "refresh_token", text(byBody["refresh_token"]), "everywhere", everywhere)
			if got := answered(t, answer, http.StatusOK); got["ended"] != want[1] {
				t.Errorf("by the body: %v", got)
			}
			if n := w.count(t, running, team.ID); n != 0 {
				t.Errorf("%d sessions are running still", n)
			}
		})
	}
}

func TestSigningOutSpendsNoRefreshTokenOfAnotherTenantsHost(t *testing.T) {
	w := newWorld(t, nil)
	team, other := pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	got := w.exchange(t, public, w.email(t, team.Member), "tenant", team.Slug)
	there := w.program(other.Slug + ".example.com")
	if said := answered(t, there.post("/auth/signout", "refresh_token", text(got["refresh_token"])), http.StatusOK); said["ended"] != 0.0 {
		t.Errorf("%v", said)
	}
	w.program(public).grant(t, "grant_type", "refresh", "refresh_token", text(got["refresh_token"]))
}

// Of two cookies of one name one is older, of another path, or planted; nobody is told
// that they are signed out while either runs.
func TestSigningOutEndsWhatEveryCookieOfTheNameIsOf(t *testing.T) {
	w := newWorld(t, nil)
	const running = `SELECT count(*) FROM auth.sessions WHERE ended_at IS NULL`
	for everywhere, want := range map[string]float64{"false": 2, "true": 3} {
		first, second := w.exchange(t, public, "ann@example.org"), w.exchange(t, public, "bob@example.org")
		w.exchange(t, public, "ann@example.org") // in another browser
		b := w.browser(public)
		b.program = true
		r := b.request(http.MethodPost, "/auth/signout", formType, form("everywhere", everywhere))
		for _, value := range []string{text(first["refresh_token"]), "nsr_planted", text(second["refresh_token"]), text(first["refresh_token"]), ""} {
			r.AddCookie(&http.Cookie{Name: refreshKey, Value: value})
		}
		answer := b.send(r)
		if got := answered(t, answer, http.StatusOK); got["ended"] != want {
			t.Errorf("everywhere=%s: %v", everywhere, got)
		}
		if cleared := answer.Result().Cookies(); len(cleared) != 1 || cleared[0].Name != refreshKey || cleared[0].MaxAge >= 0 {
			t.Errorf("everywhere=%s: the answer sets %v", everywhere, cleared)
		}
		if n := w.count(t, running+` AND id IN ($1, $2)`, first["session_id"], second["session_id"]); n != 0 {
			t.Errorf("everywhere=%s: %d of the two run still", everywhere, n)
		}
		_, err := w.super.Exec(t.Context(), `DELETE FROM auth.sessions`)
		check(t, err)
	}
}

func TestTwoCookiesSignNobodyOutForAPageOfAnotherOrigin(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser(public)
	r := b.request(http.MethodPost, "/auth/signout", formType, "")
	r.Header.Set("Sec-Fetch-Site", "same-site")
	for range 2 {
		r.AddCookie(&http.Cookie{Name: refreshKey, Value: text(w.exchange(t, public, "ann@example.org")["refresh_token"])})
	}
	page(t, b.send(r), http.StatusForbidden)
	if n := w.count(t, `SELECT count(*) FROM auth.sessions WHERE ended_at IS NULL`); n != 2 {
		t.Errorf("%d sessions run", n)
	}
}

func TestCookiesWithoutEndAreNotLookedUp(t *testing.T) {
	w := newWorld(t, nil)
	b := w.program(public)
	r := b.request(http.MethodPost, "/auth/signout", formType, "")
	for i := range 17 {
		r.AddCookie(&http.Cookie{Name: refreshKey, Value: "nsr_" + strings.Repeat("a", 41) + strconv.Itoa(10+i)})
	}
	refused(t, b.send(r), http.StatusBadRequest, "invalid_request", "invalid-input")
}
