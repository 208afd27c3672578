package qerr

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// integrity holds, per SQLSTATE of class 23, what Hasura puts before Postgres' own
// message and the code it gives.
var integrity = map[string]struct{ prefix, code string }{
	"23001": {"Can not delete or update due to data being referred. ", ConstraintViolation},
	"23502": {"Not-NULL violation. ", ConstraintViolation},
	"23503": {"Foreign key violation. ", ConstraintViolation},
	"23505": {"Uniqueness violation. ", ConstraintViolation},
	"23514": {"Check constraint violation. ", PermissionError},
	"23P01": {"Exclusion violation. ", ConstraintViolation},
}

// FromPostgres translates a failed statement at path. What a client can mend keeps
// Postgres' message; everything else, an exception raised in a trigger included, is
// "database query error" with the details for admin only.
func FromPostgres(err error, path string) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return unexplained(err, path)
	}
	switch {
	case strings.HasPrefix(failed.Code, "23"):
		rule, ok := integrity[failed.Code]
		if !ok {
			rule.code = ConstraintViolation
		}
		return &Error{Message: rule.prefix + failed.Message, Code: rule.code, Path: path}
	case failed.Code == "22025":
		return &Error{Message: failed.Message, Code: BadRequest, Path: path}
	case strings.HasPrefix(failed.Code, "22"):
		return &Error{Message: failed.Message, Code: DataException, Path: path}
	case failed.Code == "42P10":
		return &Error{Message: "there is no unique or exclusion constraint on target column(s)", Code: ConstraintError, Path: path}
	case failed.Code == "42704":
		return &Error{Message: failed.Message, Code: ConstraintError, Path: path}
	}
	return unexplained(err, path)
}

func unexplained(err error, path string) *Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		path = "$"
	}
	return &Error{Message: "database query error", Code: Unexpected, Path: path, Internal: databaseDetails(err)}
}

func databaseDetails(err error) map[string]any {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		return map[string]any{"error": map[string]any{"message": err.Error()}}
	}
	return map[string]any{"error": map[string]any{
		"exec_status": "FatalError", "message": failed.Message, "status_code": failed.Code,
		"description": failed.Detail, "hint": failed.Hint,
	}}
}
