package tokens_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

// BenchmarkSignIn is the whole way through the doors, from an address to a token that
// says who it is, beside the minting of such a token alone.
func BenchmarkSignIn(b *testing.B) {
	w := newWorld(b, nil)
	ask := func(method, target string, form url.Values, headers map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
		r.Host, r.RemoteAddr = public, "192.0.2.1:1"
		r.Header.Set("Content-Type", formType)
		r.Header.Set("Accept", jsonType)
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		answer := httptest.NewRecorder()
		w.router.ServeHTTP(answer, r)
		return answer
	}
	rate := func(b *testing.B) float64 {
		b.Helper()
		perSecond := float64(b.N) / b.Elapsed().Seconds()
		b.ReportMetric(perSecond, "sign-ins/s")
		return perSecond
	}
	var minting float64
	b.Run("minting", func(b *testing.B) {
		user := pgtest.User(b, w.db)
		actor := session.Session{Role: session.User, User: user}
		for b.Loop() {
			if _, err := w.config.Minter.Open(b.Context(), w.db, actor, token.SignIn{User: user, Method: token.ByLink}); err != nil {
				b.Fatal(err)
			}
		}
		minting = rate(b)
	})
	n := 0
	b.Run("doors", func(b *testing.B) {
		for b.Loop() {
			n++
			from := map[string]string{"X-Forwarded-For": fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)}
			asked := ask(http.MethodPost, "/auth/link", url.Values{"email": {fmt.Sprintf("p%d@example.org", n)}}, from)
			answered(b, asked, http.StatusAccepted)
			from["Cookie"], _, _ = strings.Cut(asked.Header().Get("Set-Cookie"), ";")
			signed := answered(b, ask(http.MethodGet, w.link(b).RequestURI(), nil, from), http.StatusOK)
			who := ask(http.MethodGet, "/auth/session", nil, map[string]string{"Authorization": "Bearer " + text(signed["access_token"])})
			answered(b, who, http.StatusOK)
		}
		b.ReportMetric(minting/rate(b), "x-minting")
	})
}
