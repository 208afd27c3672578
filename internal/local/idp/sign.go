package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// algorithms are those that the provider has keys for.
var algorithms = []string{"RS256", "ES256", "EdDSA"}

const (
	rsaBits  = 2048
	lifetime = 5 * time.Minute
)

type key struct {
	id        string
	algorithm string
	private   crypto.Signer
}

func (k key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: k.algorithm, Use: "sig"}
}

func generate(algorithm string) (k key, err error) {
	k = key{id: rand.Text(), algorithm: algorithm}
	switch algorithm {
	case "RS256":
		k.private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("no keys of algorithm %q", algorithm)
	}
	return k, err
}

// Options say how a token departs from an honest one. The zero value is an honest one,
// signed with RS256.
type Options struct {
	Algorithm string         // in the header and for the signature: RS256 where empty; "none" signs nothing
	KID       string         // instead of the key's own
	Header    map[string]any // put over the header's members; nil removes one
	RawHeader []byte         // sent as the header instead of any other
	RawClaims []byte         // sent as the claims instead of any other
	Key       any            // signs instead of the provider's: a crypto.Signer, or []byte for HS256
}

// Claims are those of an honest ID token for an audience: good for five minutes from now.
func (p *Provider) Claims(subject, audience string) map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": p.issuer, "sub": subject, "aud": audience,
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
}

// Sign makes a token. The error says what does not fit together in the options.
func (p *Provider) Sign(claims map[string]any, o Options) (string, error) {
	if o.Algorithm == "" {
		o.Algorithm = "RS256"
	}
	p.mu.Lock()
	own := p.current[o.Algorithm]
	p.mu.Unlock()
	header, err := o.header(own.id)
	if err != nil {
		return "", err
	}
	payload := o.RawClaims
	if payload == nil {
		if payload, err = json.Marshal(claims); err != nil {
			return "", err
		}
	}
	text := encode(header) + "." + encode(payload)
	signature, err := o.sign(text, own)
	return text + "." + encode(signature), err
}

func (o Options) header(kid string) ([]byte, error) {
	if o.RawHeader != nil {
		return o.RawHeader, nil
	}
	if o.KID != "" {
		kid = o.KID
	}
	header := map[string]any{"alg": o.Algorithm, "typ": "JWT", "kid": kid}
	for name, value := range o.Header {
		if header[name] = value; value == nil {
			delete(header, name)
		}
	}
	return json.Marshal(header)
}

func (o Options) sign(text string, own key) ([]byte, error) {
	if o.Algorithm == "none" {
		return nil, nil
	}
	method := jwt.GetSigningMethod(o.Algorithm)
	if method == nil {
		return nil, fmt.Errorf("algorithm %q is unknown", o.Algorithm)
	}
	var signer any = own.private
	if o.Key != nil {
		signer = o.Key
	}
	return method.Sign(text, signer)
}

func encode(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }
