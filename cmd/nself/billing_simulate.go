package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// What a simulation can be asked for.
const (
	mostMonths    = 36
	simulatedPlan = "pro"
	failsIn       = 5 // unless there are fewer months
	firstFailing  = 2 // the first payment makes the subscription
)

func (p *program) simulateCommand() *cobra.Command {
	s := &simulation{p: p}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Play months of a subscription in seconds, in Stripe's test mode",
		Long: `Play months of a subscription in seconds, and tell what happened, with dates. A tenant is
made on a test clock of its own; it subscribes, pays month after month, fails one payment
with a card that is declined, is reminded and goes out of service, pays and is back, goes
to a dearer plan and back, and cancels. At the end it is checked that what its invoices
were paid is what was charged, and that everything here is as Stripe has it; otherwise the
exit code is 1. Of the letters only reminders are told; the log tells what others are about.

The tenant stays, with its invoices, unless --keep=false; its owner stays a user. Only in
Stripe's test mode.`,
		Example: `  nself billing simulate
  nself billing simulate --months 6 --plan starter --fail-in 3
  nself billing simulate --keep=false --json`,
		Args: takes(0, 0),
	}
	flags := cmd.Flags()
	flags.IntVar(&s.months, "months", 12, fmt.Sprintf("how many: 1 to %d", mostMonths))
	flags.StringVar(&s.plan, "plan", simulatedPlan, "the plan it subscribes to")
	flags.IntVar(&s.failIn, "fail-in", failsIn, "the month whose payment fails; 0: none")
	flags.BoolVar(&s.keep, "keep", true, "keep the tenant; --keep=false deletes it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("fail-in") && s.failIn > s.months {
			s.failIn = 0
			if s.months >= firstFailing {
				s.failIn = s.months
			}
		}
		if err := s.check(); err != nil {
			return err
		}
		return s.run(cmd.Context())
	}
	return cmd
}

// check tells everything that is wrong with the flags and settings.
func (s *simulation) check() error {
	check := &checks{settings{p: s.p}}
	if s.months < 1 || s.months > mostMonths {
		check.fault(fmt.Sprintf("--months %d is not between 1 and %d", s.months, mostMonths))
	} else if s.failIn != 0 && (s.failIn < firstFailing || s.failIn > s.months) {
		check.fault(fmt.Sprintf("--fail-in %d is neither 0 (none) nor between %d and --months %d", s.failIn, firstFailing, s.months))
	}
	if s.plan == "" {
		check.fault("--plan is empty: give it a value or leave it out")
	}
	if s.p.token != "" {
		check.fault("simulate needs the operator's HASURA_GRAPHQL_ADMIN_SECRET, not a --token")
	}
	if len(check.faults) == 0 {
		s.client = check.hasura()
	}
	return check.err()
}

// run plays everything and tells how it came out.
func (s *simulation) run(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	err := s.play(ctx)
	if err == nil {
		err = s.settle(ctx)
	}
	if !s.keep {
		variables := map[string]any{"tenant": s.tenant.ID, "slug": s.tenant.Slug}
		_, gone := act[tenant](context.WithoutCancel(ctx), s.p, deleteTenantMutation, variables)
		err = errors.Join(err, gone)
	}
	if err != nil {
		return err
	}
	return s.conclude()
}

// prepare finds the plans and makes the tenant, with an owner of its own, on a clock.
func (s *simulation) prepare(ctx context.Context) error {
	var reply struct {
		Plans []plan `json:"plans"`
	}
	if err := s.client.Do(ctx, listPlansQuery, nil, &reply); err != nil {
		return err
	}
	if _, err := act[[]billingEvent](ctx, s.p, billingEventIDsQuery, map[string]any{"limit": 1}); err != nil {
		return err // nothing is made where the installation does not charge
	}
	at := slices.IndexFunc(reply.Plans, func(p plan) bool { return p.Code == s.plan })
	switch {
	case at < 0:
		return fmt.Errorf("there is no plan %q here; nself billing plans lists them", shorten(s.plan))
	case reply.Plans[at].PriceMinor == 0:
		return fmt.Errorf("the plan %s costs nothing: there is nothing to simulate", s.plan)
	}
	s.otherPlan = otherPlan(reply.Plans, reply.Plans[at])
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // it never fails
	name := "simulated-" + hex.EncodeToString(suffix)
	owner, err := act[user](ctx, s.p, createUserMutation, map[string]any{"user": map[string]any{"email": name + "@example.com", "name": "Simulated Owner"}})
	if err != nil {
		return err
	}
	s.tenant, err = act[tenant](ctx, s.p, createTenantMutation, map[string]any{"name": "Simulated " + strings.TrimPrefix(name, "simulated-"), "slug": name, "owner": owner.ID})
	return err
}

// otherPlan is the next dearer plan, or the next cheaper one that costs something where
// there is none; "" where there is neither.
func otherPlan(plans []plan, bought plan) string {
	var other plan
	for _, p := range plans {
		if p.Currency != bought.Currency || p.PriceMinor == 0 || p.PriceMinor == bought.PriceMinor || p.PerSeat != bought.PerSeat {
			continue
		}
		dearer, best := p.PriceMinor > bought.PriceMinor, other.PriceMinor > bought.PriceMinor
		switch {
		case other.Code == "", dearer && !best,
			dearer && best && p.PriceMinor < other.PriceMinor, !dearer && !best && p.PriceMinor > other.PriceMinor:
			other = p
		}
	}
	return other.Code
}

// changes are the months in the middle of which the plan is changed and changed back: the
// middle one of those that are left, and the last; 0 where there are too few.
func (s *simulation) changes() (there, back int) {
	var free []int
	for month := 2; month < s.months; month++ {
		if month != s.failIn {
			free = append(free, month)
		}
	}
	if len(free) < 2 || s.otherPlan == "" {
		return 0, 0
	}
	return free[(len(free)-1)/2], free[len(free)-1]
}

// conclude says whether what was paid is what was charged.
func (s *simulation) conclude() error {
	s.outcome.Months, s.outcome.TenantID, s.outcome.Slug = s.months, s.tenant.ID, s.tenant.Slug
	if s.p.json {
		if err := s.p.print(s.outcome, func(*strings.Builder) {}); err != nil {
			return err
		}
	} else {
		var w strings.Builder
		fmt.Fprintln(&w)
		s.outcome.write(&w, s.p)
		say(s.p.stdout, strings.TrimSuffix(w.String(), "\n"))
	}
	return s.outcome.fault()
}
