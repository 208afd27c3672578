package engine_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/nself/tenancy/internal/local/engine"
	"github.com/nself/tenancy/internal/local/engine/qerr"
)

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// TestRecordedJWTCases replays what Hasura's own tests expect.
func testRecordedJWTCases(t *testing.T, s *stand) {
	text, err := os.ReadFile("testdata/fixtures/jwt/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Source string
		Claims jwt.MapClaims
		Expect json.RawMessage
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Source, func(t *testing.T) {
			key := s.key
			if c.Source == "server/tests-py/test_jwt.py test_jwt_invalid_signature" {
				key = stranger
			}
			token, err := jwt.NewWithClaims(jwt.SigningMethodES256, c.Claims).SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			got := s.graphql(t, bearer(token), `{ __typename }`, nil)
			var expect struct{ Errors json.RawMessage }
			if string(c.Expect) == `"ok"` {
				if len(got.Errors) > 0 {
					t.Errorf("refused: %v", got.Errors)
				}
				return
			}
			if err := json.Unmarshal(c.Expect, &expect); err != nil {
				t.Fatal(err)
			}
			compareJSON(t, expect.Errors, got.Errors)
		})
	}
}

func claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"x-hasura-allowed-roles": []string{"member", "owner"}, "x-hasura-default-role": "member",
		"x-hasura-tenant-id": acme, "x-hasura-user-id": anna,
	}
	maps.Copy(all, changes)
	return all
}

func testTokensAreRefusedInHasurasWords(t *testing.T, s *stand) {
	at := func(offset time.Duration) int64 { return time.Now().Add(offset).Unix() }
	good := claims(nil)
	const verify = "Could not verify JWT: "
	for name, c := range map[string]struct {
		header        http.Header
		code, message string
	}{
		"nothing":           {http.Header{}, qerr.InvalidHeaders, "Missing 'Authorization' or 'Cookie' header in JWT authentication mode"},
		"not bearer":        {http.Header{"Authorization": {"Basic eA=="}}, qerr.InvalidHeaders, "Malformed Authorization header"},
		"not a token":       {bearer("x.y"), qerr.InvalidJWT, verify + "JWSError (CompactDecodeError Invalid token)"},
		"wrong secret":      {http.Header{"X-Hasura-Admin-Secret": {"no"}}, qerr.AccessDenied, `invalid "x-hasura-admin-secret"/"x-hasura-access-key"`},
		"expired":           {bearer(s.token(t, good, jwt.MapClaims{"exp": at(-time.Second)})), qerr.InvalidJWT, verify + "JWTExpired"},
		"not yet valid":     {bearer(s.token(t, good, jwt.MapClaims{"nbf": at(time.Minute)})), qerr.InvalidJWT, verify + "JWTNotYetValid"},
		"issued in future":  {bearer(s.token(t, good, jwt.MapClaims{"iat": at(5 * time.Second)})), qerr.InvalidJWT, verify + "JWTIssuedAtFuture"},
		"other audience":    {bearer(s.token(t, good, jwt.MapClaims{"aud": "other"})), qerr.InvalidJWT, verify + "JWTNotInAudience"},
		"other issuer":      {bearer(s.token(t, good, jwt.MapClaims{"iss": "other"})), qerr.InvalidJWT, verify + "JWTNotInIssuer"},
		"claim not string":  {bearer(s.token(t, claims(map[string]any{"X-Hasura-Level": 3}), nil)), qerr.JWTInvalidClaims, "x-hasura-level claims should be a string, but found a number"},
		"roles not a list":  {bearer(s.token(t, claims(map[string]any{"x-hasura-allowed-roles": "member"}), nil)), qerr.JWTInvalidClaims, "invalid x-hasura-allowed-roles; should be a list of roles"},
		"default not one":   {bearer(s.token(t, claims(map[string]any{"x-hasura-default-role": "guest"}), nil)), qerr.AccessDenied, "Your requested role is not in allowed roles"},
		"no claims at all":  {bearer(s.token(t, nil, nil)), qerr.JWTInvalidClaims, "claims key: 'https://hasura.io/jwt/claims' not found"},
		"role of the heart": {http.Header{"Authorization": {"Bearer " + s.token(t, good, nil)}, "X-Hasura-Role": {"admin"}}, qerr.AccessDenied, "Your requested role is not in allowed roles"},
	} {
		t.Run(name, func(t *testing.T) { s.fails(t, c.header, `{ __typename }`, c.code, c.message) })
	}
}

