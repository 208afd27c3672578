package budget_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
)

func TestATenantHasNoMoreTransactionsOpenThanItsBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, w.noisy, budget.SetInput{Connections: number[int](2)})
	app := w.Pool(t, "nself_app")
	first, err := w.enter(t, app, w.noisy)
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.InTx(t.Context(), w.server, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, w.noisy.As(member.Owner)); err != nil {
			t.Fatalf("the server takes the second seat: %v", err)
		}
		_, err := w.enter(t, app, w.noisy)
		refused := fault.From(pg.Explain(err))
		if refused.Code != fault.BudgetExceeded || refused.Details["budget"] != "connections" || refused.Details["retryAfter"] != 1 {
			t.Errorf("the third is %v %v", refused, refused.Details)
		}
		if _, err := w.enter(t, app, w.calm); err != nil {
			t.Errorf("the neighbour is refused: %v", err)
		}
		if _, err := first.Exec(t.Context(), `SELECT tenants.enter(tenants.current_session())`); err != nil {
			t.Errorf("who has a seat is refused when it enters again: %v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enter(t, app, w.noisy); err != nil {
		t.Errorf("the seat that the server gave back is not to be had: %v", err)
	}
}

func TestAServersTransactionPastTheBudgetIsRefusedByTheDoorsFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, w.noisy, budget.SetInput{Connections: number[int](1)})
	if _, err := w.enter(t, w.Pool(t, "nself_app"), w.noisy); err != nil {
		t.Fatal(err)
	}
	err := pg.InTx(t.Context(), w.server, func(tx pgx.Tx) error {
		return pg.EnterTenant(t.Context(), tx, w.noisy.As(member.Plain))
	})
	if !fault.Is(pg.Explain(err), fault.BudgetExceeded) {
		t.Errorf("the server's second transaction: %v", err)
	}
}

func TestASeatComesBackWhenItsSessionDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, w.noisy, budget.SetInput{Connections: number[int](1)})
	conn, err := pgx.Connect(t.Context(), w.URL("nself_app"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := w.enter(t, conn, w.noisy); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Superuser(t).Exec(t.Context(), `SELECT pg_terminate_backend($1, 10000)`, conn.PgConn().PID()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enter(t, w.Pool(t, "nself_app"), w.noisy); err != nil {
		t.Errorf("the seat of a dead session: %v", err)
	}
}

func TestAStatementEndsAtTheTenantsTimeoutOrAShorterOneThatHolds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, w.noisy, budget.SetInput{StatementTimeoutMS: number[int](1500)})
	app := w.Pool(t, "nself_app")
	for present, want := range map[string]string{"0": "1500ms", "90s": "1500ms", "1200ms": "1200ms", "2s": "1500ms", "1min": "1500ms"} {
		tx, err := app.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT set_config('statement_timeout', $1, true)`, present); err != nil {
			t.Fatal(err)
		}
		if _, err := w.enter(t, tx, w.noisy); err != nil {
			t.Fatal(err)
		}
		got, err := pg.Scalar[string](t.Context(), tx, `SELECT current_setting('statement_timeout')`, nil)
		if err != nil || got != want {
			t.Errorf("where %s held, %s holds, want %s (%v)", present, got, want, err)
		}
		_ = tx.Rollback(t.Context())
	}
	w.set(t, w.noisy, budget.SetInput{StatementTimeoutMS: number[int](50)})
	err := pg.InTx(t.Context(), w.server, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, w.noisy.As(member.Owner)); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `SELECT pg_sleep(60)`)
		return err
	})
	if refused := fault.From(pg.Explain(err)); refused.Code != fault.BudgetExceeded || refused.Details["budget"] != "statement_timeout" {
		t.Errorf("a statement that runs on is %v", refused)
	}
}

func TestEnteringNeedsATenantThatIsActive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.Pool(t, "nself_app")
	w.asOwner(t, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = '`+w.calm.ID.String()+`'`)
	if _, err := w.enter(t, app, w.calm); pg.Constraint(err) != "tenant_not_active" {
		t.Errorf("a suspended tenant: %v", err)
	}
	for _, session := range []string{`NULL`, `'{}'`, `'{"x-hasura-tenant-id": "00000000-0000-4000-8000-000000000000"}'`,
		`'{"x-hasura-tenant-id": "` + w.noisy.ID.String() + `", "x-hasura-role": "tenant_owner", "x-hasura-user-id": "` + w.noisy.Guest.String() + `"}'`} {
		if _, err := app.Exec(t.Context(), `SELECT tenants.enter(`+session+`)`); pg.Constraint(err) != "tenant_not_active" {
			t.Errorf("%s: %v", session, err)
		}
	}
	for _, role := range []string{"nself_hasura", "nself_tenant"} {
		if may, err := pg.Scalar[bool](t.Context(), w.server, `SELECT has_function_privilege(@role, 'tenants.enter(jsonb)', 'EXECUTE')`, pgx.NamedArgs{"role": role}); err != nil || may {
			t.Errorf("%s may enter: %v %v", role, may, err)
		}
	}
}

func TestEnteringOpensTheTenantsOwnSchemaForTheTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.asOwner(t, `INSERT INTO nself.tenant_migrations VALUES (1, 'notes', 'CREATE TABLE notes (id bigint PRIMARY KEY)', repeat('a', 64));
		UPDATE tenants.tenants SET strategy = 'schema' WHERE id = '`+w.noisy.ID.String()+`';
		SELECT tenants.create_tenant_schema('`+w.noisy.ID.String()+`', 'tenant_')`)
	tx, err := w.enter(t, w.Pool(t, "nself_app"), w.noisy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO notes VALUES (1)`); err != nil {
		t.Fatalf("its table, without the schema's name: %v", err)
	}
	const pathSQL = `SELECT current_setting('search_path')`
	first, err := pg.Scalar[string](t.Context(), tx, pathSQL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT tenants.enter(tenants.current_session())`); err != nil {
		t.Fatal(err)
	}
	if again, err := pg.Scalar[string](t.Context(), tx, pathSQL, nil); err != nil || again != first {
		t.Errorf("entered again the path is %s, and was %s (%v)", again, first, err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT tenants.enter(jsonb_build_object('x-hasura-tenant-id', $1::text))`, w.calm.ID.String()); err != nil {
		t.Fatal(err)
	}
	if after, err := pg.Scalar[string](t.Context(), tx, pathSQL, nil); err != nil || after != `"$user", public` {
		t.Errorf("a tenant without a schema has the path %s (%v)", after, err)
	}
}
