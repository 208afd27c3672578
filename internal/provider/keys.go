package provider

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100
	minRSABits = 2048 // RFC 7518 section 3.3
)

// key is a public key of a provider that signatures can be checked with.
type key struct {
	id        string // empty where the provider gives none
	algorithm string // the one it is bound to; empty where the provider binds it to none
	public    any
}

// published are the members of a published key that are gone by; certificates and their
// addresses are not.
type published struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid,omitempty"`
	Alg    string   `json:"alg,omitempty"`
	Use    string   `json:"use,omitempty"`
	KeyOps []string `json:"key_ops,omitempty"`
	Crv    string   `json:"crv,omitempty"`
	X      string   `json:"x,omitempty"`
	Y      string   `json:"y,omitempty"`
	N      string   `json:"n,omitempty"`
	E      string   `json:"e,omitempty"`
	D      string   `json:"d,omitempty"` // there in a private key only
}

// parseKeys reads a JWK set. Keys that are not for checking signatures, and those that
// are not understood, are passed over (RFC 7517 section 5).
func parseKeys(text []byte) ([]key, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New("the answer is no JWK set")
	}
	if len(*set.Keys) > maxKeys {
		return nil, errors.New("the JWK set has more than 100 keys")
	}
	var keys []key
	for _, item := range *set.Keys {
		if k, ok := parseKey(item); ok {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func parseKey(item json.RawMessage) (key, bool) {
	var p published
	if err := json.Unmarshal(item, &p); err != nil {
		return key{}, false
	}
	private := p.D != "" // whoever reads the set could sign with it
	if private || p.Use != "" && p.Use != "sig" || len(p.KeyOps) > 0 && !slices.Contains(p.KeyOps, "verify") {
		return key{}, false
	}
	reduced, err := json.Marshal(p)
	if err != nil {
		return key{}, false
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(reduced); err != nil {
		return key{}, false
	}
	k := key{id: p.Kid, algorithm: p.Alg, public: parsed.Key}
	return k, slices.ContainsFunc(allowedAlgorithms, k.fits)
}

// fits reports whether tokens signed with the algorithm may be checked with the key: its
// type has to be the algorithm's, and so has the algorithm it is bound to.
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits && (algorithm == "RS256" || algorithm == "PS256")
	case *ecdsa.PublicKey:
		return algorithm == map[string]string{"P-256": "ES256", "P-384": "ES384"}[public.Curve.Params().Name]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
