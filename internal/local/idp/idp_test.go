package idp

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func start(t *testing.T) *Provider {
	t.Helper()
	p, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// get fetches a path and returns the status.
func get(t *testing.T, p *Provider, path string, into any) int {
	t.Helper()
	answer, err := http.Get(p.Issuer() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return answer.StatusCode
}

func TestAnHonestTokenVerifiesAgainstThePublishedKeys(t *testing.T) {
	p := start(t)
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	get(t, p, DiscoveryPath, &discovery)
	if discovery.Issuer != p.Issuer() || discovery.Keys != p.Issuer()+KeysPath {
		t.Errorf("discovery: %+v", discovery)
	}
	var set jose.JSONWebKeySet
	get(t, p, KeysPath, &set)
	for _, algorithm := range algorithms {
		text, err := p.Sign(p.Claims("ada", "app"), Options{Algorithm: algorithm})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		var claims jwt.Claims
		if err := parsed.Claims(set, &claims); err != nil || claims.Subject != "ada" || claims.Issuer != p.Issuer() {
			t.Errorf("%s: %v, %+v", algorithm, err, claims)
		}
	}
}

func TestRotateReplacesEveryKey(t *testing.T) {
	p := start(t)
	before := p.Public()
	if err := p.Rotate(); err != nil {
		t.Fatal(err)
	}
	for _, key := range p.Public().Keys {
		if slices.ContainsFunc(before.Keys, func(old jose.JSONWebKey) bool { return old.KeyID == key.KeyID }) {
			t.Errorf("%s stayed", key.Algorithm)
		}
	}
}

func TestEveryFetchIsCountedAlsoWhileDown(t *testing.T) {
	p := start(t)
	p.SetDown(true)
	if status := get(t, p, KeysPath, nil); status != http.StatusServiceUnavailable {
		t.Errorf("down: %d", status)
	}
	p.SetDown(false)
	var set jose.JSONWebKeySet
	if status := get(t, p, KeysPath, &set); status != http.StatusOK || len(set.Keys) != len(algorithms) {
		t.Errorf("up again: %d with %d keys", status, len(set.Keys))
	}
	if discoveries, keys := p.Fetches(); discoveries != 0 || keys != 2 {
		t.Errorf("counted %d and %d", discoveries, keys)
	}
}
