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
	holds  string // the plan that is paid for now
	paid   place  // what is paid for it
	kept   bool   // a cheaper plan than holds is agreed, and is the price already
	clock  time.Time
	target billing.PlanRow // that shall be
	wanted price           // of target
	seats  int64           // of wanted: 1 where it is not paid per seat
}

// standing reads what a change to a plan goes by, and refuses one that changes nothing.
func (r *run) standing(ctx context.Context, code string) (standing, error) {
	now, err := r.present(ctx, changeable)
	if err != nil {
		return standing{}, err
	}
	s := standing{present: now, seats: 1}
	if now.PlanItem == nil {
		return s, fault.New(fault.WrongStatus, "the subscription %s is of no plan of this installation: change it at Stripe, or cancel it", now.ID).With("status", now.Status)
	}
	if s.clock, err = r.desk.clock(ctx, r.op.TenantID); err != nil {
		return s, err
	}
	s.holds, s.paid = now.Plan, place{now.PlanItem.Price, now.PlanItem.Quantity}
	if s.kept = now.KeepsPlan != "" && s.clock.Before(now.KeepsUntil); s.kept {
		s.holds, s.paid = now.KeepsPlan, place{now.KeepsPrice, now.KeepsQuantity}
	}
	if err := s.refuseSame(code); err != nil {
		return s, err
	}
	db := r.desk.config.DB
	if s.wanted, err = r.desk.priceOf(ctx, db, code, ""); err != nil {
		return s, err
	}
	if s.target, err = billing.Plan(ctx, db, code); err == nil && s.target.PerSeat {
		s.seats, err = r.desk.seats(ctx, r.op.TenantID)
	}
	return s, err
}

func (s standing) refuseSame(code string) error {
	switch {
	case code != s.Plan:
		return nil
	case s.kept:
		return fault.New(fault.InvalidInput, "plan %s is agreed already: it comes on %s", code, s.KeepsUntil.UTC().Format(time.RFC3339))
	}
	return fault.New(fault.InvalidInput, "plan is %s, which the tenant has", code)
}

// trial is what becomes of a trial that runs with the wanted plan: it ends when the one of
// that plan would have; over: that is now, and the first period is paid at once.
func (s standing) trial() (until time.Time, over bool) {
	until = s.CreatedAt.AddDate(0, 0, s.target.TrialDays)
	if s.target.TrialDays == 0 || !until.After(s.clock) {
		return time.Time{}, true
	}
	if !until.Before(s.TrialEnd) {
		return time.Time{}, false
	}
	return until, false
}

// chooseChange decides what a change to a plan does: during a trial it is made at once, to what costs more than is paid at once and paid for, to what costs less so
// that the next period is billed at its price while the present plan, which is paid, holds
// until then.
func (r *run) chooseChange(ctx context.Context, code string) (change, error) {
	s, err := r.standing(ctx, code)
	if err != nil {
		return change{}, err
	}
	if err := checkCurrency(s.wanted.Currency, s.Currency); err != nil {
		return change{}, err
	}
	pays, err := r.desk.amountOf(ctx, s.paid.Price)
	if err != nil {
		return change{}, err
	}
	c := change{
		Subscription: s.ID, Item: s.PlanItem.ID, From: place{s.PlanItem.Price, s.PlanItem.Quantity},
		To: &place{Price: s.wanted.ID, Quantity: s.seats},
	}
	if s.kept {
		c.Was = &stripeapi.Kept{Plan: s.KeepsPlan, Until: s.KeepsUntil, Price: s.KeepsPrice, Quantity: s.KeepsQuantity}
		c.Back = &s.paid
	}
	switch {
	case s.Status == billing.StatusTrialing:
		c.Proration, c.Back = stripeapi.ProrateNot, nil
		c.TrialEnd, c.TrialOver = s.trial()
	case code == s.holds:
		c.To = nil
	case s.wanted.AmountMinor*s.seats >= pays*s.paid.Quantity:
		c.Proration = stripeapi.ProrateAtOnce
	default:
		c.Proration, c.Back = stripeapi.ProrateNot, nil
		c.Keeps = &stripeapi.Kept{Plan: s.holds, Until: s.CurrentPeriodEnd, Price: s.paid.Price, Quantity: s.paid.Quantity}
	}
	return c, nil
}
