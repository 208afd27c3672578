package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const reverseUsageMutation = `mutation ($tenant: String!, $meter: String!, $key: String!) {
	reply: reverseUsage(tenant: $tenant, meter: $meter, key: $key) { meter key amount period_start: periodStart }
}`

// reversal is the event that takes another one back.
type reversal struct {
	Meter       string    `json:"meter"`
	Key         string    `json:"key"`
	Amount      amount    `json:"amount"` // of the event that was reversed
	PeriodStart time.Time `json:"period_start"`
}

func (p *program) reverseUsageCommand() *cobra.Command {
	var yes bool
	var source string
	cmd := &cobra.Command{
		Use: "reverse <tenant> <meter> <key>", Short: "Take a recorded event back",
		Long: `Take an event off its total, by another one that reverses it; both stay in the records.
A CloudEvent is known by its id and its --source together. It can be done once, while the
event's period is open and its key is remembered, and cannot be undone. --yes answers the
question, and is needed where there is no terminal to ask on.`,
		Example: `  nself usage reverse acme api_requests req-7f3a --yes
  nself usage reverse acme api_requests req-1 --source gateway --yes`,
		Args: takes(3, 3),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&source, "source", "", "of a CloudEvent: its source; the key is its id")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, named := args[2], args[2]
		if cmd.Flags().Changed("source") {
			if source == "" {
				return usagef("--source is empty: give it a value or leave it out")
			}
			key, named = source+"\n"+args[2], args[2]+" of "+source
		}
		if !yes {
			doing := fmt.Sprintf("reversing %s of %s", shorten(named), shorten(args[0]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("The event %q comes off the %s of %s, for good.", named, args[1], args[0])); err != nil {
				return err
			}
		}
		variables := map[string]any{"tenant": args[0], "meter": args[1], "key": key}
		reversed, err := act[reversal](cmd.Context(), p, reverseUsageMutation, variables)
		if err != nil {
			return err
		}
		return p.print(reversed, func(w *strings.Builder) {
			p.done(w, "Reversed: %s %s of %s (key %s)", grouped(reversed.Amount.Decimal), reversed.Meter, args[0], named)
			describe(w, "  ", []field{{"Period began", when(&reversed.PeriodStart)}})
		})
	}
	return cmd
}
