package tokens_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/tenant"
)

func TestHostsThatAreNobodysAreAnsweredAlike(t *testing.T) {
	w := newWorld(t, nil)
	team, out := pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	inside := pgtest.Operator
	inside.Tenant = out.ID
	_, err := tenant.Suspend(t.Context(), w.db, inside, "")
	check(t, err)
	shapes := map[string]string{}
	for _, host := range []string{
		"nobody.example.com", out.Slug + ".example.com", team.ID.String() + ".example.com", "a." + team.Slug + ".example.com",
		"evil.example", team.Slug + ".example.com.evil.example", "evil.localhost",
	} {
		r := w.program(public).request(http.MethodGet, "/auth/session", "", "")
		r.Host = host
		answer := httptest.NewRecorder()
		w.router.ServeHTTP(answer, r)
		shapes[outcome(answer)] += host + " "
		if answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d", host, answer.Code)
		}
	}
	if len(shapes) != 1 {
		t.Errorf("they differ: %v", shapes)
	}
	for _, host := range []string{public, "AUTH.Example.com.:8443", "example.com", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "server:8080", team.Slug + ".EXAMPLE.com"} {
		r := w.program(public).request(http.MethodGet, "/auth/session", "", "")
		r.Host = host
		answer := httptest.NewRecorder()
		w.router.ServeHTTP(answer, r)
		refused(t, answer, http.StatusUnauthorized, "invalid_token", "invalid-token")
	}
}

func TestAPoisonedHostLeadsNowhere(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	b := w.program("localhost")
	r := b.request(http.MethodPost, "/auth/link", jsonType, `{"email":"ann@example.org"}`)
	r.Host = "localhost:1"
	for _, name := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "X-Forwarded-Server"} {
		r.Header.Set(name, team.Slug+".example.com")
	}
	r.Header.Set("Forwarded", "host=evil.example")
	r.Header.Set("X-Forwarded-Proto", "http")
	answered(t, b.send(r), http.StatusAccepted)
	if link := w.link(t); link.Scheme != "https" || link.Host != public {
		t.Errorf("the mail leads to %s", link)
	}
	there := w.program(team.Slug + ".example.com")
	answered(t, there.post("/auth/link", "email", "ann@example.org"), http.StatusAccepted)
	if link := w.link(t); link.Host != team.Slug+".example.com" {
		t.Errorf("the mail leads to %s", link)
	}
}

func TestSessionVariablesTypedByTheClientPlayNoPart(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	got := w.exchange(t, public, w.email(t, team.Member), "tenant", team.Slug)
	b := w.program(public)
	plain := answered(t, b.bearing(text(got["access_token"]), http.MethodGet, "/auth/session"), http.StatusOK)
	r := b.request(http.MethodGet, "/auth/session?x-hasura-role=admin", "", "")
	r.Header.Set("Authorization", "Bearer "+text(got["access_token"]))
	for name, value := range map[string]string{
		"X-Hasura-Role": "admin", "X-Hasura-User-Id": team.Owner.String(), "X-Hasura-Tenant-Id": pgtest.NewTeam(t, w.db).ID.String(),
		"X-Hasura-Session-Id": team.ID.String(), "X-Hasura-Admin-Secret": "x", "X-Tenant-Id": team.ID.String(), "X-Hasura-Impersonator": "operator",
	} {
		r.Header.Set(name, value)
	}
	if diff := cmp.Diff(plain, answered(t, b.send(r), http.StatusOK)); diff != "" || plain["role"] != "tenant_member" {
		t.Errorf("%v: %s", plain, diff)
	}
}

func TestATokenIsGoodAtItsOwnTenantsHostAlone(t *testing.T) {
	w := newWorld(t, nil)
	team, other := pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	here, there := team.Slug+".example.com", other.Slug+".example.com"
	email := w.email(t, team.Owner)
	got := w.exchange(t, here, email)
	access, refresh := text(got["access_token"]), text(got["refresh_token"])
	if got["tenant_id"] != team.ID.String() || got["role"] != "tenant_owner" {
		t.Fatalf("%v", got)
	}
	for host, status := range map[string]int{here: 200, public: 200, there: 403} {
		b := w.program(host)
		answer := b.bearing(access, http.MethodGet, "/auth/session")
		if status == 403 {
			refused(t, answer, 403, "access_denied", "wrong-tenant")
			refused(t, b.bearing(access, http.MethodPost, "/auth/signout"), 403, "access_denied", "wrong-tenant")
			refused(t, b.bearing(access, http.MethodPost, "/auth/token", "grant_type", "switch", "tenant", team.Slug), 403, "access_denied", "wrong-tenant")
			refused(t, b.post("/auth/token", "grant_type", "refresh", "refresh_token", refresh), 400, "invalid_grant", "invalid-grant")
			continue
		}
		answered(t, answer, status)
	}
	free := w.exchange(t, public, email)
	refused(t, w.program(here).bearing(text(free["access_token"]), http.MethodGet, "/auth/session"), 403, "access_denied", "wrong-tenant")
	refused(t, w.program(here).post("/auth/token", "grant_type", "exchange", "subject_token", w.vouched(t, email), "tenant", other.Slug), 403, "access_denied", "wrong-tenant")
	refused(t, w.program(here).post("/auth/link", "email", email, "tenant", other.Slug), 403, "access_denied", "wrong-tenant")
	renewed := w.program(here).grant(t, "grant_type", "refresh", "refresh_token", refresh)
	if renewed["tenant_id"] != team.ID.String() {
		t.Errorf("%v", renewed)
	}
}

