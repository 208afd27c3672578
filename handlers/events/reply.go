package events

import (
	"net/http"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

// Refuse answers what was not taken in. Whoever delivers tries again on any status but
// 2xx, so the difference is for people: 4xx says the delivery was wrong, 5xx that this
// side was.
func Refuse(w http.ResponseWriter, f *fault.Fault) {
	status := http.StatusBadRequest
	switch f.Code {
	case fault.BadWebhookSecret:
		status = http.StatusForbidden
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.PayloadTooLarge:
		status = http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	case fault.Internal:
		status = http.StatusInternalServerError
	}
	wire.Reply(w, status, map[string]any{"message": f.Message, "code": f.Code})
}
