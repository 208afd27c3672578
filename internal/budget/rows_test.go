package budget_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

// run runs statements one after the other for a team and returns the first error.
func (w world) run(t *testing.T, team pgtest.Team, statements ...string) error {
	t.Helper()
	return pg.InTx(t.Context(), w.Pool(t, "nself_app"), func(tx pgx.Tx) error {
		if _, err := w.enter(t, tx, team); err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	})
}

const insertOrders = `INSERT INTO shop.orders SELECT FROM generate_series(1, %d)`

func TestAStatementChangesNoMoreRowsThanTheBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	w.set(t, w.noisy, budget.SetInput{Rows: number[int64](10)})
	kept, err := budget.Keep(t.Context(), w.Pool(t, "nself_owner"))
	if diff := cmp.Diff([]string{"shop.lines", "shop.orders"}, kept); err != nil || diff != "" {
		t.Fatalf("kept: %v\n%s", err, diff)
	}
	if again, err := budget.Keep(t.Context(), w.Pool(t, "nself_owner")); err != nil || len(again) > 0 {
		t.Errorf("kept again: %v %v", again, err)
	}
	ten, eleven := fmt.Sprintf(insertOrders, 10), fmt.Sprintf(insertOrders, 11)
	lines := `INSERT INTO shop.lines (order_id) SELECT o.id FROM shop.orders o LIMIT 10`
	for name, c := range map[string]struct {
		team       pgtest.Team
		statements []string
		refused    bool
	}{
		"as many as may be":               {w.noisy, []string{ten, ten}, false},
		"one more":                        {w.noisy, []string{eleven}, true},
		"an update":                       {w.noisy, []string{ten, ten, `UPDATE shop.orders SET id = DEFAULT`}, true},
		"a deletion":                      {w.noisy, []string{ten, ten, `DELETE FROM shop.orders`}, true},
		"what a deletion brings with it":  {w.noisy, []string{ten, lines, lines, `DELETE FROM shop.orders`}, true},
		"a deletion of as many as may be": {w.noisy, []string{ten, `DELETE FROM shop.orders`}, false},
		"the neighbour":                   {w.calm, []string{eleven, `DELETE FROM shop.orders`}, false},
	} {
		err := w.run(t, c.team, c.statements...)
		refusal := fault.From(pg.Explain(err))
		if c.refused && (refusal == nil || refusal.Code != fault.BudgetExceeded || refusal.Details["budget"] != "rows") || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w.asOwner(t, `DELETE FROM shop.orders`)
	}
	if err := w.run(t, w.noisy, `SELECT set_config('hasura.user', '{"x-hasura-role": "admin"}', true)`, eleven); pg.Constraint(err) == "tenant_budget_rows" {
		t.Errorf("the operator is held to a budget: %v", err)
	}
}

func TestKeepingNeedsABudgetOfRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	if kept, err := budget.Keep(t.Context(), w.Pool(t, "nself_owner")); err == nil || len(kept) > 0 {
		t.Errorf("without any budget of rows: %v %v", kept, err)
	}
	// In a transaction that goes on: what a tenant's schema asks for as it is made.
	if keeps, err := pg.Scalar[bool](t.Context(), w.Pool(t, "nself_owner"), `SELECT tenants.keep_row_budget('shop.orders')`, nil); err != nil || keeps {
		t.Errorf("kept: %v %v", keeps, err)
	}
}

func TestATableThatSomebodyHoldsIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	w.set(t, w.noisy, budget.SetInput{Rows: number[int64](10)})
	holder, err := w.enter(t, w.Pool(t, "nself_app"), w.noisy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), fmt.Sprintf(insertOrders, 1)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := budget.Keep(t.Context(), w.Pool(t, "nself_owner"))
		done <- err
	}()
	watch := w.Superuser(t)
	for waiting := false; !waiting; {
		waiting, err = pg.Scalar[bool](t.Context(), watch, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = to_regclass('shop.orders'))`, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := holder.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
