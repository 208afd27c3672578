package budget_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
)

// As set up, with nothing said about pool or budget: whatever one tenant has open, it
// leaves as many of a server's connections to the others.
func TestOneTenantCannotFillAServersPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool, err := pg.OpenServer(t.Context(), w.URL("nself_server"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	open := 0
	for range pool.Config().MaxConns {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		err = pg.EnterTenant(t.Context(), tx, w.noisy.As(member.Owner))
		if pg.Constraint(err) == "tenant_budget_connections" {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		open++
	}
	if most := int(pool.Config().MaxConns); 2*open > most {
		t.Fatalf("one tenant has %d of the server's %d connections", open, most)
	}
	err = pg.InTx(t.Context(), pool, func(tx pgx.Tx) error { return pg.EnterTenant(t.Context(), tx, w.calm.As(member.Owner)) })
	if err != nil {
		t.Errorf("the neighbour: %v", err)
	}
}

// A burst waits for its turn, and not with connections in its hands.
func TestWhoWaitsForASeatKeepsNoConnectionFromANeighbour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(t, w.noisy, budget.SetInput{Connections: number[int](1)})
	holder, err := w.enter(t, w.Pool(t, "nself_app"), w.noisy)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pg.OpenServer(t.Context(), w.URL("nself_server")+"&pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	var tried, served atomic.Int64
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			err := pg.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				tried.Add(1)
				if err := pg.EnterTenant(t.Context(), tx, w.noisy.As(member.Owner)); err != nil {
					return err
				}
				served.Add(1)
				return nil
			})
			if err != nil {
				t.Errorf("who waited: %v", err)
			}
		})
	}
	for tried.Load() < 3 {
		err = pg.InTx(t.Context(), pool, func(tx pgx.Tx) error { return pg.EnterTenant(t.Context(), tx, w.calm.As(member.Owner)) })
		if err != nil {
			t.Fatalf("the neighbour: %v", err)
		}
	}
	if served.Load() > 0 {
		t.Error("there was no seat, and somebody had it")
	}
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	if served.Load() != 3 {
		t.Errorf("%d of 3 had their turn", served.Load())
	}
}

func TestTheURLSaysHowManyConnectionsAServerHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pool, err := pg.OpenServer(t.Context(), w.URL("nself_server")+"&pool_max_conns=3")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if most := pool.Config().MaxConns; most != 3 {
		t.Errorf("%d, not 3", most)
	}
}
