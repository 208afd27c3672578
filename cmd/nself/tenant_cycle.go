package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const setCycleMutation = `mutation ($tenant: String!, $anchor: timestamptz) {
	reply: setBillingCycle(tenant: $tenant, anchorAt: $anchor) { starts_at: startsAt ends_at: endsAt closed_at: closedAt }
}`

// usagePeriod is a period that usage is counted in.
type usagePeriod struct {
	StartsAt time.Time  `json:"starts_at"`
	EndsAt   time.Time  `json:"ends_at"`
	ClosedAt *time.Time `json:"closed_at"`
}

func (p *program) cycleCommands() *cobra.Command {
	return group("cycle", "Change when a tenant's billing periods begin", `Set or remove the billing cycle of a tenant. Without one its periods are calendar months
in its time zone. What was counted stays; the end of the running period moves.`,
		p.setCycleCommand(), p.removeCycleCommand())
}

func (p *program) setCycleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set <tenant> <time>", Short: "Let a tenant's periods begin on a day of the month",
		Long: `Let a tenant's periods begin each month on the day and at the time of day (UTC) of the
time given, and the running one end there next. Where a month has no such day, it is its
last one.`,
		Example: `  nself tenant cycle set acme 2026-11-15T00:00:00Z`, Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			anchor, err := momentOf("the time", args[1])
			if err != nil {
				return err
			}
			return p.changeCycle(cmd, "Billing cycle set: "+args[0], map[string]any{"tenant": args[0], "anchor": anchor.Format(time.RFC3339Nano)})
		},
	}
}

func (p *program) removeCycleCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove <tenant>", Short: "Let a tenant's periods be calendar months again",
		Long: `Let a tenant's periods be calendar months in its time zone again; the running one ends
with its month. --yes answers the question, and is needed where there is no terminal to
ask on.`,
		Example: `  nself tenant cycle remove acme --yes`, Args: takes(1, 1),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			doing := fmt.Sprintf("removing the billing cycle of %s", shorten(args[0]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("The periods of %s become calendar months.", args[0])); err != nil {
				return err
			}
		}
		return p.changeCycle(cmd, "Billing cycle removed: "+args[0], map[string]any{"tenant": args[0]})
	}
	return cmd
}

func (p *program) changeCycle(cmd *cobra.Command, did string, variables map[string]any) error {
	running, err := act[usagePeriod](cmd.Context(), p, setCycleMutation, variables)
	if err != nil {
		return err
	}
	return p.print(running, func(w *strings.Builder) {
		p.done(w, "%s", did)
		describe(w, "  ", []field{{"Running period", when(&running.StartsAt) + " to " + when(&running.EndsAt)}})
	})
}

// momentOf is a time as typed, or the beginning (UTC) of a day. what names it in the error.
func momentOf(what, typed string) (time.Time, error) {
	moment, err := time.Parse(time.RFC3339, typed)
	if err != nil {
		moment, err = time.Parse(time.DateOnly, typed)
	}
	if err != nil {
		return moment, usagef("%s %q is neither a day (2026-11-15) nor a time (2026-11-15T00:00:00Z)", what, shorten(typed))
	}
	return moment.UTC(), nil
}
