package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

// Applied is one safe fix that was made, or that this login may not make.
type Applied struct {
	Rule    string `json:"rule"`
	Object  string `json:"object"`
	SQL     string `json:"sql"`
	Refused string `json:"refused,omitempty"` // why Postgres does not let this login; "" where it was made
}

const lockTimeoutSQL = `SELECT set_config('lock_timeout', '5s', true)`

// Repair makes the safe fixes of findings that are not let off, in one transaction. One
// that the login has no right to is left out and told; any other error undoes them all. A
// lock that is not had within five seconds is such an error, so that no fix queues up
// before an application's own statements.
func Repair(ctx context.Context, conn *pgx.Conn, findings []Finding) ([]Applied, error) {
	applied := []Applied{}
	err := pg.InTx(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockTimeoutSQL); err != nil {
			return fmt.Errorf("limit the wait for locks: %w", err)
		}
		for _, f := range findings {
			done := slices.ContainsFunc(applied, func(a Applied) bool { return a.SQL == f.Fix.Text })
			if !f.Fix.Safe || f.Allowed != "" || done {
				continue
			}
			refused, err := try(ctx, tx, f.Fix.Text)
			if err != nil {
				return fmt.Errorf("nothing was changed, as the fix of %s at %s failed: %s: %w", f.Rule, f.Object, f.Fix.Text, err)
			}
			applied = append(applied, Applied{f.Rule, f.Object, f.Fix.Text, refused})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return applied, nil
}

// unmade is the reason where Postgres took the statement and did nothing, as a REVOKE by
// whoever did not grant.
const unmade = "it changed nothing: connect as the owner of the object, or as a superuser"

// Unmade marks what was to be fixed and is still found by the audit after it.
func (r *Report) Unmade(applied []Applied) []Applied {
	marked := slices.Clone(applied)
	for i, a := range marked {
		still := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == a.Rule && f.Object == a.Object })
		if still && a.Refused == "" {
			marked[i].Refused = unmade
		}
	}
	return marked
}

// try runs a fix in a savepoint, and says why the login may not.
func try(ctx context.Context, tx pgx.Tx, sql string) (refused string, err error) {
	const insufficientPrivilege = "42501"
	err = pg.InTx(ctx, tx, func(savepoint pgx.Tx) error {
		_, err := savepoint.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == insufficientPrivilege {
		return pgErr.Message, nil
	}
	return "", err
}
