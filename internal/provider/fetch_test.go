package provider

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/local/idp"
)

// serve answers every request alike and counts them.
func serve(t *testing.T, answer http.HandlerFunc) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestTheDiscoveryDocumentHasToBeTheIssuersOwn(t *testing.T) {
	w := newWorld(t)
	for name, document := range map[string]string{
		"another issuer":        `{"issuer": "https://evil.example", "jwks_uri": "` + w.Issuer() + idp.KeysPath + `"}`,
		"the issuer and a path": `{"issuer": "$/", "jwks_uri": "` + w.Issuer() + idp.KeysPath + `"}`,
		"no issuer":             `{"jwks_uri": "` + w.Issuer() + idp.KeysPath + `"}`,
		"no keys":               `{"issuer": "$"}`,
		"keys without https":    `{"issuer": "$", "jwks_uri": "http://keys.example/"}`,
		"keys in a file":        `{"issuer": "$", "jwks_uri": "file:///etc/passwd"}`,
		"no document":           `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, strings.ReplaceAll(document, "$", "http://"+r.Host))
			})
			w.trust(t, Config{Issuer: url, Audience: audience})
			before := w.keyFetches()
			w.wantFault(t, w.sign(t, map[string]any{"iss": url}, idp.Options{}), fault.Unavailable)
			if asked.Load() != 1 || w.keyFetches() != before {
				t.Errorf("asked %d times, keys fetched %d times", asked.Load(), w.keyFetches()-before)
			}
		})
	}
}

// scripted answers requests without a network.
type scripted func(*http.Request) (*http.Response, error)

func (s scripted) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func TestAProviderElsewhereDoesNotLeadToThisMachine(t *testing.T) {
	var asked []string
	client := newClient(scripted(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		body := `{"issuer": "https://login.example/", "jwks_uri": "http://127.0.0.1:8080/"}`
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}))
	_, _, err := source{issuer: "https://login.example/", client: client}.fetch(t.Context())
	if err == nil || !strings.Contains(err.Error(), "leads to this machine") {
		t.Errorf("error: %v", err)
	}
	if got := strings.Join(asked, " "); got != "https://login.example/.well-known/openid-configuration" {
		t.Errorf("asked: %s", got)
	}
}

func TestRedirectsAreFollowedWithinOneHostOnly(t *testing.T) {
	w := newWorld(t)
	elsewhere, asked := serve(t, func(http.ResponseWriter, *http.Request) {})
	moved, _ := serve(t, func(answer http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(answer, r, elsewhere, http.StatusFound)
		case "/near":
			http.Redirect(answer, r, "/here", http.StatusFound)
		case "/round":
			http.Redirect(answer, r, "/round", http.StatusFound)
		default:
			_ = json.NewEncoder(answer).Encode(w.Public())
		}
	})
	for path, good := range map[string]bool{"/near": true, "/away": false, "/round": false} {
		_, _, err := source{keysURL: moved + path, client: newClient(http.DefaultTransport)}.fetch(t.Context())
		if (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
	if asked.Load() != 0 {
		t.Error("the other host was asked")
	}
}

func TestAnswersThatAreNoKeysAreFailures(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"a page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"keys null": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":null}`) },
		"too many keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[`+strings.Repeat("{},", 100)+"{}]}")
		},
		"two megabytes": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), 2<<20)) },
		"an answer cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, "{")
		},
		"nothing, closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		url, _ := serve(t, answer)
		if keys, _, err := (source{keysURL: url, client: newClient(http.DefaultTransport)}).fetch(t.Context()); err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
}

func TestKeysAreCachedForAMinuteToADay(t *testing.T) {
	for control, want := range map[string]time.Duration{
		"":                                10 * time.Minute,
		"max-age=1200":                    20 * time.Minute,
		"public, Max-Age=1200, immutable": 20 * time.Minute,
		`max-age="1200"`:                  20 * time.Minute,
		"max-age=0":                       time.Minute,
		"max-age=99999999":                24 * time.Hour,
		"max-age=99999999999999999999":    10 * time.Minute,
		"max-age=-5":                      10 * time.Minute,
		"max-age":                         10 * time.Minute,
		"no-store":                        time.Minute,
		"max-age=1200, no-cache":          time.Minute,
		"s-maxage=5":                      10 * time.Minute,
	} {
		if got := freshFor(control); got != want {
			t.Errorf("%q: %s, want %s", control, got, want)
		}
	}
}

func TestOnlyKeysForSignaturesAreTaken(t *testing.T) {
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	n := base64.RawURLEncoding.EncodeToString(good.N.Bytes())
	small := base64.RawURLEncoding.EncodeToString(good.N.Bytes()[:128])
	for name, c := range map[string]struct {
		key   string
		taken bool
	}{
		"a plain key":             {`{"kty":"RSA","n":"$","e":"AQAB"}`, true},
		"for signatures":          {`{"kty":"RSA","n":"$","e":"AQAB","use":"sig","alg":"RS256","key_ops":["verify"]}`, true},
		"certificates are unread": {`{"kty":"RSA","n":"$","e":"AQAB","x5c":["nonsense"],"x5u":"http://evil.example"}`, true},
		"for encryption":          {`{"kty":"RSA","n":"$","e":"AQAB","use":"enc"}`, false},
		"for wrapping":            {`{"kty":"RSA","n":"$","e":"AQAB","key_ops":["wrapKey"]}`, false},
		"bound to encryption":     {`{"kty":"RSA","n":"$","e":"AQAB","alg":"RSA-OAEP"}`, false},
		"bound to HS256":          {`{"kty":"RSA","n":"$","e":"AQAB","alg":"HS256"}`, false},
		"small":                   {`{"kty":"RSA","n":"` + small + `","e":"AQAB"}`, false},
		"private":                 {`{"kty":"RSA","n":"$","e":"AQAB","d":"AQAB"}`, false},
		"a shared secret":         {`{"kty":"oct","k":"AQAB"}`, false},
		"off the curve":           {`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`, false},
		"of a type to come":       {`{"kty":"NEW"}`, false},
		"no object":               {`7`, false},
	} {
		known := jose.JSONWebKey{Key: &good.PublicKey, KeyID: "known"}
		other, err := json.Marshal(known)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := parseKeys(fmt.Appendf(nil, `{"keys":[%s,%s]}`, strings.ReplaceAll(c.key, "$", n), other))
		if err != nil || (len(keys) == 2) != c.taken || keys[len(keys)-1].id != "known" {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
}

func TestATokenWithoutAKeyIDNeedsTheOnlyKeyThatFits(t *testing.T) {
	w := newWorld(t)
	nameless := idp.Options{Header: map[string]any{"kid": nil}}
	w.mustVerify(t, w.sign(t, nil, nameless))
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := serve(t, func(answer http.ResponseWriter, _ *http.Request) {
		set := w.Public()
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: &other.PublicKey, KeyID: "other"})
		_ = json.NewEncoder(answer).Encode(set)
	})
	w.trust(t, Config{Issuer: w.Issuer(), Audience: audience, JWKSURL: url})
	w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	w.wantFault(t, w.sign(t, nil, nameless), fault.InvalidGrant)
}
