package budget_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestWhatATenantHasNotOfItsOwnIsTheDefaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.set(t, w.noisy, budget.SetInput{Connections: number[int](5), Rows: number[int64](1000)})
	want := budget.Standing{
		Budget: budget.Budget{StatementTimeoutMS: number[int](30000), Connections: number[int](5), Rows: number[int64](1000)},
		Own:    []string{"connections", "rows"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("set: %s", diff)
	}
	err := pg.InTx(t.Context(), w.server, func(tx pgx.Tx) error {
		none := 0
		usual, err := budget.SetDefault(t.Context(), tx, pgtest.Operator, budget.SetInput{StatementTimeoutMS: &none, Connections: number[int](7)})
		if diff := cmp.Diff(budget.Budget{Connections: number[int](7)}, usual); diff != "" {
			t.Errorf("default: %s", diff)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	zero := 0
	got = w.set(t, w.noisy, budget.SetInput{Connections: &zero})
	want = budget.Standing{Budget: budget.Budget{Connections: number[int](7), Rows: number[int64](1000)}, Own: []string{"rows"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the default's again: %s", diff)
	}
	entries, err := pg.Scalar[[]string](t.Context(), w.server, `SELECT array_agg(action ORDER BY action) FROM audit.log WHERE target = 'budget'`, nil)
	if diff := cmp.Diff([]string{"set_default_budget", "set_tenant_budget", "set_tenant_budget"}, entries); err != nil || diff != "" {
		t.Errorf("audited: %v %s", err, diff)
	}
}

func TestATenantsOwnRolesReadTheirBudgetAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t)
	w.set(t, w.noisy, budget.SetInput{Connections: number[int](5)})
	err := pg.InTx(t.Context(), w.server, func(tx pgx.Tx) error {
		actor := w.noisy.As(member.Admin)
		if err := pg.EnterTenant(t.Context(), tx, actor); err != nil {
			return err
		}
		got, err := budget.Of(t.Context(), tx, actor)
		if err != nil || !slices.Equal(got.Own, []string{"connections"}) {
			t.Errorf("its own: %v %v", got, err)
		}
		tables, err := budget.Unkept(t.Context(), tx)
		if diff := cmp.Diff([]string{"shop.lines", "shop.orders"}, tables); err != nil || diff != "" {
			t.Errorf("unkept: %v %s", err, diff)
		}
		_, err = tx.Exec(t.Context(), `INSERT INTO tenants.tenant_budgets (connections) VALUES (1000)`)
		if err == nil {
			t.Error("a tenant writes a budget for itself")
		}
		return nil
	})
	if err == nil {
		t.Error("the refused statement left the transaction whole")
	}
}

func TestABudgetIsAskedForWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		in    budget.SetInput
		field string
	}{
		"nothing":                {budget.SetInput{}, "statementTimeoutMs"},
		"a negative timeout":     {budget.SetInput{StatementTimeoutMS: number[int](-1)}, "statementTimeoutMs"},
		"more than a day":        {budget.SetInput{StatementTimeoutMS: number[int](86400001)}, "statementTimeoutMs"},
		"more seats than are":    {budget.SetInput{Connections: number[int](1001)}, "connections"},
		"a negative row":         {budget.SetInput{Rows: number[int64](-5)}, "rows"},
		"a day, and all of rows": {budget.SetInput{StatementTimeoutMS: number[int](86400000), Rows: number[int64](1 << 62)}, ""},
	} {
		var problems fault.Problems
		c.in.Validate(&problems)
		if c.field == "" && len(problems) > 0 || c.field != "" && (len(problems) != 1 || problems[0].Field != c.field) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
