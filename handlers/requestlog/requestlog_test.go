package requestlog_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
)

// logged is what the log holds after a request that serve answered.
func logged(r *http.Request, serve http.HandlerFunc) string {
	var logs bytes.Buffer
	requestlog.Middleware(slog.New(slog.NewJSONHandler(&logs, nil)))(serve).ServeHTTP(httptest.NewRecorder(), r)
	return logs.String()
}

func TestNoCredentialOfARequestIsLogged(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/auth/verify?token=in-the-query", strings.NewReader("code=in-the-body"))
	r.Header.Set("Authorization", "Bearer in-the-bearer")
	r.Header.Set("Cookie", "nself_refresh=in-the-cookie")
	r.Header.Set("Referer", "https://a.example/?token=in-the-referer")
	r.Header.Set("X-Request-Id", "not a plain word: in-the-id")
	text := logged(r, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if strings.Contains(text, "in-the-") || !strings.Contains(text, `"path":"/auth/verify"`) {
		t.Errorf("logged %s", text)
	}
}

func TestErrorsAreLoggedWithoutCredentialsAndAddresses(t *testing.T) {
	secrets := []string{
		"nsr_c2VjcmV0", "nsk_abcdefgh_c2VjcmV0", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
		"wJ0Vb2f3kq5cE7x1Yz9AaBbCcDdEeFfGgHhIiJjKkLl", "somebody@example.com", "o'neill@xn--bcher-kva.example",
	}
	for _, secret := range secrets {
		err := errors.New("insert (token_hash, email) = (" + secret + "): timeout on 127.0.0.1:5432")
		text := logged(httptest.NewRequest(http.MethodGet, "/", nil), func(_ http.ResponseWriter, r *http.Request) {
			requestlog.Fault(r.Context(), fault.New(fault.Internal, "no luck with %s", secret).Because(err))
			_ = requestlog.Panic(r.Context(), err)
		})
		if strings.Contains(text, secret) || strings.Count(text, "timeout on 127.0.0.1:5432") != 3 {
			t.Errorf("logged %s", text)
		}
	}
}
