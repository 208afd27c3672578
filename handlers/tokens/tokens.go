// Package tokens is the door to what verifies this installation's tokens.
package tokens

import (
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/token"
)

// maxAge is how long a verifier may keep the key set. Hasura fetches it again after
// that; without the header it never would.
const maxAge = 60 // seconds

// JWKS serves GET /.well-known/jwks.json.
func JWKS(db *pgxpool.Pool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		keys, err := token.JWKS(r.Context(), db)
		if err != nil {
			f := fault.From(pg.Explain(err))
			requestlog.Fault(r.Context(), f)
			http.Error(w, f.Message, http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", maxAge))
		_, _ = w.Write(keys) // the client is gone: nobody is left to tell
	}
}
