package tokens

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
)

// standing is what a refusal is to OAuth: its status and its error word (RFC 6749,
// sections 4.1.2.1 and 5.2; RFC 6750, section 3.1).
type standing struct {
	status int
	word   string
}

// standings maps each fault to OAuth. What is not here is a refusal of the request: 400.
var standings = map[fault.Code]standing{
	fault.InvalidInput:     {http.StatusBadRequest, "invalid_request"},
	fault.InvalidJSON:      {http.StatusBadRequest, "invalid_request"},
	fault.UnsupportedMedia: {http.StatusUnsupportedMediaType, "invalid_request"},
	fault.PayloadTooLarge:  {http.StatusRequestEntityTooLarge, "invalid_request"},
	fault.TenantRequired:   {http.StatusBadRequest, "invalid_request"},
	fault.InvalidGrant:     {http.StatusBadRequest, "invalid_grant"},
	fault.LinkEnded:        {http.StatusBadRequest, "invalid_grant"},
	fault.WrongCode:        {http.StatusBadRequest, "invalid_grant"},
	fault.NotAMember:       {http.StatusBadRequest, "invalid_grant"},
	fault.RoleChanged:      {http.StatusBadRequest, "invalid_grant"},
	fault.TenantNotActive:  {http.StatusBadRequest, "invalid_grant"},
	fault.InvalidToken:     {http.StatusUnauthorized, "invalid_token"},
	fault.SessionEnded:     {http.StatusUnauthorized, "invalid_token"},
	fault.Forbidden:        {http.StatusForbidden, "access_denied"},
	fault.WrongTenant:      {http.StatusForbidden, "access_denied"},
	fault.NotFound:         {http.StatusNotFound, "invalid_request"},
	fault.InvitationEnded:  {http.StatusConflict, "invalid_request"},
	fault.QuotaExceeded:    {http.StatusConflict, "invalid_request"},
	fault.ReservationEnded: {http.StatusConflict, "invalid_request"},
	fault.AlreadyMember:    {http.StatusConflict, "invalid_request"},
	fault.TooManyRequests:  {http.StatusTooManyRequests, "temporarily_unavailable"},
	fault.Unavailable:      {http.StatusServiceUnavailable, "temporarily_unavailable"},
	fault.Internal:         {http.StatusInternalServerError, "server_error"},
}

// refusal is a fault whose standing is another than its code's.
type refusal struct {
	standing
	fault *fault.Fault
}

// Error is the fault's.
func (r refusal) Error() string { return r.fault.Error() }

// Unwrap gives the fault.
func (r refusal) Unwrap() error { return r.fault }

// as gives a fault another standing than its code's.
func as(status int, word string, f *fault.Fault) error { return refusal{standing{status, word}, f} }

// standingOf finds the standing of an error that is, or becomes, the fault f.
func standingOf(err error, f *fault.Fault) standing {
	if special, ok := errors.AsType[refusal](err); ok {
		return special.standing
	}
	if s, known := standings[f.Code]; known {
		return s
	}
	return standing{http.StatusBadRequest, "invalid_request"}
}

// refuse answers in OAuth's shape: error, error_description, and beside them our code and
// the fault's details.
func refuse(w http.ResponseWriter, s standing, f *fault.Fault) {
	body := map[string]any{}
	for name, value := range f.Details {
		body[name] = value
	}
	body["error"], body["error_description"], body["code"] = s.word, described(f.Message), f.Code
	challenge(w.Header(), s, f)
	wire.Reply(w, s.status, body)
}

// challenge sets the headers that go with a refusal, whatever its body.
func challenge(h http.Header, s standing, f *fault.Fault) {
	if s.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="%s", error_description="%s"`, s.word, described(f.Message)))
	}
	if seconds, told := f.Details["retryAfter"]; told {
		h.Set("Retry-After", fmt.Sprint(seconds))
	}
}

// described is a message in the characters that error_description may hold (RFC 6749,
// section 5.2).
func described(message string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, message)
}
