// Package qerr is the one error shape of the stand-in engine: what a GraphQL client
// sees of a failed operation, with the codes that Hasura uses. It knows nothing of
// where errors come from, beside Postgres, whose errors it translates.
package qerr

import (
	"encoding/json"
	"errors"
	"fmt"
)

// The codes of Hasura that this engine gives.
const (
	AccessDenied         = "access-denied"
	BadRequest           = "bad-request"
	Conflict             = "conflict"
	ConstraintError      = "constraint-error"
	ConstraintViolation  = "constraint-violation"
	DataException        = "data-exception"
	InvalidHeaders       = "invalid-headers"
	InvalidJSON          = "invalid-json"
	InvalidJWT           = "invalid-jwt"
	JWTInvalidClaims     = "jwt-invalid-claims"
	JWTMissingRoleClaims = "jwt-missing-role-claims"
	NotFound             = "not-found"
	NotSupported         = "not-supported"
	ParseFailed          = "parse-failed"
	PermissionError      = "permission-error"
	Unexpected           = "unexpected"
	UnexpectedPayload    = "unexpected-payload"
	ValidationFailed     = "validation-failed"
)

// Error is one failed operation.
type Error struct {
	Message  string
	Code     string
	Path     string // "$" where nothing narrower is known
	Internal any    // for admin and dev mode only
	// Extensions, where not nil, is the whole of extensions: path, code and internal
	// are left out, as Hasura does with what an action's handler sends.
	Extensions json.RawMessage
}

// New returns an error at path "$".
func New(code, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Code: code, Path: "$"}
}

// At returns the error with a narrower path, such as "$.selectionSet.tenants".
func (e *Error) At(path string) *Error {
	at := *e
	at.Path = path
	return &at
}

// Error returns the public message.
func (e *Error) Error() string { return e.Message }

// From returns err itself where it is an Error, and what Hasura says of a failure it
// does not explain otherwise.
func From(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Message: "internal error", Code: Unexpected, Path: "$", Internal: map[string]any{"error": err.Error()}}
}

// GraphQL returns the entry of a GraphQL response's "errors".
func (e *Error) GraphQL(showInternal bool) map[string]any {
	if e.Extensions != nil {
		return map[string]any{"message": e.Message, "extensions": e.Extensions}
	}
	extensions := map[string]any{"path": e.Path, "code": e.Code}
	if showInternal && e.Internal != nil {
		extensions["internal"] = e.Internal
	}
	return map[string]any{"message": e.Message, "extensions": extensions}
}

// API returns the body of a failed call outside GraphQL.
func (e *Error) API() map[string]any {
	body := map[string]any{"path": e.Path, "error": e.Message, "code": e.Code}
	if e.Internal != nil {
		body["internal"] = e.Internal
	}
	return body
}
