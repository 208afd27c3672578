package usage

import (
	"fmt"
	"net/http"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
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
	fault.PayloadTooLarge:  http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia: http.StatusUnsupportedMediaType,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Internal:         http.StatusInternalServerError,
}

// refuse answers a request of which nothing was counted.
func refuse(w http.ResponseWriter, f *fault.Fault) {
	status, known := statuses[f.Code]
	if !known {
		status = http.StatusBadRequest
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	body := map[string]any{}
	for name, value := range f.Details {
		body[name] = value
	}
	body["message"], body["code"] = f.Message, f.Code
	wire.Reply(w, status, body)
}

// quoted shows a sender its own words, as far as they are short.
func quoted(words string) string { return fmt.Sprintf("%.80q", words) }
