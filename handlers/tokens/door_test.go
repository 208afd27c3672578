package tokens_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/pgtest"
)

func TestTheTokenEndpointRefusesInOAuthsShape(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		media, body string
		status      int
		word, code  string
	}{
		"no grant":             {formType, "token=x", 400, "invalid_request", "invalid-input"},
		"no body":              {"", "", 400, "invalid_request", "invalid-input"},
		"unknown grant":        {formType, "grant_type=password&username=a&password=b", 400, "unsupported_grant_type", "invalid-input"},
		"a grant in capitals":  {formType, "grant_type=REFRESH", 400, "unsupported_grant_type", "invalid-input"},
		"a grant twice":        {formType, "grant_type=refresh&grant_type=link", 400, "invalid_request", "invalid-input"},
		"a grant in the query": {formType, "", 400, "invalid_request", "invalid-input"},
		"no refresh token":     {formType, "grant_type=refresh", 400, "invalid_request", "invalid-input"},
		"no such refresh":      {formType, "grant_type=refresh_token&refresh_token=nsr_" + strings.Repeat("a", 43), 400, "invalid_grant", "invalid-grant"},
		"an odd refresh":       {formType, "grant_type=refresh_token&refresh_token=%27", 400, "invalid_grant", "invalid-grant"},
		"no subject":           {formType, "grant_type=exchange", 400, "invalid_request", "invalid-input"},
		"no key":               {jsonType, `{"grant_type":"api_key"}`, 400, "invalid_request", "invalid-input"},
		"no such key":          {jsonType, `{"grant_type":"api_key","api_key":"nsk_abcdefgh_x"}`, 400, "invalid_grant", "invalid-grant"},
		"no link":              {jsonType, `{"grant_type":"link"}`, 400, "invalid_request", "invalid-input"},
		"no such link":         {jsonType, `{"grant_type":"link","token":"x","code":"123456"}`, 400, "invalid_grant", "link-ended"},
		"switch, no bearer":    {jsonType, `{"grant_type":"switch","tenant":"acme"}`, 401, "invalid_token", "invalid-token"},
		"an odd flag":          {formType, "grant_type=refresh&cookie=yes", 400, "invalid_request", "invalid-input"},
		"not JSON":             {jsonType, `{"grant_type":`, 400, "invalid_request", "invalid-json"},
		"JSON, twice":          {jsonType, `{"grant_type":"link","grant_type":"refresh"}`, 400, "invalid_request", "invalid-json"},
		"a list":               {jsonType, `[]`, 400, "invalid_request", "invalid-json"},
		"text":                 {"text/plain", "grant_type=refresh", 415, "invalid_request", "unsupported-media-type"},
		"too large":            {formType, "grant_type=exchange&subject_token=" + strings.Repeat("a", 40_000), 413, "invalid_request", "payload-too-large"},
	} {
		b := w.browser(public) // what it accepts makes no difference
		answer := b.send(b.request(http.MethodPost, "/auth/token?grant_type=refresh", c.media, c.body))
		if body := refused(t, answer, c.status, c.word, c.code); strings.ContainsAny(text(body["error_description"]), "\"\\\n") {
			t.Errorf("%s: %s", name, answer.Body)
		}
	}
}

func TestEveryDoorTakesItsOwnMethodsAlone(t *testing.T) {
	w := newWorld(t, nil)
	for path, allowed := range map[string]string{
		"/auth/token": "POST", "/auth/link": "POST", "/auth/signout": "POST", "/auth/session": "GET", "/auth/sign-in": "GET",
		"/auth/verify": "GET, POST", "/auth/invitation": "GET, POST",
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			b := w.program(public)
			answer := b.send(b.request(method, path, "", ""))
			if strings.Contains(allowed, method) {
				if answer.Code == http.StatusMethodNotAllowed || answer.Code >= 500 {
					t.Errorf("%s %s: %d", method, path, answer.Code)
				}
				continue
			}
			refused(t, answer, http.StatusMethodNotAllowed, "invalid_request", "invalid-input")
			if got := answer.Header().Get("Allow"); got != allowed {
				t.Errorf("%s %s allows %q", method, path, got)
			}
		}
	}
}

