package actions

import (
	"net/http"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

// statuses maps each fault to an HTTP status. Hasura shows a caller the message of a
// 4xx only, so 5xx is for bugs and outages; 401 is never used, for Hasura would pass it
// on as the status of the whole GraphQL reply.
var statuses = map[fault.Code]int{
	fault.InvalidInput:         http.StatusBadRequest,
	fault.InvalidJSON:          http.StatusBadRequest,
	fault.UnsupportedMedia:     http.StatusUnsupportedMediaType,
	fault.PayloadTooLarge:      http.StatusRequestEntityTooLarge,
	fault.UnknownAction:        http.StatusNotFound,
	fault.BadWebhookSecret:     http.StatusForbidden,
	fault.InvalidSession:       http.StatusBadRequest,
	fault.Forbidden:            http.StatusForbidden,
	fault.TenantRequired:       http.StatusBadRequest,
	fault.TenantNotActive:      http.StatusForbidden,
	fault.NotAMember:           http.StatusForbidden,
	fault.RoleChanged:          http.StatusForbidden,
	fault.NotFound:             http.StatusNotFound,
	fault.SlugTaken:            http.StatusConflict,
	fault.SlugReserved:         http.StatusConflict,
	fault.WrongStatus:          http.StatusConflict,
	fault.ConfirmationMismatch: http.StatusBadRequest,
	fault.LastOwner:            http.StatusConflict,
	fault.AlreadyMember:        http.StatusConflict,
	fault.AlreadyInvited:       http.StatusConflict,
	fault.InvitationEnded:      http.StatusConflict,
	fault.TransferEnded:        http.StatusConflict,
	fault.QuotaExceeded:        http.StatusTooManyRequests,
	fault.ReservationEnded:     http.StatusConflict,
	fault.SessionEnded:         http.StatusForbidden,
	fault.InvalidToken:         http.StatusForbidden,
	fault.InvalidGrant:         http.StatusBadRequest,
	fault.LinkEnded:            http.StatusConflict,
	fault.WrongCode:            http.StatusBadRequest,
	fault.WrongTenant:          http.StatusForbidden,
	fault.TooManyRequests:      http.StatusTooManyRequests,
	fault.IdempotencyKeyReused: http.StatusConflict,
	fault.AlreadySubscribed:    http.StatusConflict,
	fault.NoSubscription:       http.StatusConflict,
	fault.PaymentFailed:        http.StatusPaymentRequired,
	fault.OperationInProgress:  http.StatusConflict,
	fault.BillingDisabled:      http.StatusConflict,
	fault.BudgetExceeded:       http.StatusTooManyRequests,
	fault.TenantMigration:      http.StatusConflict,
	fault.Unavailable:          http.StatusServiceUnavailable,
	fault.Internal:             http.StatusInternalServerError,
}

// Refuse answers with Hasura's error: message, the code inside extensions (what a
// synchronous caller sees) and the same code at the root (what an asynchronous one does).
func Refuse(w http.ResponseWriter, f *fault.Fault) {
	extensions := map[string]any{}
	for name, value := range f.Details {
		extensions[name] = value
	}
	extensions["code"] = f.Code
	wire.QuotaHeaders(w, f)
	wire.Reply(w, statuses[f.Code], map[string]any{"message": f.Message, "code": f.Code, "extensions": extensions})
}
