package tokens_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/nself/tenancy/handlers/tokens"
	"github.com/nself/tenancy/internal/pgtest"
)

var sixDigits = regexp.MustCompile(`<p class="code">([0-9]{6})</p>`)

// asked asks for a link and is told the code.
func (b *browser) asked(t testing.TB, pairs ...string) (code string) {
	t.Helper()
	body := page(t, b.post("/auth/link", pairs...), http.StatusAccepted)
	found := sixDigits.FindStringSubmatch(body)
	if found == nil {
		t.Fatalf("no code in\n%s", body)
	}
	return found[1]
}

const openLinks = `SELECT count(*) FROM auth.sign_in_links WHERE used_at IS NULL`

func TestABrowserSignsInAndOutWithNothingButThisServer(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser(public)
	page(t, b.get("/auth/sign-in"), http.StatusOK, `action="/auth/link"`, `type="email"`)
	b.signIn(t, "ann@example.org")
	if b.cookies[linkKey] != "" {
		t.Error("the link's cookie stays although the link is used")
	}
	before := b.cookies[refreshKey]
	b.program = true
	first := b.grant(t, "grant_type", "refresh_token")
	if first["refresh_token"] != nil || b.cookies[refreshKey] == before || first["role"] != "user" || first["tenant_id"] != nil || first["expires_in"].(float64) < 800 {
		t.Errorf("%v with the cookies %v", first, b.cookies)
	}
	who := answered(t, b.bearing(text(first["access_token"]), http.MethodGet, "/auth/session"), http.StatusOK)
	if who["session_id"] != first["session_id"] || who["user_id"] != first["user_id"] || who["method"] != "link" || who["tenant_id"] != nil {
		t.Errorf("%v is not %v", who, first)
	}
	b.program = false
	page(t, b.post("/auth/signout"), http.StatusOK, "You are signed out")
	if b.cookies[refreshKey] != "" {
		t.Error("the cookie stays")
	}
	b.program = true
	refused(t, b.bearing(text(first["access_token"]), http.MethodGet, "/auth/session"), http.StatusUnauthorized, "invalid_token", "session-ended")
	if got := answered(t, b.post("/auth/signout"), http.StatusOK); got["ended"] != 0.0 {
		t.Errorf("%v", got)
	}
}

func TestAProgramSignsInByLinkAndCode(t *testing.T) {
	w := newWorld(t, nil)
	asking, other := w.program(public), w.program(public)
	r := asking.request(http.MethodPost, "/auth/link", jsonType, `{"email":"ann@example.org","redirect_to":"/x"}`)
	told := answered(t, asking.send(r), http.StatusAccepted)
	if told["expires_in"] != 900.0 || len(told) != 2 {
		t.Fatalf("%v", told)
	}
	secret := w.link(t).Query().Get("token")
	needed := refused(t, other.post("/auth/token", "grant_type", "link", "token", secret), http.StatusBadRequest, "invalid_grant", "wrong-code")
	if needed["codeNeeded"] != true || needed["triesLeft"] != 5.0 {
		t.Errorf("%v", needed)
	}
	got := other.grant(t, "grant_type", "link", "token", secret, "code", text(told["code"]))
	if !strings.HasPrefix(text(got["refresh_token"]), "nsr_") || got["token_type"] != "Bearer" || len(other.cookies) != 0 {
		t.Errorf("%v, %v", got, other.cookies)
	}
	refused(t, other.post("/auth/token", "grant_type", "link", "token", secret, "code", text(told["code"])), http.StatusBadRequest, "invalid_grant", "link-ended")
	again := other.grant(t, "grant_type", "refresh", "refresh_token", text(got["refresh_token"]))
	if again["refresh_token"] == got["refresh_token"] || again["session_id"] != got["session_id"] {
		t.Errorf("%v", again)
	}
}

func TestALinkIsWorthNothingElsewhereWithoutTheCode(t *testing.T) {
	w := newWorld(t, nil)
	asking, stranger := w.browser(public), w.browser(public)
	code := asking.asked(t, "email", "ann@example.org")
	link := w.link(t).RequestURI()
	for range 3 { // a mail scanner, a preview, a curious eye
		body := page(t, stranger.get(link), http.StatusOK, "Type the code", `name="token"`)
		if strings.Contains(body, `action="/auth/verify?`) || strings.Contains(body, "href=") {
			t.Errorf("the page leads on:\n%s", body)
		}
		stranger.program = true
		refused(t, stranger.get(link), http.StatusBadRequest, "invalid_grant", "wrong-code")
		stranger.program = false
	}
	for name, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch"} {
		r := asking.request(http.MethodGet, link, "", "")
		r.Header.Set(name, value)
		page(t, asking.send(r), http.StatusForbidden, "ahead of time")
	}
	head := asking.send(asking.request(http.MethodHead, link, "", ""))
	if head.Code != http.StatusMethodNotAllowed || head.Header().Get("Allow") != "GET, POST" || w.count(t, openLinks) != 1 {
		t.Fatalf("HEAD: %d %v, %d links open", head.Code, head.Header(), w.count(t, openLinks))
	}
	secret := w.link(t).Query().Get("token")
	page(t, stranger.get(link+"&code="+code), http.StatusOK, "Type the code")
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	page(t, stranger.post("/auth/verify", "token", secret, "code", wrong), http.StatusBadRequest, `role="alert"`)
	page(t, stranger.post("/auth/verify", "token", secret, "code", code), http.StatusOK, "ann@example.org")
	page(t, asking.get(link), http.StatusBadRequest, "That did not work", `href="/auth/sign-in"`)
}

