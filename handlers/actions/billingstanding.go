package actions

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/session"
)

type standingReply struct {
	State            string     `json:"state"`
	Since            *time.Time `json:"since"`
	GraceUntil       *time.Time `json:"graceUntil"`
	DueAt            *time.Time `json:"dueAt"`
	Plan             *string    `json:"plan"`
	Status           *string    `json:"status"`
	CurrentPeriodEnd *time.Time `json:"currentPeriodEnd"`
	AmountMinor      *int64     `json:"amountMinor"`
	Currency         *string    `json:"currency"`
}

func billingStanding(ctx context.Context, tx pgx.Tx, s session.Session, _ ownTenant) (standingReply, error) {
	account, err := billing.AccountOf(ctx, tx, s.Tenant)
	if err != nil {
		return standingReply{}, err
	}
	reply := standingReply{State: string(account.State), GraceUntil: account.GraceUntil, DueAt: account.DueAt}
	if !account.Since.IsZero() {
		reply.Since = &account.Since
	}
	main, err := billing.MainOf(ctx, tx, s.Tenant)
	if fault.Is(err, fault.NoSubscription) {
		return reply, nil
	}
	reply.Plan, reply.Status, reply.CurrentPeriodEnd = main.Plan, &main.Status, &main.CurrentPeriodEnd
	reply.AmountMinor, reply.Currency = &main.AmountMinor, &main.Currency
	return reply, err
}
