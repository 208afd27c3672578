package acceptance

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

const claimsKey = "https://hasura.io/jwt/claims"

// keySet fetches the published keys with a library that knows nothing of us.
func keySet(t *testing.T) jose.JSONWebKeySet {
	t.Helper()
	resp, err := client.Get(local.Get("SERVER_URL") + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if cache := resp.Header.Get("Cache-Control"); !strings.Contains(cache, "max-age=") {
		t.Errorf("Cache-Control is %q; without an age Hasura never fetches the keys again", cache)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&keys); err != nil || len(keys.Keys) == 0 {
		t.Fatalf("%d keys: %v", len(keys.Keys), err)
	}
	for _, k := range keys.Keys {
		if k.Use != "sig" || k.KeyID == "" || k.Algorithm != "ES256" || !k.Valid() || !k.IsPublic() {
			t.Errorf("key %q: use %q, alg %q, public %v", k.KeyID, k.Use, k.Algorithm, k.IsPublic())
		}
	}
	return keys
}

func verified(t *testing.T, token string) (jwt.MapClaims, map[string]any) {
	t.Helper()
	keys := keySet(t)
	claims := jwt.MapClaims{}
	parsed, err := jwt.ParseWithClaims(token, claims, func(tok *jwt.Token) (any, error) {
		kid, _ := tok.Header["kid"].(string)
		return keys.Key(kid)[0].Key, nil
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatal(err)
	}
	return claims, parsed.Header
}

func TestTokenCarriesTheClaimsHasuraReads(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, p := range append(h.people(), h.guest.signIn(t, "")) {
		claims, header := verified(t, p.token)
		for _, name := range []string{"iss", "aud", "exp", "iat"} {
			if claims[name] == nil {
				t.Errorf("the token of the %s lacks %s", p.role, name)
			}
		}
		issued, _ := claims.GetIssuedAt()
		if !issued.Before(time.Now()) || header["kid"] == nil {
			t.Errorf("iat %v is not set back, or no kid in %v", issued, header)
		}
		want := map[string]any{
			"x-hasura-allowed-roles": []any{p.role},
			"x-hasura-default-role":  p.role,
			"x-hasura-user-id":       p.id,
			"x-hasura-tenant-ids":    "{" + h.id + "}",
			"x-hasura-session-id":    claims["sid"],
		}
		if p.role != "user" {
			want["x-hasura-tenant-id"] = h.id
		}
		if diff := cmp.Diff(want, claims[claimsKey]); diff != "" {
			t.Errorf("claims of the %s (-want +got):\n%s", p.role, diff)
		}
	}
	if role := h.admin.role; role != "tenant_admin" {
		t.Errorf("a member of role admin became %q", role)
	}
}

// forge signs the same claims again, or others, with a method of the forger's.
func forge(t *testing.T, token string, method jwt.SigningMethod, key any, change func(header map[string]any, claims jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, claims)
	if err != nil {
		t.Fatal(err)
	}
	forged := jwt.NewWithClaims(method, claims)
	forged.Header["kid"] = parsed.Header["kid"]
	if change != nil {
		change(forged.Header, claims)
	}
	signed, err := forged.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestForgedTokenIsRefused(t *testing.T) {
	t.Parallel()
	h, theirs := newHouse(t), newHouse(t)
	public := keySet(t).Keys[0]
	jwk, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	point, err := public.Key.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(public.Key.(*ecdsa.PublicKey).Curve, nil)
	if err != nil {
		t.Fatal(err)
	}
	admin := func(_ map[string]any, c jwt.MapClaims) {
		c[claimsKey] = map[string]any{"x-hasura-allowed-roles": []string{"admin"}, "x-hasura-default-role": "admin"}
	}
	parts := strings.Split(h.owner.token, ".")
	theirParts := strings.Split(theirs.owner.token, ".")
	changed, _ := base64.RawURLEncoding.DecodeString(parts[1])
	changed = []byte(strings.ReplaceAll(string(changed), h.id, theirs.id))
	for name, token := range map[string]string{
		"alg none":                    forge(t, h.owner.token, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"alg none, admin":             forge(t, h.owner.token, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, admin),
		"HS256 with the public point": forge(t, h.owner.token, jwt.SigningMethodHS256, point, nil),
		"HS256 with the JWK":          forge(t, h.owner.token, jwt.SigningMethodHS256, jwk, admin),
		"ES256 with another key":      forge(t, h.owner.token, jwt.SigningMethodES256, own, admin),
		"a key in its header": forge(t, h.owner.token, jwt.SigningMethodES256, own, func(hd map[string]any, _ jwt.MapClaims) {
			hd["jwk"] = jose.JSONWebKey{Key: own.Public(), Algorithm: "ES256", Use: "sig", KeyID: "mine"}
			hd["kid"] = "mine"
		}),
		"a foreign jku":           forge(t, h.owner.token, jwt.SigningMethodES256, own, func(hd map[string]any, _ jwt.MapClaims) { hd["jku"] = "http://127.0.0.1:1/" }),
		"changed claims":          parts[0] + "." + base64.RawURLEncoding.EncodeToString(changed) + "." + parts[2],
		"another's signature":     parts[0] + "." + parts[1] + "." + theirParts[2],
		"no signature":            parts[0] + "." + parts[1] + ".",
		"a signature of zeros":    parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"two parts":               parts[0] + "." + parts[1],
		"nothing":                 "",
		"dots":                    "..",
		"text":                    "not-a-token",
		"a very long one":         strings.Repeat("a", 60_000),
		"null":                    "null",
		"the admin secret itself": local.Get("HASURA_GRAPHQL_ADMIN_SECRET"),
	} {
		r := bearer(token).ask(t, `{ tenants { id } }`, nil)
		if len(r.Errors) == 0 || (r.Errors[0].code() != "invalid-jwt" && r.Errors[0].code() != "invalid-headers") {
			t.Errorf("%s: %.300s", name, r.raw)
		}
	}
}

func TestExpiredTokenIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := operator().must(t, `mutation($u: uuid!, $t: String!) { mintToken(userId: $u, tenant: $t, ttlSeconds: 1) { accessToken } }`, args{"u": h.owner.id, "t": h.id})
	short := bearer(r.text(t, "mintToken.accessToken"))
	eventually(t, "a token of one second expires", func() bool {
		r := short.ask(t, `{ tenants { id } }`, nil)
		return len(r.Errors) > 0 && r.Errors[0].code() == "invalid-jwt" && strings.Contains(r.Errors[0].Message, "JWTExpired")
	})
}

func TestSwitchTenantMintsOnlyForAMember(t *testing.T) {
	t.Parallel()
	first, second, third := newHouse(t), newHouse(t), newHouse(t)
	operator().must(t, `mutation($t: String!, $u: uuid!) { addMember(tenant: $t, userId: $u, role: "admin") { role } }`, args{"t": second.id, "u": first.owner.id})
	r := first.owner.must(t, `mutation($t: String!) { switchTenant(tenant: $t) { accessToken tokenType role tenantId userId sessionId expiresAt } }`, args{"t": second.slug})
	if r.text(t, "switchTenant.role") != "tenant_admin" || r.text(t, "switchTenant.tenantId") != second.id || r.text(t, "switchTenant.tokenType") != "Bearer" {
		t.Errorf("%s", r.raw)
	}
	claims, _ := verified(t, r.text(t, "switchTenant.accessToken"))
	hasuraClaims, _ := claims[claimsKey].(map[string]any)
	if hasuraClaims["x-hasura-tenant-id"] != second.id || hasuraClaims["x-hasura-default-role"] != "tenant_admin" {
		t.Errorf("%v", hasuraClaims)
	}
	ids, _ := hasuraClaims["x-hasura-tenant-ids"].(string)
	if !strings.HasPrefix(ids, "{") || !strings.Contains(ids, first.id) || !strings.Contains(ids, second.id) || strings.Contains(ids, third.id) {
		t.Errorf("tenant ids are %q", ids)
	}
	first.owner.refused(t, `mutation($t: String!) { switchTenant(tenant: $t) { accessToken } }`, args{"t": third.slug})
	operator().must(t, suspendIt, second.ref())
	first.owner.refused(t, `mutation($t: String!) { switchTenant(tenant: $t) { accessToken } }`, args{"t": second.slug})
}

func TestKeySetIsPublishedToAnyone(t *testing.T) {
	t.Parallel()
	status, raw := send(t, http.MethodGet, "/.well-known/jwks.json", nil, nil)
	if status != http.StatusOK || strings.Contains(raw, `"d"`) {
		t.Errorf("%d %s", status, raw)
	}
}
