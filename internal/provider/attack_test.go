package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
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

// publicRSA is the provider's RSA key and its id, as anybody may fetch them.
func publicRSA(t testing.TB, w *world) (*rsa.PublicKey, string) {
	t.Helper()
	for _, k := range w.Public().Keys {
		if public, ok := k.Key.(*rsa.PublicKey); ok {
			return public, k.KeyID
		}
	}
	t.Fatal("no RSA key")
	return nil, ""
}

func kidOf(t testing.TB, w *world, algorithm string) string {
	t.Helper()
	for _, k := range w.Public().Keys {
		if k.Algorithm == algorithm {
			return k.KeyID
		}
	}
	t.Fatalf("no key for %s", algorithm)
	return ""
}

func TestForgedSignaturesAreRefused(t *testing.T) {
	w := newWorld(t)
	w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	public, kid := publicRSA(t, w)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	foreignRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	foreignEC, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	honest := w.sign(t, nil, idp.Options{})
	other := strings.Split(w.sign(t, map[string]any{"sub": "mallory"}, idp.Options{}), ".")
	parts := strings.Split(honest, ".")
	for name, token := range map[string]string{
		"alg none":                    w.sign(t, nil, idp.Options{Algorithm: "none", KID: kid}),
		"alg None":                    w.sign(t, nil, idp.Options{Algorithm: "none", KID: kid, Header: map[string]any{"alg": "None"}}),
		"no alg":                      w.sign(t, nil, idp.Options{Header: map[string]any{"alg": nil}}),
		"alg empty":                   w.sign(t, nil, idp.Options{Header: map[string]any{"alg": ""}}),
		"alg a list":                  w.sign(t, nil, idp.Options{Header: map[string]any{"alg": []string{"RS256"}}}),
		"HS256 with the public PEM":   w.sign(t, nil, idp.Options{Algorithm: "HS256", KID: kid, Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}),
		"HS256 with the public DER":   w.sign(t, nil, idp.Options{Algorithm: "HS256", KID: kid, Key: der}),
		"HS256 with the modulus":      w.sign(t, nil, idp.Options{Algorithm: "HS256", KID: kid, Key: public.N.Bytes()}),
		"HS256 with the JWK":          w.sign(t, nil, idp.Options{Algorithm: "HS256", KID: kid, Key: jwk}),
		"HS256 called RS256":          w.sign(t, nil, idp.Options{Algorithm: "HS256", KID: kid, Key: der, Header: map[string]any{"alg": "RS256"}}),
		"a foreign key, foreign kid":  w.sign(t, nil, idp.Options{Key: foreignRSA, KID: "mine"}),
		"a foreign key, the true kid": w.sign(t, nil, idp.Options{Key: foreignRSA}),
		"a foreign EC key":            w.sign(t, nil, idp.Options{Algorithm: "ES256", Key: foreignEC}),
		"a true key, foreign kid":     w.sign(t, nil, idp.Options{KID: "../../etc/passwd"}),
		"a true key, another's kid":   w.sign(t, nil, idp.Options{KID: kidOf(t, w, "ES256")}),
		"ES256 by kid of the RSA key": w.sign(t, nil, idp.Options{Algorithm: "ES256", KID: kid}),
		"RS512, which is not allowed": w.sign(t, nil, idp.Options{Algorithm: "RS512", KID: kid, Key: foreignRSA}),
		"kid a number":                w.sign(t, nil, idp.Options{Header: map[string]any{"kid": 1}}),
		"another token's signature":   parts[0] + "." + parts[1] + "." + other[2],
		"another token's claims":      parts[0] + "." + other[1] + "." + parts[2],
		"no signature":                parts[0] + "." + parts[1] + ".",
		"a shortened signature":       honest[:len(honest)-4],
	} {
		t.Run(name, func(t *testing.T) { w.wantFault(t, token, fault.InvalidGrant) })
	}
}

