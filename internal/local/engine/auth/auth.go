// Package auth decides who calls: by admin secret, or by a JWT verified against a JWKS,
// exactly as Hasura v2 does, gaps included (a claim that is absent is not checked). It
// owns the session variables of a request and the key set; it knows no permissions.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const (
	prefix            = "x-hasura-"
	roleKey           = "x-hasura-role"
	adminSecretHeader = "X-Hasura-Admin-Secret"
	backendOnlyKey    = "x-hasura-use-backend-only-permissions"
	adminRole         = "admin"
)

// Config says how callers prove themselves.
type Config struct {
	AdminSecret string // never empty
	JWKSURL     string // empty: the admin secret is the only way in
	Issuer      string // checked where a token has iss and this is not empty
	Audience    string // checked where a token has aud and this is not empty
	Log         *slog.Logger
	Client      *http.Client // for the JWKS
}

// Session is one caller.
type Session struct {
	Role string
	// Variables are the session variables, keys in lower case, x-hasura-role among them.
	Variables map[string]string
	Secret    bool // the caller holds the admin secret
}

// Backend reports whether permissions marked backend_only are open to the caller.
func (s Session) Backend() bool {
	return s.Secret && strings.EqualFold(s.Variables[backendOnlyKey], "true")
}

// JSON returns the variables as one JSON object, as hasura.user carries them.
func (s Session) JSON() string {
	text, err := json.Marshal(s.Variables)
	if err != nil {
		return "{}" // cannot be: a map of strings always encodes
	}
	return string(text)
}

// Authenticator decides who calls.
type Authenticator struct {
	config Config
	secret [sha256.Size]byte
	keys   *keySet // nil without a JWKS
}

// New fetches the JWKS, with retries over about six seconds, and keeps it fresh until
// ctx ends. It fails where the key set cannot be had, as Hasura then does not boot.
func New(ctx context.Context, config Config) (*Authenticator, error) {
	a := &Authenticator{config: config, secret: sha256.Sum256([]byte(config.AdminSecret))}
	if config.JWKSURL == "" {
		return a, nil
	}
	keys, err := fetchKeys(ctx, config, firstRetry)
	if err != nil {
		return nil, err
	}
	a.keys = keys
	go keys.keepFresh(ctx)
	return a, nil
}

// Session authenticates a request. The admin secret wins over a token.
func (a *Authenticator) Session(header http.Header) (Session, error) {
	if given := header.Get(adminSecretHeader); given != "" {
		if !a.IsSecret(given) {
			return Session{}, qerr.New(qerr.AccessDenied, `invalid "x-hasura-admin-secret"/"x-hasura-access-key"`)
		}
		return trusted(header), nil
	}
	if a.keys == nil {
		return Session{}, qerr.New(qerr.AccessDenied, "x-hasura-admin-secret/x-hasura-access-key required, but not found")
	}
	return a.fromToken(header)
}

// IsSecret compares in constant time, whatever the lengths.
func (a *Authenticator) IsSecret(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return given != "" && subtle.ConstantTimeCompare(sum[:], a.secret[:]) == 1
}

// trusted takes every session variable that the holder of the secret sends.
func trusted(header http.Header) Session {
	variables := map[string]string{}
	for name, values := range header {
		key := strings.ToLower(name)
		if strings.HasPrefix(key, prefix) && key != strings.ToLower(adminSecretHeader) && len(values) > 0 {
			variables[key] = values[0]
		}
	}
	if variables[roleKey] == "" {
		variables[roleKey] = adminRole
	}
	return Session{Role: variables[roleKey], Variables: variables, Secret: true}
}
