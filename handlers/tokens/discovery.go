package tokens

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/token"
)

// maxAge is how long a verifier may keep the key set. Hasura fetches it again after
// that; without the header it never would.
const maxAge = 60 // seconds

// JWKS serves GET /.well-known/jwks.json, at any host: verifiers reach the server by
// names of their own.
func JWKS(db *pgxpool.Pool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		keys, err := token.JWKS(r.Context(), db)
		if err != nil {
			withoutKeys(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", maxAge))
		_, _ = w.Write(keys) // the client is gone: nobody is left to tell
	}
}

func withoutKeys(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(pg.Explain(err))
	requestlog.Fault(r.Context(), f)
	http.Error(w, f.Message, http.StatusServiceUnavailable)
}

// discovery serves GET /.well-known/openid-configuration: where the keys and the token
// endpoint are (OpenID Connect Discovery 1.0, section 3; RFC 8414). There is no
// authorization endpoint, so there are no response types.
func (d *door) discovery(w http.ResponseWriter, r *http.Request) {
	algorithms, err := d.algorithms(r)
	if err != nil {
		withoutKeys(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", maxAge))
	public := strings.TrimRight(d.PublicURL, "/")
	wire.Reply(w, http.StatusOK, map[string]any{
		"issuer":                                d.Issuer,
		"jwks_uri":                              public + "/.well-known/jwks.json",
		"token_endpoint":                        public + "/auth/token",
		"grant_types_supported":                 grantNames(),
		"response_types_supported":              []string{},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": algorithms,
		"token_endpoint_auth_methods_supported": []string{"none"},
	})
}

// algorithms are those of the keys in force.
func (d *door) algorithms(r *http.Request) ([]string, error) {
	text, err := token.JWKS(r.Context(), d.DB)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct {
			Algorithm string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("read the published keys: %w", err)
	}
	algorithms := []string{}
	for _, key := range set.Keys {
		algorithms = append(algorithms, key.Algorithm)
	}
	slices.Sort(algorithms)
	return slices.Compact(algorithms), nil
}