func TestAKeyBoundToOneAlgorithmChecksNoOther(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Algorithms = []string{"RS256", "PS256"} })
	w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	_, kid := publicRSA(t, w)
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.wantFault(t, w.sign(t, nil, idp.Options{Algorithm: "PS256", KID: kid, Key: k}), fault.InvalidGrant)
	w.wantFault(t, w.sign(t, nil, idp.Options{Algorithm: "ES256"}), fault.InvalidGrant)
}

func TestATokenDoesNotChooseItsKey(t *testing.T) {
	w := newWorld(t)
	mine, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &mine.PublicKey, KeyID: "mine", Algorithm: "RS256", Use: "sig"}}}
	var asked atomic.Int64
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(set)
	}))
	defer attacker.Close()
	for _, header := range []map[string]any{
		{"jku": attacker.URL}, {"x5u": attacker.URL}, {"jwk": set.Keys[0]}, {"x5c": []string{"MIIB"}},
		{"jku": attacker.URL, "kid": attacker.URL}, {"kid": attacker.URL},
	} {
		if header["kid"] == nil {
			header["kid"] = "mine"
		}
		w.wantFault(t, w.sign(t, nil, idp.Options{Key: mine, Header: header}), fault.InvalidGrant)
	}
	w.wantFault(t, w.sign(t, map[string]any{"iss": attacker.URL}, idp.Options{Key: mine, KID: "mine"}), fault.InvalidGrant)
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker's server saw %d requests", n)
	}
	w.mustVerify(t, w.sign(t, nil, idp.Options{Header: map[string]any{"jku": attacker.URL}}))
	if n := asked.Load(); n != 0 {
		t.Errorf("an honest token with jku had %d requests made", n)
	}
}

func TestClaimsThatDoNotHoldAreRefusedBeforeAnyFetch(t *testing.T) {
	w := newWorld(t)
	now := time.Now().Unix()
	for name, changes := range map[string]map[string]any{
		"another issuer":             {"iss": "https://evil.example"},
		"the issuer with a slash":    {"iss": w.Issuer() + "/"},
		"the issuer in capitals":     {"iss": strings.ToUpper(w.Issuer())},
		"no issuer":                  {"iss": nil},
		"a list of issuers":          {"iss": []string{w.Issuer()}},
		"another audience":           {"aud": "else"},
		"no audience":                {"aud": nil},
		"audience null":              {"aud": json.RawMessage("null")},
		"an empty list of audiences": {"aud": []string{}},
		"part of the audience":       {"aud": audience[:3]},
		"the audience of a number":   {"aud": 1},
		"azp another's":              {"aud": []string{audience, "else"}, "azp": "else"},
		"azp a number":               {"azp": 1},
		"expired":                    {"exp": now - 61},
		"never expires":              {"exp": nil},
		"exp null":                   {"exp": json.RawMessage("null")},
		"exp a text":                 {"exp": fmt.Sprint(now + 300)},
		"exp beyond all dates":       {"exp": 1e300},
		"exp negative":               {"exp": -1},
		"not yet valid":              {"nbf": now + 120},
		"nbf a text":                 {"nbf": "0"},
		"issued in the future":       {"iat": now + 120},
		"iat null":                   {"iat": json.RawMessage("null")},
		"no subject":                 {"sub": nil},
		"an empty subject":           {"sub": ""},
		"subject a number":           {"sub": 7},
		"a subject of 256":           {"sub": strings.Repeat("a", 256)},
		"a subject with a NUL":       {"sub": "ada\x00"},
		"a subject of half a pair":   {"sub": json.RawMessage(`"\ud800"`)},
		"a subject in capitals only": {"sub": nil, "SUB": "ada"},
		"a logout token":             {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}},
	} {
		t.Run(name, func(t *testing.T) { w.wantFault(t, w.sign(t, changes, idp.Options{}), fault.InvalidGrant) })
	}
	if discoveries, keys := w.Fetches(); discoveries+keys != 0 {
		t.Errorf("%d fetches", discoveries+keys)
	}
}

