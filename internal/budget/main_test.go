package budget_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a database with two teams and a shared table of theirs.
type world struct {
	*pgtest.DB
	server      pg.DB
	noisy, calm pgtest.Team
}

func newWorld(t *testing.T) world {
	t.Helper()
	db := pgtest.Database(t)
	server := db.Pool(t, "nself_server")
	w := world{DB: db, server: server, noisy: pgtest.NewTeam(t, server), calm: pgtest.NewTeam(t, server)}
	return w
}

// asOwner runs SQL as nself_owner.
func (w world) asOwner(t *testing.T, sql string) {
	t.Helper()
	if _, err := w.Pool(t, "nself_owner").Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// plant makes shop.orders, a tenant table that is registered.
func (w world) plant(t *testing.T) {
	t.Helper()
	w.asOwner(t, `CREATE SCHEMA shop;
		CREATE TABLE shop.orders (tenant_id uuid NOT NULL DEFAULT tenants.current_tenant_id(), id bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (tenant_id, id));
		CREATE TABLE shop.lines (tenant_id uuid NOT NULL DEFAULT tenants.current_tenant_id(), id bigint GENERATED ALWAYS AS IDENTITY, order_id bigint NOT NULL,
			PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, order_id) REFERENCES shop.orders ON DELETE CASCADE);
		GRANT USAGE ON SCHEMA shop TO nself_app; GRANT ALL ON shop.orders, shop.lines TO nself_app;
		SELECT nself.declare_tenant_table('{"table":"shop.orders"}'), nself.declare_tenant_table('{"table":"shop.lines"}')`)
}

func (w world) set(t *testing.T, team pgtest.Team, in budget.SetInput) budget.Standing {
	t.Helper()
	actor := pgtest.Operator
	actor.Tenant = team.ID
	var standing budget.Standing
	err := pg.InTx(t.Context(), w.server, func(tx pgx.Tx) (err error) {
		standing, err = budget.Set(t.Context(), tx, actor, in)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return standing
}

// enter begins a transaction of a customer's service for a team.
func (w world) enter(t *testing.T, db pg.DB, team pgtest.Team) (pgx.Tx, error) {
	t.Helper()
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	_, err = tx.Exec(t.Context(), `SELECT tenants.enter($1)`, fmt.Sprintf(`{"x-hasura-tenant-id": %q}`, team.ID))
	return tx, err
}

func number[N int | int64](n N) *N { return &n }
