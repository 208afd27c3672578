package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

const contextSQL = `SELECT set_config('hasura.user', $1, true)`

// reader is a connection of one role, with the session its transactions act under.
type reader struct {
	conn    *pgx.Conn
	setting string
}

func newReader(t testing.TB, db *pgtest.DB, role string, s session.Session) reader {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL(role))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return reader{conn: conn, setting: s.Setting()}
}

// query is a statement and how many rows it has to find.
type query struct {
	sql  string
	args []any
	rows int
}

// pipelined reads in a transaction of its own, in one round trip.
func (r reader) pipelined(q query) error {
	ctx := context.Background()
	batch := &pgx.Batch{}
	batch.Queue("begin")
	batch.Queue(contextSQL, r.setting)
	batch.Queue(q.sql, q.args...)
	batch.Queue("commit")
	results := r.conn.SendBatch(ctx, batch)
	defer func() { _ = results.Close() }()
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	if err := drain(rows, q.rows); err != nil {
		return err
	}
	if _, err := results.Exec(); err != nil {
		return err
	}
	return results.Close()
}

// stepwise does the same in four round trips.
func (r reader) stepwise(q query) error {
	ctx := context.Background()
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, contextSQL, r.setting); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, q.sql, q.args...)
		if err != nil {
			return err
		}
		return drain(rows, q.rows)
	})
}

// bare reads without a transaction and without a session.
func (r reader) bare(q query) error {
	rows, err := r.conn.Query(context.Background(), q.sql, q.args...)
	if err != nil {
		return err
	}
	return drain(rows, q.rows)
}

// drain takes the rows off the wire and leaves them undecoded: what the client does with
// them is the same on every side.
func drain(rows pgx.Rows, want int) error {
	defer rows.Close()
	got := 0
	for rows.Next() {
		got++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%d rows, want %d", got, want)
	}
	return nil
}
