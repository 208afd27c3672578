package purchase

import (
	"context"
	"time"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripeapi"
)

// standing is what a change of plan goes by.
type standing struct {
	present
	seats  int64
	holds  billing.PlanRow // the plan that is paid for now
	target billing.PlanRow
	kept   bool // a cheaper plan than holds is agreed, and is the price already
}

// cost is what a plan costs the tenant per month.
func (s standing) cost(plan billing.PlanRow) int64 { return plan.PriceMinor * s.quantity(plan) }

func (s standing) quantity(plan billing.PlanRow) int64 {
	if plan.PerSeat {
		return s.seats
	}
	return 1
}

// standing reads what a change to a plan goes by, and refuses one that changes nothing.
func (r *run) standing(ctx context.Context, code string) (standing, error) {
	now, err := r.present(ctx, changeable)
	if err != nil {
		return standing{}, err
	}
	s := standing{present: now}
	if now.planItem == nil {
		return s, fault.New(fault.WrongStatus, "the subscription %s is of no plan of this installation: change it at Stripe, or cancel it", now.ID).With("status", now.Status)
	}
	clock, err := r.desk.clock(ctx, r.op.TenantID)
	if err != nil {
		return s, err
	}
	held := now.plan
	if s.kept = now.KeepsPlan != "" && clock.Before(now.KeepsUntil); s.kept {
		held = now.KeepsPlan
	}
	if err := s.refuseSame(code); err != nil {
		return s, err
	}
	db := r.desk.config.DB
	if s.holds, err = billing.Plan(ctx, db, held); err != nil {
		return s, err
	}
	if s.target, err = billing.Plan(ctx, db, code); err != nil {
		return s, err
	}
	s.seats, err = r.desk.seats(ctx, r.op.TenantID)
	return s, err
}

func (s standing) refuseSame(code string) error {
	switch {
	case code != s.plan:
		return nil
	case s.kept:
		return fault.New(fault.InvalidInput, "plan %s is agreed already: it comes on %s", code, s.KeepsUntil.UTC().Format(time.RFC3339))
	}
	return fault.New(fault.InvalidInput, "plan is %s, which the tenant has", code)
}

// chooseChange decides what a change to a plan does.
func (r *run) chooseChange(ctx context.Context, code string) (change, error) {
	s, err := r.standing(ctx, code)
	if err != nil {
		return change{}, err
	}
	db := r.desk.config.DB
	wanted, err := r.desk.priceOf(ctx, db, code, "")
	if err != nil {
		return change{}, err
	}
	if err := checkCurrency(wanted.Currency, s.Currency); err != nil {
		return change{}, err
	}
	c := change{
		Subscription: s.ID, Item: s.planItem.ID, From: place{s.planItem.Price, s.planItem.Quantity},
		To: &place{Price: wanted.ID, Quantity: s.quantity(s.target)},
	}
	if s.kept {
		c.WasKept, c.WasUntil = s.KeepsPlan, s.KeepsUntil
		back, err := r.desk.priceOf(ctx, db, s.holds.Code, "")
		if err != nil {
			return c, err
		}
		c.Back = &place{Price: back.ID, Quantity: s.quantity(s.holds)}
	}
	return c.toward(s), nil
}

// toward decides how the change is made: during a trial at once and for nothing, to a
// dearer plan at once and paid for, to a cheaper one so that the next period is billed at
// its price while the present plan, which is paid, holds until then.
func (c change) toward(s standing) change {
	switch {
	case s.Status == statusTrialing:
		c.Proration, c.Back = stripeapi.ProrateNot, nil
	case s.target.Code == s.holds.Code:
		c.To = nil
	case s.cost(s.target) >= s.cost(s.holds):
		c.Proration = stripeapi.ProrateAtOnce
	default:
		c.Proration, c.Back = stripeapi.ProrateNot, nil
		c.KeepsPlan, c.KeepsUntil = s.holds.Code, s.CurrentPeriodEnd
	}
	return c
}