func TestSigningInLeadsOnOnlyWithinTheInstallation(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	b := w.browser(public)
	for _, target := range []string{
		"//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "https://" + public + "@evil.example",
		"https://no-such-tenant.example.com/", "https://evil.example/" + public,
	} {
		page(t, b.post("/auth/link", "email", "ann@example.org", "redirect_to", target), http.StatusBadRequest, `role="alert"`)
		b.program = true
		refused(t, b.post("/auth/link", "email", "ann@example.org", "redirect_to", target), http.StatusBadRequest, "invalid_request", "invalid-input")
		b.program = false
	}
	for _, target := range []string{"/projects?a=b", "https://" + team.Slug + ".example.com/start"} {
		b.asked(t, "email", "ann@example.org", "redirect_to", target)
		if got := b.get(w.link(t).RequestURI()); got.Code != http.StatusSeeOther || got.Header().Get("Location") != target || b.cookies[refreshKey] == "" {
			t.Errorf("%s: %d %v", target, got.Code, got.Header())
		}
	}
	b.asked(t, "email", "ann@example.org", "redirect_to", "/x")
	_, err := w.super.Exec(t.Context(), `UPDATE auth.sign_in_links SET redirect_to = 'https://evil.example/' WHERE used_at IS NULL`)
	check(t, err)
	if got := b.get(w.link(t).RequestURI()); got.Code != http.StatusInternalServerError || got.Header().Get("Location") != "" {
		t.Errorf("what was planted in the table: %d %v", got.Code, got.Header())
	}
}

func TestALinkDoesNotLeadToWhereTheInstallationWas(t *testing.T) {
	w := newWorld(t, nil)
	b := w.browser(public)
	b.asked(t, "email", "ann@example.org", "redirect_to", "https://"+public+"/start")
	w.config.PublicURL, w.config.BaseDomain = "https://auth.example.net", "example.net"
	w.desk.PublicURL, w.desk.BaseDomain = w.config.PublicURL, w.config.BaseDomain
	w.open()
	b.host = "auth.example.net"
	page(t, b.get(w.link(t).RequestURI()), http.StatusOK, "You are signed in")
}

func TestKnownAndUnknownAddressesAreAnsweredAlike(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	vary := regexp.MustCompile(`[a-z0-9-]+@example\.(com|org)|nself_link=[A-Za-z0-9_-]+|[0-9]{6}`) // an address may begin with six digits
	for _, program := range []bool{true, false} {
		for _, host := range []string{public, team.Slug + ".example.com"} {
			seen := map[string]bool{}
			for _, email := range []string{w.email(t, team.Owner), "nobody@example.org"} {
				b := w.browser(host)
				b.program = program
				seen[vary.ReplaceAllString(outcome(b.post("/auth/link", "email", email)), "…")] = true
			}
			if len(seen) != 1 {
				t.Errorf("at %s they differ: %v", host, seen)
			}
		}
	}
}

func TestAskingTooOftenIsRefusedWithATimeToWait(t *testing.T) {
	w := newWorld(t, nil)
	b := w.program(public)
	var last *httptest.ResponseRecorder
	for range 6 {
		last = b.post("/auth/link", "email", "ann@example.org")
	}
	body := refused(t, last, http.StatusTooManyRequests, "temporarily_unavailable", "too-many-requests")
	if body["retryAfter"].(float64) < 1 || last.Header().Get("Retry-After") == "" {
		t.Errorf("%v %v", body, last.Header())
	}
	b.program = false
	page(t, b.post("/auth/link", "email", "ann@example.org"), http.StatusTooManyRequests, `role="alert"`, `value="ann@example.org"`)
}

func TestCookiesAreAsStrictAsTheSchemeAllows(t *testing.T) {
	for scheme, prefix := range map[string]string{"https": "__Host-", "http": ""} {
		w := newWorld(t, func(c *tokens.Config) { c.PublicURL = scheme + "://" + public })
		b := w.browser(public)
		asked := b.post("/auth/link", "email", "ann@example.org")
		followed := b.get(w.link(t).RequestURI())
		for name, answer := range map[string]*httptest.ResponseRecorder{"nself_link": asked, "nself_refresh": followed} {
			var found *http.Cookie
			for _, cookie := range answer.Result().Cookies() {
				if cookie.Name == prefix+name {
					found = cookie
				}
			}
			if found == nil || !found.HttpOnly || found.Secure != (scheme == "https") || found.SameSite != http.SameSiteLaxMode ||
				found.Path != "/" || found.Domain != "" || found.MaxAge <= 0 {
				t.Errorf("%s: %s is %+v", scheme, name, found)
			}
		}
	}
}
