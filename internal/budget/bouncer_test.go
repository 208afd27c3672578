package budget_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/local/pgbouncer"
	"github.com/nself/tenancy/internal/pg"
)

// Behind a pooler the sessions are everybody's: a seat, the timeout and the path must go
// with the transaction that brought them, and seats count whichever way a tenant comes.
func TestBudgetsHoldThroughAPoolOfTransactions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bouncer, err := pgbouncer.Start(t.Context(), pgbouncer.Config{URLs: []string{w.URL("nself_app")}, PoolSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bouncer.Close() })
	address, err := bouncer.URL(w.URL("nself_app"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // names nothing that another client could meet
	pooled, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pooled.Close)
	w.set(t, w.noisy, budget.SetInput{Connections: number[int](2), StatementTimeoutMS: number[int](1234)})
	first, err := w.enter(t, pooled, w.noisy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.enter(t, w.Pool(t, "nself_app"), w.noisy); err != nil {
		t.Fatal(err)
	}
	third, err := w.enter(t, pooled, w.noisy)
	if pg.Constraint(err) != "tenant_budget_connections" {
		t.Fatalf("the third transaction, through the pooler and past it: %v", err)
	}
	_ = third.Rollback(t.Context())
	_ = first.Rollback(t.Context())
	for range 6 { // every session of the pool was the noisy one's, or is new
		calm, err := w.enter(t, pooled, w.calm)
		if err != nil {
			t.Fatalf("the neighbour is refused: %v", err)
		}
		if got, err := pg.Scalar[string](t.Context(), calm, `SELECT current_setting('statement_timeout')`, nil); err != nil || got != "30s" {
			t.Errorf("the neighbour's timeout is %s (%v)", got, err)
		}
		_ = calm.Rollback(t.Context())
	}
}

func TestNothingOfABudgetStaysInTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, w.noisy, budget.SetInput{StatementTimeoutMS: number[int](1234)})
	conn, err := pgx.Connect(t.Context(), w.URL("nself_app"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := w.enter(t, conn, w.noisy)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	const leftSQL = `SELECT current_setting('statement_timeout') || current_setting('hasura.user') || current_setting('nself.search_path') ||
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())`
	if left, err := pg.Scalar[string](t.Context(), conn, leftSQL, nil); err != nil || left != "00" {
		t.Errorf("left: %q %v", left, err)
	}
}