func TestATenantOneHasNoPartInIsRefusedAsOneThatDoesNotExist(t *testing.T) {
	w := newWorld(t, nil)
	team, other := pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	email := w.email(t, team.Owner)
	got := w.exchange(t, public, email)
	b := w.program(public)
	said := map[string]int{}
	for _, ref := range []string{other.Slug, "no-such-tenant", other.ID.String(), "6f1f2d0c-54ee-4a07-9b7a-3c5cf9ac2f10"} {
		answer := b.post("/auth/token", "grant_type", "exchange", "subject_token", w.vouched(t, email), "tenant", ref)
		said["exchange"+outcome(answer)]++
		answer = b.bearing(text(got["access_token"]), http.MethodPost, "/auth/token", "grant_type", "switch", "tenant", ref)
		said["switch"+strings.ReplaceAll(outcome(answer), ref, "…")]++
	}
	if len(said) != 2 {
		t.Errorf("they differ: %v", said)
	}
	switched := answered(t, b.bearing(text(got["access_token"]), http.MethodPost, "/auth/token", "grant_type", "switch", "tenant", team.Slug), 200)
	if switched["tenant_id"] != team.ID.String() || switched["refresh_token"] == nil {
		t.Errorf("%v", switched)
	}
}

// elsewhere are the headers by which a browser tells that a page of another origin sends.
var elsewhere = []http.Header{
	{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}},
	{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.example.com"}}, // another tenant's host
	{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"null"}},
	{"Origin": {"https://evil.example"}}, {"Origin": {"https://evil.example.com"}}, {"Origin": {"null"}},
}

func TestAPageOfAnotherOriginDoesNothingInSomebodysName(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser(public)
	b.signIn(t, "ann@example.org")
	page(t, b.post("/auth/link", "email", "ann@example.org"), http.StatusAccepted)
	secret := w.link(t).Query().Get("token")
	kept := b.cookies[refreshKey]
	for _, header := range elsewhere {
		for target, body := range map[string]string{
			"/auth/token#refresh": form("grant_type", "refresh"), "/auth/signout": "", "/auth/signout#all": "everywhere=true",
			"/auth/link": form("email", "evil@example.org"), "/auth/verify": form("token", secret, "code", "123456"),
			"/auth/invitation":   form("token", "x"),
			"/auth/token#link":   form("grant_type", "link", "token", secret),
			"/auth/token#cookie": form("grant_type", "exchange", "subject_token", w.vouched(t, "evil@example.org"), "cookie", "true"),
		} {
			path, _, _ := strings.Cut(target, "#")
			r := b.request(http.MethodPost, path, formType, body)
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Del("Accept")
			for name, values := range header {
				r.Header[name] = values
			}
			answer := b.send(r)
			refused(t, answer, http.StatusForbidden, "access_denied", "forbidden")
			if len(answer.Result().Cookies()) > 0 || answer.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s with %v: %v", target, header, answer.Header())
			}
		}
	}
	sibling := b.request(http.MethodPost, "/auth/signout", formType, form("refresh_token", "nsr_x"))
	sibling.Header.Set("Sec-Fetch-Site", "same-site")
	page(t, b.send(sibling), http.StatusOK)
	if b.cookies[refreshKey] != kept || w.count(t, openLinks) != 1 {
		t.Error("something was done all the same")
	}
	page(t, b.get(w.link(t).RequestURI()), http.StatusOK, "You are signed in")
	r := w.program(public).request(http.MethodPost, "/auth/token", jsonType, `{"grant_type":"exchange","subject_token":"`+w.vouched(t, "ann@example.org")+`"}`)
	r.Header.Set("Origin", "https://app.example.org")
	answered(t, b.send(r), http.StatusOK)
}

