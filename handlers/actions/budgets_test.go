package actions_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
)

func TestTheOperatorSetsABudgetAndTheTenantReadsIt(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	golden(t, "set", h.call(t, pgtest.Operator, "setTenantBudget", map[string]any{"tenant": team.Slug, "connections": 5, "statementTimeoutMs": 2000}),
		`{"tenantId":"<id>","statementTimeoutMs":2000,"connections":5,"rows":null,"unkeptTables":0,"own":["statement_timeout","connections"]}`)
	golden(t, "read by an admin", h.call(t, team.As(member.Admin), "tenantBudget", nil),
		`{"tenantId":"<id>","statementTimeoutMs":2000,"connections":5,"rows":null,"unkeptTables":0,"own":["statement_timeout","connections"]}`)
	golden(t, "a neighbour", h.call(t, owner(other), "tenantBudget", nil),
		`{"tenantId":"<id>","statementTimeoutMs":30000,"connections":10,"rows":null,"unkeptTables":0,"own":[]}`)
	golden(t, "the default", h.call(t, pgtest.Operator, "setDefaultBudget", map[string]any{"statementTimeoutMs": 0, "rows": "9007199254740993"}),
		`{"statementTimeoutMs":null,"connections":10,"rows":9007199254740993,"unkeptTables":0}`)
	golden(t, "the default's again", h.call(t, pgtest.Operator, "setTenantBudget", map[string]any{"tenant": team.Slug, "statementTimeoutMs": 0, "connections": nil}),
		`{"tenantId":"<id>","statementTimeoutMs":null,"connections":5,"rows":9007199254740993,"unkeptTables":0,"own":["connections"]}`)
	golden(t, "read by the operator", h.call(t, pgtest.Operator, "defaultBudget", nil),
		`{"statementTimeoutMs":null,"connections":10,"rows":9007199254740993,"unkeptTables":0}`)
	h.refused(t, "not-found", owner(other), "tenantBudget", map[string]any{"tenant": team.Slug})
	h.refused(t, "invalid-input", pgtest.Operator, "setTenantBudget", map[string]any{"tenant": team.Slug})
	h.refused(t, "invalid-input", pgtest.Operator, "setTenantBudget", map[string]any{"tenant": team.Slug, "connections": 1001})
	h.refused(t, "not-found", pgtest.Operator, "setTenantBudget", map[string]any{"tenant": "nobody", "connections": 1})
}

func TestAnActionPastTheBudgetOfTransactionsIsToldWhenToTryAgain(t *testing.T) {
	h := newHouse(t)
	team, other := pgtest.NewTeam(t, h.db), pgtest.NewTeam(t, h.db)
	h.must(t, pgtest.Operator, "setTenantBudget", map[string]any{"tenant": team.Slug, "connections": 1})
	if err := pg.InTx(t.Context(), h.db, func(tx pgx.Tx) error {
		if err := pg.EnterTenant(t.Context(), tx, owner(team)); err != nil {
			return err
		}
		got := h.refused(t, "budget-exceeded", owner(team), "tenantStats", nil)
		golden(t, "refused", got, `{"code":"budget-exceeded","extensions":{"budget":"connections","code":"budget-exceeded","retryAfter":<seconds>},`+
			`"message":"the tenant has 1 transactions open, as many as its budget lets it; try again"}`)
		if got.status != 429 || got.header.Get("Retry-After") != "1" {
			t.Errorf("%d %v", got.status, got.header)
		}
		h.must(t, owner(other), "tenantStats", nil)
		h.must(t, pgtest.Operator, "tenantStats", map[string]any{"tenant": team.Slug})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.must(t, owner(team), "tenantStats", nil)
}
