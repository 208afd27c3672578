package acceptance

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
)

const (
	asOwner  = "DATABASE_URL"
	asApp    = "APP_DATABASE_URL"
	asHasura = "HASURA_DATABASE_URL"
)

// connect opens a connection as one of the database roles; it ends with the test.
func connect(t *testing.T, as string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), local.Get(as))
	if err != nil {
		t.Fatalf("%s: %v", as, err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// inSession runs fn in a transaction whose context is the given session, and
// rolls it back.
func inSession(t *testing.T, conn *pgx.Conn, session map[string]string, fn func(pgx.Tx)) {
	t.Helper()
	text, err := json.Marshal(session)
	if err != nil {
		t.Fatal(err)
	}
	inContext(t, conn, string(text), fn)
}

// inContext is inSession with any text for a context.
func inContext(t *testing.T, conn *pgx.Conn, text string, fn func(pgx.Tx)) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `SELECT set_config('hasura.user', $1, true)`, text); err != nil {
		t.Fatal(err)
	}
	fn(tx)
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// number runs a query that yields one number.
func number(t *testing.T, db querier, sql string, params ...any) int {
	t.Helper()
	var n int
	if err := db.QueryRow(t.Context(), sql, params...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// auditRows counts what is written down of a tenant.
func auditRows(t *testing.T, tenant string) int {
	t.Helper()
	return number(t, connect(t, asOwner), `SELECT count(*) FROM audit.log WHERE tenant_id = $1`, tenant)
}
