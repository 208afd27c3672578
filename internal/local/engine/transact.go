package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/local/engine/nested"
	"github.com/nself/tenancy/internal/local/engine/qerr"
	"github.com/nself/tenancy/internal/local/engine/sqlgen"
)

// sessionSQL is SET LOCAL "hasura.user" and "hasura.tracecontext", with the values as
// parameters.
const sessionSQL = `SELECT set_config('hasura.user', $1, true), set_config('hasura.tracecontext', $2, true)`

// queryer is a pool or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// transact runs the statements of neighbouring mutation fields in one transaction that
// carries the session.
func (o *operation) transact(ctx context.Context, steps []step, results []json.RawMessage) error {
	tx, err := o.engine.pool.Begin(ctx)
	if err != nil {
		return o.databaseError(ctx, err, "$")
	}
	defer func() {
		// After Commit this does nothing; ctx may have ended, and the connection must
		// not go back to the pool inside a transaction.
		_ = tx.Rollback(context.WithoutCancel(ctx))
	}()
	if _, err := tx.Exec(ctx, sessionSQL, o.session.JSON(), o.trace.context()); err != nil {
		return o.databaseError(ctx, err, "$")
	}
	for i, s := range steps {
		if results[i], err = o.runStatements(ctx, tx, s); err != nil {
			return err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return o.databaseError(ctx, err, steps[0].field.Path)
	}
	return nil
}

// runStatements runs what one field compiled to and returns its JSON.
func (o *operation) runStatements(ctx context.Context, db queryer, s step) (json.RawMessage, error) {
	if s.nested {
		insertion := nested.Insertion{Model: o.state.model, Session: o.compiling(), Run: func(statement sqlgen.Statement) (json.RawMessage, error) {
			return o.runStatement(ctx, db, statement)
		}}
		return insertion.Answer(s.root, s.field)
	}
	parts := make([][]byte, 0, len(s.statements))
	for _, statement := range s.statements {
		part, err := o.runStatement(ctx, db, statement)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if s.list {
		return append(append([]byte{'['}, bytes.Join(parts, []byte{','})...), ']'), nil
	}
	return parts[0], nil
}

func (o *operation) runStatement(ctx context.Context, db queryer, statement sqlgen.Statement) (json.RawMessage, error) {
	var text *string
	holds := true
	targets := []any{&text}
	if statement.Checked {
		targets = append(targets, &holds)
	}
	if err := db.QueryRow(ctx, statement.SQL, statement.Args...).Scan(targets...); err != nil {
		return nil, o.databaseError(ctx, err, statement.Path)
	}
	if !holds {
		return nil, qerr.New(qerr.PermissionError, "%s", statement.Failure).At(statement.Path)
	}
	if text == nil {
		return json.RawMessage("null"), nil
	}
	return json.RawMessage(*text), nil
}

// databaseError translates, and logs what the client is not told.
func (o *operation) databaseError(ctx context.Context, err error, path string) error {
	failure := qerr.FromPostgres(err, path)
	var failed *pgconn.PgError
	if failure.Code == qerr.Unexpected && errors.As(err, &failed) {
		o.engine.config.Log.WarnContext(ctx, "statement failed", "sqlstate", failed.Code, "error", failed.Message, "role", o.session.Role)
	}
	return failure
}