func TestAPlantedCookieIsNotBelieved(t *testing.T) {
	w := newWorld(t, nil)
	evil, victim := w.browser(public), w.browser(public)
	page(t, evil.post("/auth/link", "email", "evil@example.org"), http.StatusAccepted)
	link, planted := w.link(t).RequestURI(), evil.cookies[linkKey]
	victim.cookies["nself_link"] = planted // what a sibling host may set: a plain name
	page(t, victim.get(link), http.StatusOK, "Type the code")

	plain := newWorld(t, func(c *tokens.Config) { c.PublicURL = "http://" + public })
	evil, victim = plain.browser(public), plain.browser(public)
	page(t, evil.post("/auth/link", "email", "evil@example.org"), http.StatusAccepted)
	link, planted = plain.link(t).RequestURI(), evil.cookies["nself_link"]
	page(t, victim.post("/auth/link", "email", "ann@example.org"), http.StatusAccepted)
	r := victim.request(http.MethodGet, link, "", "")
	r.Header.Set("Cookie", "nself_link="+planted+"; nself_link="+victim.cookies["nself_link"])
	page(t, victim.send(r), http.StatusOK, "Type the code")
	page(t, evil.get(link), http.StatusOK, "You are signed in")
}

func TestSigningInNeverGoesOnWithTheSessionThatWasThere(t *testing.T) {
	w := newWorld(t, nil)
	evil, victim := w.browser(public), w.browser(public)
	evil.signIn(t, "evil@example.org")
	victim.cookies[refreshKey] = evil.cookies[refreshKey]
	victim.signIn(t, "ann@example.org")
	if victim.cookies[refreshKey] == evil.cookies[refreshKey] {
		t.Error("the session of before was kept")
	}
	evil.program, victim.program = true, true
	one, two := evil.grant(t, "grant_type", "refresh"), victim.grant(t, "grant_type", "refresh")
	if one["user_id"] == two["user_id"] || one["session_id"] == two["session_id"] {
		t.Errorf("%v and %v", one, two)
	}
}

func TestASpentRefreshCookieShownLaterEndsTheFamilyAndIsForgotten(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser(public)
	b.signIn(t, "ann@example.org")
	stolen := b.cookies[refreshKey]
	b.program = true
	for range 2 { // while its successor is unspent, the answer may have been lost
		b.grant(t, "grant_type", "refresh")
	}
	if _, err := w.super.Exec(t.Context(), `UPDATE auth.refresh_tokens SET spent_at = spent_at - interval '11 seconds' WHERE spent_at IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
	thief := w.program(public)
	thief.cookies[refreshKey] = stolen
	for _, one := range []*browser{thief, b} {
		refused(t, one.post("/auth/token", "grant_type", "refresh"), http.StatusBadRequest, "invalid_grant", "invalid-grant")
		if one.cookies[refreshKey] != "" {
			t.Error("the cookie stays")
		}
	}
}

func TestEveryNetworkIsItsOwnAndNobodyChoosesTheirs(t *testing.T) {
	w := newWorld(t, func(c *tokens.Config) { c.TrustedProxies = nil })
	var last *httptest.ResponseRecorder
	for range 31 { // each says it comes from somewhere else
		b := w.program(public)
		last = b.post("/auth/link", "email", b.network+"@example.org")
	}
	refused(t, last, http.StatusTooManyRequests, "temporarily_unavailable", "too-many-requests")
}

func TestLongHeadersAndOddQueriesAreNoFaultOfOurs(t *testing.T) {
	w := newWorld(t, nil)
	b := w.program(public)
	for _, target := range []string{
		"/auth/verify", "/auth/verify?token=", "/auth/verify?token=a&token=b", "/auth/verify?token=%00", "/auth/verify?%zz", "/auth/verify?token=" + strings.Repeat("a", 60000),
		"/auth/verify?token=" + url.QueryEscape("'; DROP TABLE auth.users; --"), "/auth/invitation", "/auth/invitation?token=%ff", "/auth/nothing", "/auth/", "/auth/token/x",
	} {
		for _, program := range []bool{true, false} {
			b.program = program
			b.cookies = map[string]string{linkKey: strings.Repeat("x", 3000), refreshKey: "nsr_" + strings.Repeat("y", 43)}
			if got := b.get(target); got.Code >= 500 || got.Code == http.StatusOK && strings.Contains(got.Body.String(), "signed in as") {
				t.Errorf("%.60s: %d %.300s", target, got.Code, got.Body)
			}
		}
	}
	for _, value := range []string{"Bearer", "Bearer ", "Basic YTpi", "Bearer " + strings.Repeat("a", 60000), "Bearer nsk_x", "Bearer a.b.c", "Bearer \xff.\x00", "bearer nsk_abcdefgh_" + strings.Repeat("a", 43)} {
		r := b.request(http.MethodGet, "/auth/session", "", "")
		r.Header.Del("Accept")
		r.Header["Authorization"] = []string{value}
		got := httptest.NewRecorder()
		w.router.ServeHTTP(got, r)
		if got.Code != http.StatusUnauthorized || len(got.Body.Bytes()) > 1000 {
			t.Errorf("%.40q: %d %.200s", value, got.Code, got.Body)
		}
	}
}