func TestDiscoveryNamesWhatIsThere(t *testing.T) {
	w := newWorld(t, nil)
	b := w.program("hasuras-name-for.the.server.internal")
	got := answered(t, b.get("/.well-known/openid-configuration"), http.StatusOK)
	want := map[string]any{
		"issuer": "us", "jwks_uri": "https://auth.example.com/.well-known/jwks.json", "token_endpoint": "https://auth.example.com/auth/token",
		"grant_types_supported":                 []any{"api_key", "exchange", "link", "refresh", "refresh_token", "switch", "urn:ietf:params:oauth:grant-type:token-exchange"},
		"id_token_signing_alg_values_supported": []any{"ES256"}, "response_types_supported": []any{}, "subject_types_supported": []any{"public"},
		"token_endpoint_auth_methods_supported": []any{"none"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if keys := answered(t, b.get("/.well-known/jwks.json"), http.StatusOK)["keys"].([]any); len(keys) != 1 {
		t.Errorf("%v", keys)
	}
}

func TestAnAPIKeyGetsATokenAndSaysWhoItIs(t *testing.T) {
	w := newWorld(t, nil)
	team, other := pgtest.NewTeam(t, w.db), pgtest.NewTeam(t, w.db)
	key := w.key(t, team)
	b := w.program(public)
	got := b.grant(t, "grant_type", "api_key", "api_key", key.Plain, "cookie", "true")
	if got["tenant_id"] != team.ID.String() || got["role"] != "tenant_member" || got["refresh_token"] != nil || len(b.cookies) != 0 {
		t.Errorf("%v, %v", got, b.cookies)
	}
	who := answered(t, b.bearing(text(got["access_token"]), http.MethodGet, "/auth/session"), http.StatusOK)
	direct := answered(t, b.bearing(key.Plain, http.MethodGet, "/auth/session"), http.StatusOK)
	if who["method"] != "api_key" || direct["method"] != "api_key" || direct["user_id"] != who["user_id"] || direct["tenant_id"] != who["tenant_id"] || direct["role"] != who["role"] || direct["session_id"] == nil || direct["session_id"] != who["session_id"] {
		t.Errorf("%v and %v", who, direct)
	}
	there := w.program(other.Slug + ".example.com")
	refused(t, there.bearing(key.Plain, http.MethodGet, "/auth/session"), 403, "access_denied", "wrong-tenant")
	refused(t, there.post("/auth/token", "grant_type", "api_key", "api_key", key.Plain), 403, "access_denied", "wrong-tenant")
	refused(t, b.bearing(key.Plain, http.MethodPost, "/auth/token", "grant_type", "switch", "tenant", team.Slug), 401, "invalid_token", "invalid-token")
	refused(t, b.bearing(text(got["access_token"]), http.MethodPost, "/auth/token", "grant_type", "switch", "tenant", team.Slug), 403, "access_denied", "forbidden")
	refused(t, b.bearing(text(got["access_token"]), http.MethodPost, "/auth/signout"), 403, "access_denied", "forbidden")
	refused(t, b.bearing(key.Plain, http.MethodPost, "/auth/signout"), 401, "invalid_token", "invalid-token")
}

func TestSigningOutEverywhereEndsEverySession(t *testing.T) {
	w := newWorld(t, nil)
	one, two := w.exchange(t, public, "ann@example.org"), w.exchange(t, public, "ann@example.org")
	other := w.exchange(t, public, "bob@example.org")
	b := w.program(public)
	r := b.request(http.MethodPost, "/auth/signout", jsonType, `{"everywhere":true}`)
	r.Header.Set("Authorization", "Bearer "+text(one["access_token"]))
	if got := answered(t, b.send(r), http.StatusOK); got["ended"] != 2.0 {
		t.Errorf("%v", got)
	}
	refused(t, b.bearing(text(two["access_token"]), http.MethodGet, "/auth/session"), 401, "invalid_token", "session-ended")
	answered(t, b.bearing(text(other["access_token"]), http.MethodGet, "/auth/session"), http.StatusOK)
	if got := answered(t, b.post("/auth/signout", "refresh_token", text(other["refresh_token"])), http.StatusOK); got["ended"] != 1.0 {
		t.Errorf("%v", got)
	}
	refused(t, b.bearing(text(other["access_token"]), http.MethodGet, "/auth/session"), 401, "invalid_token", "session-ended")
	if got := answered(t, b.post("/auth/signout", "refresh_token", text(other["refresh_token"])), http.StatusOK); got["ended"] != 0.0 {
		t.Errorf("%v", got)
	}
}

func TestTheExchangeOfRFC8693IsAnsweredInItsWords(t *testing.T) {
	w := newWorld(t, nil)
	got := w.program(public).grant(t, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", w.vouched(t, "ann@example.org"),
		"subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
	if got["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" || got["token_type"] != "Bearer" {
		t.Errorf("%v", got)
	}
}

func TestAPanicAndAnOutageAreAnsweredInOAuthsShape(t *testing.T) {
	w := newWorld(t, nil)
	broken := w.config
	broken.Desk = nil
	w.router = w.mount(broken)
	b := w.program(public)
	answer := b.post("/auth/link", "email", "ann@example.org")
	body := refused(t, answer, http.StatusInternalServerError, "server_error", "internal")
	if strings.Contains(text(body["error_description"]), "nil") || !strings.Contains(w.logs.String(), "nil pointer") {
		t.Errorf("%v", body)
	}
	w.router = w.mount(w.config)
	w.db.Close()
	answer = b.post("/auth/token", "grant_type", "refresh", "refresh_token", "nsr_"+strings.Repeat("A", 43))
	if answer.Code < 500 || !json.Valid(answer.Body.Bytes()) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	b.program = false
	if answer = b.post("/auth/link", "email", "ann@example.org"); answer.Code < 500 || strings.Contains(answer.Body.String(), "closed pool") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestNoSecretOfSigningInIsLogged(t *testing.T) {
	w := newWorld(t, nil)
	team := pgtest.NewTeam(t, w.db)
	invitation := w.invite(t, team, "ann@example.org")
	b := w.browser(public)
	code := b.asked(t, "email", "ann@example.org")
	link := w.link(t)
	browserCookie := b.cookies[linkKey]
	page(t, w.browser(public).get(link.RequestURI()), http.StatusOK)
	page(t, w.browser(public).post("/auth/verify", "token", link.Query().Get("token"), "code", "x"+code), http.StatusBadRequest)
	page(t, b.get(link.RequestURI()), http.StatusOK)
	cookie := b.cookies[refreshKey]
	page(t, b.get("/auth/invitation?token="+invitation), http.StatusOK)
	page(t, b.post("/auth/invitation", "token", invitation), http.StatusOK)
	got := w.exchange(t, public, "bob@example.org")
	w.program(public).bearing(text(got["access_token"]), http.MethodGet, "/auth/session")
	w.program(public).bearing("nsk_abcdefgh_"+strings.Repeat("k", 43), http.MethodGet, "/auth/session?access_token="+text(got["access_token"]))
	w.program(public).post("/auth/token", "grant_type", "refresh", "refresh_token", text(got["refresh_token"]))
	page(t, b.post("/auth/signout"), http.StatusOK)
	w.db.Close()
	for _, target := range []string{"/auth/link", "/auth/token", "/auth/verify", "/auth/invitation", "/auth/signout"} {
		b.cookies[refreshKey] = cookie
		b.post(target, "email", "ann@example.org", "token", invitation, "code", code, "grant_type", "refresh", "refresh_token", text(got["refresh_token"]))
	}
	logged := w.logs.String()
	if strings.Count(logged, `"msg":"request"`) < 15 {
		t.Fatalf("logged:\n%s", logged)
	}
	for name, secret := range map[string]string{
		"code": `"` + code, "invitation": invitation, "link": link.Query().Get("token"), "browser": browserCookie, "cookie": cookie, "cookie now": b.cookies[refreshKey],
		"access": text(got["access_token"]), "refresh": text(got["refresh_token"]), "key": strings.Repeat("k", 43), "address": "ann@example.org", "address, escaped": "ann%40",
		"address of the other": "bob@example.org",
	} {
		if secret == "" || strings.Contains(logged, secret) {
			t.Errorf("%s %q is logged", name, secret)
		}
	}
}

func TestAnUnreadableBodyIsNoFaultOfOurs(t *testing.T) {
	w := newWorld(t, nil)
	r := httptest.NewRequest(http.MethodPost, "https://"+public+"/auth/token", &broken{})
	r.Header.Set("Content-Type", formType)
	r.ContentLength = 100
	answer := httptest.NewRecorder()
	w.router.ServeHTTP(answer, r)
	refused(t, answer, http.StatusBadRequest, "invalid_request", "invalid-input")
}

// broken is a body whose sender hangs up.
type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, http.ErrBodyReadAfterClose }
