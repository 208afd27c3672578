package actions

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/session"
)

// budgetReply is a budget; null is no limit.
type budgetReply struct {
	StatementTimeoutMS *int   `json:"statementTimeoutMs"`
	Connections        *int   `json:"connections"`
	Rows               *int64 `json:"rows"`
	UnkeptTables       int    `json:"unkeptTables"`
}

type tenantBudgetReply struct {
	TenantID id.Tenant `json:"tenantId"`
	budgetReply
	Own []string `json:"own"`
}

type budgetInput struct {
	StatementTimeoutMS *int    `json:"statementTimeoutMs"`
	Connections        *int    `json:"connections"`
	Rows               *bigint `json:"rows"`
	clean              budget.SetInput
}

func (in *budgetInput) validate(_ session.Session, problems *fault.Problems) {
	in.clean = budget.SetInput{StatementTimeoutMS: in.StatementTimeoutMS, Connections: in.Connections, Rows: (*int64)(in.Rows)}
	in.clean.Validate(problems)
}

type setTenantBudgetInput struct {
	anyTenant
	budgetInput
}

// replyBudget tells the operator alone on how many tables a budget of rows does not hold
// yet: their number tells of other tenants.
func replyBudget(ctx context.Context, tx pgx.Tx, s session.Session, b budget.Budget) (budgetReply, error) {
	reply := budgetReply{StatementTimeoutMS: b.StatementTimeoutMS, Connections: b.Connections, Rows: b.Rows}
	if b.Rows == nil || !s.IsOperator() {
		return reply, nil
	}
	unkept, err := budget.Unkept(ctx, tx)
	reply.UnkeptTables = len(unkept)
	return reply, err
}

func replyTenantBudget(ctx context.Context, tx pgx.Tx, s session.Session, found budget.Standing) (tenantBudgetReply, error) {
	reply, err := replyBudget(ctx, tx, s, found.Budget)
	return tenantBudgetReply{TenantID: s.Tenant, budgetReply: reply, Own: found.Own}, err
}

func setTenantBudget(ctx context.Context, tx pgx.Tx, s session.Session, in setTenantBudgetInput) (tenantBudgetReply, error) {
	set, err := budget.Set(ctx, tx, s, in.clean)
	if err != nil {
		return tenantBudgetReply{}, err
	}
	return replyTenantBudget(ctx, tx, s, set)
}

func tenantBudget(ctx context.Context, tx pgx.Tx, s session.Session, _ ownTenant) (tenantBudgetReply, error) {
	found, err := budget.Of(ctx, tx, s)
	if err != nil {
		return tenantBudgetReply{}, err
	}
	return replyTenantBudget(ctx, tx, s, found)
}

func setDefaultBudget(ctx context.Context, tx pgx.Tx, s session.Session, in budgetInput) (budgetReply, error) {
	set, err := budget.SetDefault(ctx, tx, s, in.clean)
	if err != nil {
		return budgetReply{}, err
	}
	return replyBudget(ctx, tx, s, set)
}

func defaultBudget(ctx context.Context, tx pgx.Tx, s session.Session, _ struct{}) (budgetReply, error) {
	found, err := budget.Default(ctx, tx)
	if err != nil {
		return budgetReply{}, err
	}
	return replyBudget(ctx, tx, s, found)
}
