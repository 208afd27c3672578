package tokens_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// browser is somebody's browser, on pages of one host. A program is one that shows no
// pages.
type browser struct {
	w       *world
	host    string
	program bool
	cookies map[string]string
	network string
}

func (w *world) browser(host string) *browser {
	return &browser{w: w, host: host, cookies: map[string]string{}, network: uuid.NewString()}
}

func (w *world) program(host string) *browser {
	b := w.browser(host)
	b.program = true
	return b
}

func (b *browser) request(method, target, media, body string) *http.Request {
	r := httptest.NewRequest(method, "https://"+b.host+target, strings.NewReader(body))
	r.Header.Set("X-Forwarded-For", addressOf(b.network))
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if !b.program {
		r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// addressOf gives each browser an IPv6 network of its own.
func addressOf(name string) string {
	id := uuid.MustParse(name)
	id[0], id[1] = 0x20, 0x01
	return netip.AddrFrom16(id).String()
}

// send sends a request and keeps the cookies of the answer.
func (b *browser) send(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	b.w.router.ServeHTTP(answer, r)
	for _, cookie := range answer.Result().Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie.Value
		}
	}
	return answer
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.send(b.request(http.MethodGet, target, "", ""))
}

func (b *browser) post(target string, pairs ...string) *httptest.ResponseRecorder {
	return b.send(b.request(http.MethodPost, target, formType, form(pairs...)))
}

func form(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// bearing sends a request with an access token or key.
func (b *browser) bearing(bearer, method, target string, pairs ...string) *httptest.ResponseRecorder {
	media := ""
	if method == http.MethodPost {
		media = formType
	}
	r := b.request(method, target, media, form(pairs...))
	r.Header.Set("Authorization", "Bearer "+bearer)
	return b.send(r)
}

// grant asks for a token as a program does, and must get it.
func (b *browser) grant(t testing.TB, pairs ...string) map[string]any {
	t.Helper()
	r := b.request(http.MethodPost, "/auth/token", formType, form(pairs...))
	r.Header.Del("Accept")
	return answered(t, b.send(r), http.StatusOK)
}

// signIn signs somebody in by link, in this browser.
func (b *browser) signIn(t testing.TB, email string) {
	t.Helper()
	page(t, b.post("/auth/link", "email", email), http.StatusAccepted, email)
	page(t, b.get(b.w.link(t).RequestURI()), http.StatusOK, "You are signed in", email)
	if b.cookies[refreshKey] == "" {
		t.Fatalf("no refresh cookie: %v", b.cookies)
	}
}
