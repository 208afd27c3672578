package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nself/tenancy/internal/hasuraapi"
)

// The names of Stripe's test cards.
const (
	goodCard     = "pm_card_visa"
	decliningOne = "pm_card_chargeCustomerFail" // it can be set, and every charge fails
)

const (
	afterRenewal = 2 * time.Hour // Stripe lets a renewal's invoice lie open to changes for one hour
	mostSteps    = 20            // from a failed payment to the suspension
	lagging      = 90 * time.Second
)

// simulation plays months of a subscription and keeps what happened.
type simulation struct {
	p      *program
	client *hasuraapi.Client

	months, failIn  int
	plan, otherPlan string
	keep            bool

	tenant  tenant
	now     time.Time // by the tenant's clock
	state   billed
	watched watched
	outcome outcome
}

// play goes month by month.
func (s *simulation) play(ctx context.Context) error {
	s.head()
	if err := s.begin(ctx); err != nil {
		return err
	}
	there, back := s.changes()
	for month := 1; month <= s.months; month++ {
		if month > 1 {
			if err := s.renew(ctx, month == s.failIn); err != nil {
				return err
			}
		}
		var err error
		switch month {
		case there:
			err = s.change(ctx, s.otherPlan)
		case back:
			err = s.change(ctx, s.plan)
		}
		if err != nil {
			return err
		}
	}
	return s.end(ctx)
}

// begin starts the clock and subscribes; where that begins with a trial, it goes on to the
// notice that it ends and to its end, so that the first month is one that is paid.
func (s *simulation) begin(ctx context.Context) error {
	variables := map[string]any{"tenant": s.tenant.ID, "at": time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)}
	started, err := act[clock](ctx, s.p, startClockMutation, variables)
	if err != nil {
		return err
	}
	s.now = started.At.UTC()
	if err := s.subscribe(ctx); err != nil || s.bought().Status != statusTrialing {
		return err
	}
	if notice := s.dueAt(); notice != nil && notice.Before(s.bought().CurrentPeriodEnd) {
		if err := s.comeDue(ctx, *notice); err != nil {
			return err
		}
	}
	return s.advance(ctx, s.bought().CurrentPeriodEnd.Add(afterRenewal))
}

// bought is the subscription.
func (s *simulation) bought() subscription {
	if main := first(s.state.Subscriptions); main != nil {
		return *main
	}
	return subscription{}
}

func (s *simulation) standsAs() string {
	if account := first(s.state.Accounts); account != nil {
		return account.State
	}
	return ""
}

// dueAt is when time alone changes something; nil: never.
func (s *simulation) dueAt() *time.Time {
	if account := first(s.state.Accounts); account != nil {
		return account.DueAt
	}
	return nil
}

func (s *simulation) subscribe(ctx context.Context) error {
	return s.do(ctx, fmt.Sprintf("subscribes to %s with %s", s.plan, goodCard), subscribeMutation, map[string]any{"plan": s.plan, "payment_method": goodCard})
}

func (s *simulation) setCard(ctx context.Context, card string) error {
	return s.do(ctx, "sets the card "+card, setPaymentMethodMutation, map[string]any{"payment_method": card})
}

// change changes the plan in the middle of the period.
func (s *simulation) change(ctx context.Context, plan string) error {
	if err := s.advance(ctx, s.now.Add(s.bought().CurrentPeriodEnd.Sub(s.now)/2)); err != nil {
		return err
	}
	return s.do(ctx, "changes to "+plan, changePlanMutation, map[string]any{"plan": plan})
}

// renew goes into the next period. Where its payment is to fail, it goes on through the
// reminders to the suspension, and a good card the day after brings the tenant back.
func (s *simulation) renew(ctx context.Context, fails bool) error {
	if fails {
		if err := s.setCard(ctx, decliningOne); err != nil {
			return err
		}
	}
	if err := s.advance(ctx, s.bought().CurrentPeriodEnd.Add(afterRenewal)); err != nil || !fails {
		return err
	}
	for step := 0; s.standsAs() == statePastDue || s.standsAs() == stateCanceled; step++ {
		due := s.dueAt()
		if due == nil || step == mostSteps {
			return fmt.Errorf("the account of %s stays %s: nothing more comes due", s.tenant.Slug, s.standsAs())
		}
		if err := s.comeDue(ctx, *due); err != nil {
			return err
		}
	}
	if s.standsAs() != stateSuspended {
		return fmt.Errorf("the payment was to fail, and the account of %s is %s", s.tenant.Slug, s.standsAs())
	}
	if err := s.advance(ctx, s.now.Add(24*time.Hour)); err != nil {
		return err
	}
	if s.bought().Status == statusCanceled {
		return s.subscribe(ctx) // Stripe gave up before the grace was over
	}
	return s.setCard(ctx, goodCard)
}

// comeDue goes to the time when something comes due, and waits until it was done.
func (s *simulation) comeDue(ctx context.Context, due time.Time) error {
	if due.After(s.now) {
		if err := s.advance(ctx, due.Add(time.Minute)); err != nil {
			return err
		}
	}
	return s.await(ctx, "what is due is done", func() bool {
		next := s.dueAt()
		return next == nil || next.After(s.now)
	})
}

// end cancels for the end of the period, and goes there.
func (s *simulation) end(ctx context.Context) error {
	if err := s.do(ctx, "cancels", cancelSubscriptionMutation, map[string]any{"at_period_end": true}); err != nil {
		return err
	}
	if err := s.advance(ctx, s.bought().CurrentPeriodEnd.Add(afterRenewal)); err != nil {
		return err
	}
	return s.await(ctx, "the subscription has ended", func() bool { return s.bought().Status == statusCanceled })
}

// do makes a change as the tenant would, and looks at what it brought about.
func (s *simulation) do(ctx context.Context, what, document string, variables map[string]any) error {
	s.tell(happening{At: s.now, What: "tenant", Detail: what})
	variables["tenant"] = s.tenant.ID
	changed, err := act[purchased](ctx, s.p, document, variables)
	if err == nil {
		err = changed.unfinished()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", s.tenant.Slug, what, err)
	}
	return s.look(ctx)
}

// advance lets time pass.
func (s *simulation) advance(ctx context.Context, to time.Time) error {
	to = to.UTC().Truncate(time.Second)
	moved, err := actAtLength[clock](ctx, s.p, advanceMutation, map[string]any{"tenant": s.tenant.ID, "to": to.Format(time.RFC3339)})
	if err != nil {
		return fmt.Errorf("advancing the clock of %s to %s: %w", s.tenant.Slug, when(&to), err)
	}
	s.now = moved.At.UTC()
	return s.look(ctx)
}

// await looks until something is so: events and what follows from them take a moment.
func (s *simulation) await(ctx context.Context, what string, so func() bool) error {
	ctx, stop := context.WithTimeout(ctx, lagging)
	defer stop()
	for !so() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s until %s, in vain", lagging, what)
		case <-time.After(500 * time.Millisecond):
		}
		if err := s.look(ctx); err != nil {
			return err
		}
	}
	return nil
}
