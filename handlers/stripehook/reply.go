package stripehook

import (
	"net/http"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

// statuses maps each fault to an HTTP status; what is not here is a delivery that is
// wrong: 400. Stripe tries again on any of them, in its own time.
var statuses = map[fault.Code]int{
	fault.PayloadTooLarge:  http.StatusRequestEntityTooLarge,
	fault.UnsupportedMedia: http.StatusUnsupportedMediaType,
	fault.Unavailable:      http.StatusServiceUnavailable,
	fault.Internal:         http.StatusInternalServerError,
}

// refuse answers what was not kept. Nothing of the fault but its words is told: whoever
// is not Stripe learns no more.
func refuse(w http.ResponseWriter, f *fault.Fault) {
	status, known := statuses[f.Code]
	if !known {
		status = http.StatusBadRequest
	}
	wire.Reply(w, status, map[string]any{"message": f.Message, "code": f.Code})
}