func testSymmetricAndUnsignedTokensAreRefused(t *testing.T, s *stand) {
	content := jwt.MapClaims{"https://hasura.io/jwt/claims": claims(nil)}
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, content).SignedString([]byte("guess"))
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, content).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{forged, unsigned} {
		s.fails(t, bearer(token), `{ __typename }`, qerr.InvalidJWT, "Could not verify JWT: JWSError JWSInvalidSignature")
	}
}

func testAbsentClaimsAreNotChecked(t *testing.T, s *stand) {
	for _, registered := range []jwt.MapClaims{
		{}, // no exp, iss, aud: Hasura lets it pass for ever
		{"aud": []string{"else", "tenancy"}, "iss": "https://issuer.test", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix()},
	} {
		s.data(t, bearer(s.token(t, claims(nil), registered)), `{ tenants { slug } }`, `{"tenants":[{"slug":"acme"}]}`)
	}
}

func testTokenBearerChoosesOnlyTheRole(t *testing.T, s *stand) {
	header := bearer(s.token(t, claims(map[string]any{"X-HASURA-Tenant-Ids": "{" + acme + "}", "x-hasura-role": "admin"}), nil))
	header.Set("X-Hasura-Role", "owner")
	header.Set("X-Hasura-Tenant-Id", techco)
	header.Set("X-Hasura-Tenant-Ids", "{"+techco+"}")
	header.Set("X-Hasura-Use-Backend-Only-Permissions", "true")
	s.data(t, header, `{ tenants { slug } members { role } }`, `{"tenants":[{"slug":"acme"}],"members":[{"role":"owner"},{"role":"member"}]}`)
}

func TestEveryKeyOfTheSetIsTriedAndOnlyFittingAlgorithms(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rivest, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	useless, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	url := serveJSON(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: useless.Public(), KeyID: "same"}, // no use: dropped
		{Key: p256.Public(), KeyID: "same", Use: "sig"},
		{Key: edwards.Public(), KeyID: "same", Use: "sig"},
		{Key: rivest.Public(), KeyID: "same", Use: "enc"},
	}})
	s := newStand(t, options{change: func(c *engine.Config) { c.JWKSURL = url }})
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		key    any
		ok     bool
	}{
		"ES256": {jwt.SigningMethodES256, p256, true}, "EdDSA": {jwt.SigningMethodEdDSA, edwards, true},
		"RS512": {jwt.SigningMethodRS512, rivest, true}, "PS256": {jwt.SigningMethodPS256, rivest, false},
		"key without use": {jwt.SigningMethodRS256, useless, false},
	} {
		token := jwt.NewWithClaims(c.method, jwt.MapClaims{"https://hasura.io/jwt/claims": claims(nil)})
		token.Header["kid"] = "another"
		text, err := token.SignedString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.graphql(t, bearer(text), `{ __typename }`, nil); (len(got.Errors) == 0) != c.ok {
			t.Errorf("%s: %v", name, got.Errors)
		}
	}
}

func TestWithoutJWKSOnlyTheSecretOpens(t *testing.T) {
	s := newStand(t, options{change: func(c *engine.Config) { c.JWKSURL = "" }})
	s.fails(t, s.as(t, "member", acme, anna), `{ __typename }`, qerr.AccessDenied, "x-hasura-admin-secret/x-hasura-access-key required, but not found")
	s.data(t, asAdmin(), `{ __typename }`, `{"__typename":"query_root"}`)
}
