// Package ops answers the machinery around the server: is it alive, is it ready, what
// does it measure.
package ops

import (
	"context"
	"net/http"
	"time"

	"github.com/nself/tenancy/handlers/wire"
)

// Check is one thing the server needs to be ready; nil means it has it.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// Health answers 200 while the process can answer at all.
func Health(w http.ResponseWriter, _ *http.Request) {
	wire.Reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Ready answers 200 when every check passes within two seconds, else 503 with a word on
// each. The words name no secret: they are for anyone who can reach the port.
func Ready(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		status, words := http.StatusOK, map[string]string{}
		for _, check := range checks {
			words[check.Name] = "ok"
			if err := check.Run(ctx); err != nil {
				status, words[check.Name] = http.StatusServiceUnavailable, err.Error()
			}
		}
		wire.Reply(w, status, words)
	}
}
