package provider

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/local/idp"
)

const audience = "tenancy"

// world is a provider, a set that trusts it, and a clock that can be put forward.
type world struct {
	*idp.Provider
	set    *Set
	log    *bytes.Buffer
	passed atomic.Int64 // nanoseconds by which the set's clock is ahead
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.passed.Load())) }
func (w *world) advance(d time.Duration) { w.passed.Add(int64(d)) }

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	p, err := idp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	w := &world{Provider: p, log: &bytes.Buffer{}}
	config := Config{Issuer: p.Issuer(), Audience: audience, Algorithms: []string{"RS256", "ES256", "EdDSA"}}
	for _, f := range change {
		f(&config)
	}
	w.trust(t, config)
	return w
}

// trust replaces the set.
func (w *world) trust(t testing.TB, configs ...Config) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	var err error
	if w.set, err = newSet(ctx, configs, slog.New(slog.NewTextHandler(w.log, nil)), w.now); err != nil {
		t.Fatal(err)
	}
}

// claims are honest ones of Ada by the set's clock, with changes; nil removes one.
func (w *world) claims(changes map[string]any) map[string]any {
	claims := w.Claims("ada", audience)
	claims["iat"], claims["exp"] = w.now().Unix(), w.now().Add(5*time.Minute).Unix()
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func (w *world) sign(t testing.TB, changes map[string]any, o idp.Options) string {
	t.Helper()
	token, err := w.Sign(w.claims(changes), o)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) keyFetches() int {
	_, keys := w.Fetches()
	return keys
}

func (w *world) mustVerify(t testing.TB, token string) Identity {
	t.Helper()
	identity, err := w.set.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("an honest token is refused: %v", err)
	}
	return identity
}

// wantFault demands a refusal that repeats nothing of the token.
func (w *world) wantFault(t testing.TB, token string, code fault.Code) {
	t.Helper()
	identity, err := w.set.Verify(t.Context(), token)
	if !fault.Is(err, code) || identity != (Identity{}) {
		t.Errorf("got %+v, %v; want %s", identity, err, code)
		return
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && (strings.Contains(err.Error(), part) || strings.Contains(w.log.String(), part)) {
			t.Errorf("the token is repeated: %v", err)
		}
	}
}

func TestAnHonestTokenOfEachAlgorithmSaysWhoItIs(t *testing.T) {
	acme := id.New[id.Tenant]()
	w := newWorld(t, func(c *Config) { c.Tenant, c.JoinAs = acme, "guest" })
	extra := map[string]any{"email": "Ada@Example.COM", "email_verified": true, "name": "Ada Lovelace"}
	want := Identity{
		Issuer: w.Issuer(), Subject: "ada", Email: "ada@example.com", EmailVerified: true,
		Name: "Ada Lovelace", Tenant: acme, JoinAs: "guest",
	}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		got := w.mustVerify(t, w.sign(t, extra, idp.Options{Algorithm: algorithm}))
		if diff := cmp.Diff(want, got, sameTenant); diff != "" {
			t.Errorf("%s (-want +got):\n%s", algorithm, diff)
		}
	}
	if discoveries, keys := w.Fetches(); discoveries != 1 || keys != 1 {
		t.Errorf("fetched %d times and %d times", discoveries, keys)
	}
}

func TestNoClaimBecomesARole(t *testing.T) {
	w := newWorld(t)
	plain := w.mustVerify(t, w.sign(t, nil, idp.Options{}))
	smuggled := w.mustVerify(t, w.sign(t, map[string]any{
		"role": "admin", "roles": []string{"admin", "tenant_owner"}, "tenant": "acme", "tenant_id": "acme", "join_as": "owner",
		"Tenant": "acme", "JoinAs": "owner", "x-hasura-role": "admin", "groups": []string{"owners"},
		"https://hasura.io/jwt/claims": map[string]any{"x-hasura-default-role": "admin", "x-hasura-allowed-roles": []string{"admin"}},
	}, idp.Options{Header: map[string]any{"role": "admin"}}))
	if diff := cmp.Diff(plain, smuggled, sameTenant); diff != "" {
		t.Errorf("the claims changed the identity:\n%s", diff)
	}
}

func TestTheAddressIsTheProvidersOnlyWhereItSaysSo(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		claims   map[string]any
		email    string
		verified bool
	}{
		"verified":            {map[string]any{"email": "a@b.example", "email_verified": true}, "a@b.example", true},
		"verified as a text":  {map[string]any{"email": "a@b.example", "email_verified": "true"}, "a@b.example", true},
		"not said":            {map[string]any{"email": "a@b.example"}, "a@b.example", false},
		"denied":              {map[string]any{"email": "a@b.example", "email_verified": false}, "a@b.example", false},
		"a number":            {map[string]any{"email": "a@b.example", "email_verified": 1}, "a@b.example", false},
		"another text":        {map[string]any{"email": "a@b.example", "email_verified": "True"}, "a@b.example", false},
		"a list":              {map[string]any{"email": "a@b.example", "email_verified": []bool{true}}, "a@b.example", false},
		"in other case":       {map[string]any{"EMAIL": "a@b.example", "Email_Verified": true}, "", false},
		"no address":          {map[string]any{"email": "Ada <a@b.example>", "email_verified": true}, "", false},
		"two addresses":       {map[string]any{"email": "a@b.example,c@d.example", "email_verified": true}, "", false},
		"a list of addresses": {map[string]any{"email": []string{"a@b.example"}, "email_verified": true}, "", false},
		"a look-alike":        {map[string]any{"email": "\u212a@b.example", "email_verified": true}, "", false},
	} {
		got := w.mustVerify(t, w.sign(t, c.claims, idp.Options{Algorithm: "ES256"}))
		if got.Email != c.email || got.EmailVerified != c.verified {
			t.Errorf("%s: %q, verified %t", name, got.Email, got.EmailVerified)
		}
	}
}

func TestTheAudienceChoosesAmongSeveralOfOneIssuer(t *testing.T) {
	w := newWorld(t)
	acme, moon := id.New[id.Tenant](), id.New[id.Tenant]()
	one := Config{Issuer: w.Issuer(), Audience: "one", Tenant: acme}
	two := Config{Issuer: w.Issuer(), Audience: "two", Tenant: moon}
	w.trust(t, one, two)
	for want, claims := range map[id.Tenant]map[string]any{
		acme: {"aud": "one"},
		moon: {"aud": []string{"two", "else"}},
	} {
		if got := w.mustVerify(t, w.sign(t, claims, idp.Options{})); got.Tenant != want {
			t.Errorf("%v is of %v", claims, got.Tenant)
		}
	}
	both := []string{"one", "two"}
	if got := w.mustVerify(t, w.sign(t, map[string]any{"aud": both, "azp": "two"}, idp.Options{})); got.Tenant != moon {
		t.Errorf("azp two is of %v", got.Tenant)
	}
	w.wantFault(t, w.sign(t, map[string]any{"aud": both}, idp.Options{}), fault.InvalidGrant)
}

func TestAnEmptySetRefusesEveryToken(t *testing.T) {
	w := newWorld(t)
	w.trust(t)
	w.wantFault(t, w.sign(t, nil, idp.Options{}), fault.InvalidGrant)
}
