package tokens

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/fault"
)

// everyPage are all pages there are.
func everyPage(p *pages) []string {
	var names []string
	for _, t := range p.templates.Templates() {
		if name := t.Name(); name != "" && !strings.HasSuffix(name, ".html") && !slices.Contains([]string{"top", "bottom", "where", "wrong", "ask", "leave"}, name) {
			names = append(names, name)
		}
	}
	return names
}

const nasty = `"><script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1)`

func shown(t *testing.T, p *pages, name string, with view) string {
	t.Helper()
	w := httptest.NewRecorder()
	p.protect(w.Header())
	p.show(w, 200, name, with)
	return w.Body.String()
}

var (
	tags     = regexp.MustCompile(`<[^>]*>`)
	quoted   = regexp.MustCompile(`"[^"]*"`)
	loads    = regexp.MustCompile(`(?i)^<(script|img|iframe|object|link|base|meta http-equiv)|\s(on[a-z]+|style|src)=`)
	leads    = regexp.MustCompile(`(?:href|action)="([^"]*)"`)
	styles   = regexp.MustCompile(`(?s)<style>(.*)</style>`)
	labelled = regexp.MustCompile(`<label for="([a-z]+)">`)
	typed    = regexp.MustCompile(`<input id="([a-z]+)"`)
)

func TestPagesLoadNothingAndLeadNowhereElse(t *testing.T) {
	p := newPages("https://auth.example.com", "example.com")
	names := everyPage(p)
	if len(names) != 9 {
		t.Fatalf("pages: %v", names)
	}
	full := view{
		Host: nasty, Problem: nasty, Email: nasty, Code: nasty, Minutes: 15, Token: nasty, RedirectTo: nasty, Tenant: nasty,
		TenantName: nasty, TenantHost: nasty, Role: nasty, Outside: true,
	}
	for _, name := range names {
		for _, with := range []view{{}, full} {
			body := shown(t, p, name, with)
			bare := strings.ReplaceAll(body, styles.FindString(body), "")
			for _, tag := range tags.FindAllString(bare, -1) {
				if found := loads.FindString(quoted.ReplaceAllString(tag, `"…"`)); found != "" {
					t.Errorf("%s holds %q in %s", name, found, tag)
				}
			}
			for _, match := range leads.FindAllStringSubmatch(bare, -1) {
				if !strings.HasPrefix(match[1], "/auth/") || strings.Contains(match[1], "?") {
					t.Errorf("%s leads to %s", name, match[1])
				}
			}
			for _, field := range typed.FindAllStringSubmatch(bare, -1) {
				if !slices.ContainsFunc(labelled.FindAllStringSubmatch(bare, -1), func(l []string) bool { return l[1] == field[1] }) {
					t.Errorf("%s: the field %s has no label", name, field[1])
				}
			}
			if !strings.Contains(body, `<html lang="en">`) || !strings.Contains(body, "width=device-width") || strings.Count(body, "<h1>") != 1 {
				t.Errorf("%s is no whole page:\n%s", name, body)
			}
		}
	}
}

func TestTheStyleIsTheOneThePolicyAllows(t *testing.T) {
	p := newPages("http://auth.localhost:8080", "localhost:8080")
	w := httptest.NewRecorder()
	p.protect(w.Header())
	sum := sha256.Sum256([]byte(styles.FindStringSubmatch(shown(t, p, "sign-in", view{}))[1]))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self' http://auth.localhost:8080 http://*.localhost:8080; frame-ancestors 'none'; base-uri 'none'"
	for name, value := range map[string]string{
		"Content-Security-Policy": want, "Referrer-Policy": "same-origin", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		"Cache-Control": "no-store",
	} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestEveryFaultHasAPlaceInOAuth(t *testing.T) {
	words := []string{"invalid_request", "invalid_grant", "invalid_token", "access_denied", "temporarily_unavailable", "server_error"}
	for _, published := range fault.Codes {
		f := fault.New(published.Code, "said of %q\n\\ and ü", "x").With("retryAfter", 7)
		w := httptest.NewRecorder()
		s := standingOf(f, f)
		refuse(w, s, f)
		ours := published.Code == fault.Internal || published.Code == fault.Unavailable
		if !slices.Contains(words, s.word) || s.status < 400 || s.status >= 500 != ours || w.Header().Get("Retry-After") != "7" {
			t.Errorf("%s: %+v", published.Code, s)
		}
		if body := w.Body.String(); !strings.Contains(body, `"error_description":"said of 'x'?/ and ?"`) || !strings.Contains(body, `"code":"`+string(published.Code)+`"`) {
			t.Errorf("%s: %s", published.Code, body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (s.status == 401) != (challenge == `Bearer error="invalid_token", error_description="said of 'x'?/ and ?"`) {
			t.Errorf("%s: %q", published.Code, challenge)
		}
	}
}
