package provider

import (
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/local/idp"
)

// Whatever is made of honest and forged tokens: nothing but what the provider signed is
// taken, and nothing ends but in an identity or a refusal.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	signed := map[string]bool{}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		token := w.sign(f, map[string]any{"email": "a@b.example", "exp": w.now().Unix() + 1e6}, idp.Options{Algorithm: algorithm})
		signed[token[:strings.LastIndex(token, ".")]] = true
		w.mustVerify(f, token)
		f.Add(token)
	}
	kid := kidOf(f, w, "RS256")
	for _, o := range []idp.Options{
		{Algorithm: "none", KID: kid},
		{Algorithm: "HS256", KID: kid, Key: []byte(kid)},
		{KID: "unknown"},
		{Header: map[string]any{"crit": []string{"exp"}}},
		{Header: map[string]any{"jku": "http://127.0.0.1:1/"}},
		{RawHeader: []byte(`{"alg":"RS256","alg":"none"}`)},
		{RawClaims: []byte(`{"sub":"a","sub":"b"}`)},
		{RawClaims: []byte(`null`)},
		{RawClaims: []byte(`{"iss":"` + w.Issuer() + `","aud":["` + audience + `"],"exp":1e400}`)},
	} {
		token := w.sign(f, nil, o)
		if strings.Contains(token, ".") && o.Header["jku"] != nil {
			signed[token[:strings.LastIndex(token, ".")]] = true // honest but for a header that is not gone by
		}
		f.Add(token)
	}
	for _, text := range []string{"", "..", "...", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := w.set.Verify(t.Context(), token)
		switch {
		case err == nil && !signed[token[:strings.LastIndex(token, ".")]]:
			t.Errorf("taken for %+v though nobody signed it: %q", identity, token)
		case err == nil && (identity.Subject != "ada" || identity.Issuer != w.Issuer()):
			t.Errorf("taken for %+v", identity)
		case err != nil && !fault.Is(err, fault.InvalidGrant):
			t.Errorf("refused with %v", err)
		}
	})
}
