package adoption

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

// scan reads every row under a lock that no writer waits for.
func (r *Runner) scan(ctx context.Context, s *Standing) error {
	err := pg.InTx(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, strings.Join(s.Do.SQL, ";\n")); err != nil {
			return err
		}
		return note(ctx, tx, r.of.ID, *s, true)
	})
	switch {
	case pg.HasState(err, checkViolation):
		if again := r.fillAgain(ctx, s); again != nil {
			return again
		}
		return fmt.Errorf("rows without a tenant were written where no trigger sees it (session_replication_role): run the command again, and they are filled: %w", err)
	case pg.HasState(err, foreignViolation):
		return fmt.Errorf("%s Mend the rows and run the command again, or take it back with --undo: %w", detail(err), err)
	}
	return err
}

// detail is what Postgres says beside an error.
func detail(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Detail
	}
	return ""
}

// fillAgain has the next run fill the table once more.
func (r *Runner) fillAgain(ctx context.Context, s *Standing) error {
	for _, other := range r.of.Steps {
		if other.Kind == Fill && other.Table == s.Table {
			other.Progress = Progress{}
			return note(ctx, r.conn, r.of.ID, other, false)
		}
	}
	return nil
}

const leftInvalidSQL = `
	SELECT i.indisvalid FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = @schema AND c.relname = @name`

// build makes an index beside the writers. What a run that was stopped left half done is
// dropped and made again.
func (r *Runner) build(ctx context.Context, s *Standing) error {
	for {
		valid, err := pg.Scalar[bool](ctx, r.conn, leftInvalidSQL, pgx.NamedArgs{"schema": s.Table.Schema, "name": s.Index})
		switch {
		case err == nil && valid:
			return note(ctx, r.conn, r.of.ID, *s, true)
		case err == nil:
			_, err = r.conn.Exec(ctx, dropIndex(s.Table.Schema, s.Index))
		case pg.NoRow(err):
			_, err = r.conn.Exec(ctx, s.Do.SQL[0])
		}
		if pg.HasState(err, deadlockDetected) { // with another index that is being built: one of the two goes on
			continue
		}
		if err != nil {
			return err
		}
	}
}
