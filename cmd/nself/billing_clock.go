package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	startClockMutation = `mutation ($tenant: String!, $at: timestamptz!) { reply: startBillingClock(tenant: $tenant, at: $at) { clock_at: clockAt } }`
	advanceMutation    = `mutation ($tenant: String!, $to: timestamptz!) { reply: advanceBillingClock(tenant: $tenant, to: $to) { clock_at: clockAt } }`
	clockQuery         = `query ($tenant: uuid!) { customers(where: {tenant_id: {_eq: $tenant}}) { clock_at } }`
)

// clock is what time it is for a customer who lives by one of Stripe's test clocks.
type clock struct {
	At time.Time `json:"clock_at"`
}

func (p *program) clockCommands() *cobra.Command {
	return group("clock", "Let time pass for a tenant, in Stripe's test mode", `Put a tenant that never bought anything on one of Stripe's test clocks, and let time pass on
it: periods end, cards are charged, reminders and suspensions come due, all in seconds.
Only in Stripe's test mode.`,
		p.startClockCommand(), p.advanceClockCommand())
}

func (p *program) startClockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "start <tenant>", Short: "Make a tenant's customer on a test clock",
		Long: `Make the customer of a tenant that has none on a test clock of its own. What time it is
there: now, or --at.`,
		Example: `  nself billing clock start acme
  nself billing clock start acme --at 2027-01-01`,
		Args: takes(1, 1),
	}
	cmd.Flags().String("at", "", "what time it is there: 2027-01-01 or 2027-01-01T12:00:00Z (now)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{"tenant": args[0]}, &checks{}
		check.given(cmd, variables, "at")
		at := time.Now().UTC().Truncate(time.Second)
		if typed, is := variables["at"].(string); is {
			var err error
			at, err = momentOf("--at", typed)
			check.check(err)
		}
		if err := check.err(); err != nil {
			return err
		}
		variables["at"] = at.Format(time.RFC3339)
		started, err := act[clock](cmd.Context(), p, startClockMutation, variables)
		if err != nil {
			return err
		}
		return p.print(started, func(w *strings.Builder) { p.done(w, "Clock started: %s is at %s", args[0], when(&started.At)) })
	}
	return cmd
}

func (p *program) advanceClockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "advance <tenant> <time>", Short: "Let time pass on a tenant's test clock",
		Long: `Let time pass on a tenant's test clock, so long (720h) or until then, and wait for what
comes due. A clock never goes back, and Stripe lets it go on by two periods at most. It may
take minutes.`,
		Example: `  nself billing clock advance acme 720h
  nself billing clock advance acme 2027-02-01T12:00:00Z`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := p.laterOn(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			now, err := actAtLength[clock](cmd.Context(), p, advanceMutation, map[string]any{"tenant": args[0], "to": to.Format(time.RFC3339)})
			if err != nil {
				return err
			}
			return p.print(now, func(w *strings.Builder) { p.done(w, "Clock advanced: %s is at %s", args[0], when(&now.At)) })
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if negative.MatchString(err.Error()) {
			return usagef("a clock never goes back: the time is a length such as 720h, or a later time")
		}
		return flagFault(err)
	})
	return cmd
}

// negative is what is said of -5h, which is taken for flags.
var negative = regexp.MustCompile(`^unknown shorthand flag: '\d' in -\d`)

// laterOn is the time that was typed: a time or a day, or so long after the tenant's clock.
func (p *program) laterOn(ctx context.Context, ref, typed string) (time.Time, error) {
	length, notLength := time.ParseDuration(typed)
	switch {
	case notLength == nil && length < time.Second:
		return time.Time{}, usagef("%s is no time to let pass: at least a second", shorten(typed))
	case notLength != nil:
		to, err := momentOf("the time", typed)
		if err != nil {
			err = usagef("the time %q is neither a length (720h), a day (2027-02-01) nor a time (2027-02-01T12:00:00Z)", shorten(typed))
		}
		return to, err
	}
	client, err := p.client()
	if err != nil {
		return time.Time{}, err
	}
	found, err := findTenant[tenant](ctx, client, lookup{document: namedTenantQuery, ref: ref})
	if err != nil {
		return time.Time{}, err
	}
	var reply struct {
		Customers []customer `json:"customers"`
	}
	if err := client.Do(ctx, clockQuery, map[string]any{"tenant": found.ID}, &reply); err != nil {
		return time.Time{}, err
	}
	buyer := first(reply.Customers)
	if buyer == nil || buyer.ClockAt == nil {
		return time.Time{}, fmt.Errorf("%s has no test clock; nself billing clock start makes one for a tenant that never bought anything", found.Slug)
	}
	return buyer.ClockAt.Add(length), nil
}
