package usage

import (
	"fmt"
	"net/http"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// statuses maps each fault of a whole request to an HTTP status; what is not here is a
// refusal of the request: 400. A token that is no good, for whatever reason, is 401.
var statuses = map[fault.Code]int{
	fault.InvalidToken:     http.StatusUnauthorized,
	fault.InvalidGrant:     http.StatusUnauthorized,
	fault.SessionEnded:     http.StatusUnauthorized,
	fault.NotAMember:       http.StatusUnauthorized,
	fault.RoleChanged:      http.StatusUnauthorized,
	fault.TenantNotActive:  http.StatusUnauthorized,
	fault.BadWebhookSecret: http.StatusForbidden,
	fault.Forbidden:        http.StatusForbidden,
	fault.NotFound:         http.StatusNotFound,
	fault.PayloadTooLarge:  http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia: http.StatusUnsupportedMediaType,
	fault.BudgetExceeded:   http.StatusTooManyRequests,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Internal:         http.StatusInternalServerError,
}

// posted serves POST alone, and answers for what serve could not: with the status of its
// fault, or 400.
func posted(statuses map[fault.Code]int, serve func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var f *fault.Fault
		status, known := http.StatusMethodNotAllowed, true
		if r.Method == http.MethodPost {
			if f = fault.From(pg.Explain(caught(w, r, serve))); f == nil {
				return
			}
			status, known = statuses[f.Code]
		} else {
			w.Header().Set("Allow", http.MethodPost)
			f = fault.New(fault.InvalidInput, "this door takes POST, not %.20s", r.Method)
		}
		if !known {
			status = http.StatusBadRequest
		}
		requestlog.Fault(r.Context(), f)
		refuse(w, status, f)
	}
}

// caught turns a panic into an error.
func caught(w http.ResponseWriter, r *http.Request, serve func(w http.ResponseWriter, r *http.Request) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = requestlog.Panic(r.Context(), p)
		}
	}()
	return serve(w, r)
}

// refuse answers a request of which nothing was counted.
func refuse(w http.ResponseWriter, status int, f *fault.Fault) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	body := map[string]any{}
	for name, value := range f.Details {
		body[name] = value
	}
	body["message"], body["code"] = f.Message, f.Code
	wire.QuotaHeaders(w, f)
	wire.Reply(w, status, body)
}

// quoted shows a sender its own words, as far as they are short.
func quoted(words string) string { return fmt.Sprintf("%.80q", words) }