func TestClocksMayDifferByAMinute(t *testing.T) {
	w := newWorld(t)
	now := time.Now().Unix()
	w.mustVerify(t, w.sign(t, map[string]any{"exp": now - 30, "nbf": now + 30, "iat": now + 30}, idp.Options{}))
}

func TestMalformedTokensAreRefusedBeforeAnyFetch(t *testing.T) {
	w := newWorld(t)
	honest := w.sign(t, nil, idp.Options{})
	raw := func(header, claims string) string {
		o := idp.Options{}
		if header != "" {
			o.RawHeader = []byte(header)
		}
		if claims != "" {
			o.RawClaims = []byte(claims)
		}
		return w.sign(t, nil, o)
	}
	exp := time.Now().Unix() + 300
	claims := func(extra string) string {
		return fmt.Sprintf(`{"iss":%q,"sub":"ada","aud":%q,"exp":%d%s}`, w.Issuer(), audience, exp, extra)
	}
	for name, token := range map[string]string{
		"empty":                       "",
		"two parts":                   honest[:strings.LastIndex(honest, ".")],
		"four parts":                  honest + ".x",
		"an encrypted token's five":   honest + ".x.y",
		"a megabyte":                  w.sign(t, map[string]any{"name": strings.Repeat("a", 1<<20)}, idp.Options{}),
		"a megabyte of dots":          strings.Repeat(".", 1<<20),
		"just over the size":          w.sign(t, map[string]any{"x": strings.Repeat("a", 12<<10)}, idp.Options{}),
		"a line end inside":           strings.Replace(honest, ".", "\n.", 1),
		"padding":                     strings.Replace(honest, ".", "=.", 1),
		"a blank before":              " " + honest,
		"a nested token":              raw("", honest),
		"a nested token as a text":    raw("", `"`+honest+`"`),
		"cty JWT":                     w.sign(t, nil, idp.Options{Header: map[string]any{"cty": "JWT"}}),
		"crit":                        w.sign(t, nil, idp.Options{Header: map[string]any{"crit": []string{"exp"}}}),
		"crit of b64":                 w.sign(t, nil, idp.Options{Header: map[string]any{"crit": []string{"b64"}, "b64": false}}),
		"crit empty":                  w.sign(t, nil, idp.Options{Header: map[string]any{"crit": []string{}}}),
		"typ of a logout token":       w.sign(t, nil, idp.Options{Header: map[string]any{"typ": "logout+jwt"}}),
		"two subjects":                raw("", claims(`,"sub":"mallory"`)),
		"two subjects by escape":      raw("", claims(`,"s\u0075b":"mallory"`)),
		"two of what nobody reads":    raw("", claims(`,"x":1,"x":1`)),
		"two algs":                    raw(`{"alg":"RS256","alg":"none","kid":"x"}`, ""),
		"two kids":                    raw(`{"alg":"RS256","kid":"a","kid":"b"}`, ""),
		"claims a list":               raw("", `[]`),
		"claims null":                 raw("", `null`),
		"claims followed by others":   raw("", claims("")+claims("")),
		"claims cut off":              raw("", strings.TrimSuffix(claims(""), "}")),
		"claims not UTF-8":            raw("", claims(",\"x\":\"\xff\"")),
		"claims a thousand deep":      raw("", claims(`,"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 999))),
		"header null":                 raw(`null`, ""),
		"header with alg in capitals": raw(`{"ALG":"RS256","kid":"x"}`, ""),
	} {
		t.Run(name, func(t *testing.T) { w.wantFault(t, token, fault.InvalidGrant) })
	}
	if discoveries, keys := w.Fetches(); discoveries+keys != 0 {
		t.Errorf("%d fetches", discoveries+keys)
	}
}

func TestAnAccessTokenIsTakenByItsType(t *testing.T) {
	w := newWorld(t)
	for _, typ := range []any{nil, "JWT", "jwt", "at+jwt", "application/at+jwt"} {
		w.mustVerify(t, w.sign(t, nil, idp.Options{Header: map[string]any{"typ": typ}}))
	}
}
