package pg

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
)

// Explain turns what Postgres says about the caller's values, or about its own state,
// into a fault: a value that cannot be stored is invalid-input, a database out of
// reach is unavailable. Every other error passes unchanged.
func Explain(err error) error {
	var said *fault.Fault
	var pgErr *pgconn.PgError
	var netErr net.Error
	var connectErr *pgconn.ConnectError
	switch {
	case errors.As(err, &said): // whoever said it knew more
		return err
	case errors.As(err, &pgErr):
		return explain(pgErr, err)
	case NoRow(err):
		return changedMeanwhile(err)
	case errors.As(err, &connectErr), errors.As(err, &netErr), errors.Is(err, io.ErrUnexpectedEOF), pgconn.SafeToRetry(err):
		return unavailable(err)
	}
	return err
}

// explain goes by SQLSTATE (PostgreSQL documentation, appendix A).
func explain(pgErr *pgconn.PgError, err error) error {
	if budget := overBudget(pgErr); budget != nil {
		return budget.Because(err)
	}
	switch pgErr.Code[:2] {
	case "22", "54": // data exception; too deep, too large
		return fault.New(fault.InvalidInput, "a value cannot be stored: %s", pgErr.Message).Because(err)
	case "23":
		if pgErr.Code == "23514" {
			return fault.New(fault.InvalidInput, "a value breaks the rule %s of the database", pgErr.ConstraintName).Because(err)
		}
	case "42":
		// A policy refused the row; a right that is missing has another routine, and is a bug.
		if pgErr.Routine == "ExecWithCheckOptions" {
			return changedMeanwhile(err)
		}
	case "08", "40", "53": // connection; serialization and deadlock; resources
		return unavailable(err)
	}
	if pgErr.Code[:3] == "57P" { // shutting down or starting up
		return unavailable(err)
	}
	return err
}

// seatWait is in how many seconds a tenant may try again that has all of its transactions
// open: most end sooner.
const seatWait = 1

// overBudget is the fault of what passes a tenant's budget, nil for anything else.
func overBudget(pgErr *pgconn.PgError) *fault.Fault {
	refuse := func(budget, message string) *fault.Fault {
		return fault.New(fault.BudgetExceeded, "%s", message).With("budget", budget)
	}
	switch {
	case pgErr.ConstraintName == seatConstraint:
		return refuse("connections", pgErr.Message+"; try again").With("retryAfter", seatWait)
	case pgErr.ConstraintName == "tenant_budget_rows":
		return refuse("rows", pgErr.Message)
	case pgErr.Code == "57014": // canceled, by the statement timeout or by the operator's hand
		return refuse("statement_timeout", "a statement took longer than the database lets it; ask for less at once")
	}
	return nil
}

// changedMeanwhile is for a statement that row-level security left without its row. The
// caller was admitted and the row was there, so one of them went in between.
func changedMeanwhile(err error) error {
	return fault.New(fault.Forbidden, "the tenant or your membership changed while this was under way; try again").Because(err)
}

func unavailable(err error) error {
	return fault.New(fault.Unavailable, "the database is out of reach; try again").Because(err)
}
