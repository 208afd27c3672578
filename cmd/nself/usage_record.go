package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const recordUsageMutation = `mutation ($tenant: String, $events: [UsageEventInput!]!) {
	reply: recordUsage(tenant: $tenant, events: $events) { accepted duplicates refused { index key code reason } }
}`

// recorded is what became of the events that were recorded together.
type recorded struct {
	Accepted   int `json:"accepted"`
	Duplicates int `json:"duplicates"`
	Refused    []struct {
		Index  int    `json:"index"`
		Key    string `json:"key"`
		Code   string `json:"code"`
		Reason string `json:"reason"`
	} `json:"refused"`
}

func (p *program) recordUsageCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "record <tenant> <meter> [amount]",
		Short: "Record that a tenant used something",
		Long: `Record that a tenant used an amount of a meter; 1 where none is given. It is counted
once for the key, however often it is recorded, and also beyond a limit. Of a meter that
counts different values, --value says which one. --at is a time, or a day (it begins,
UTC), in a period that is still open.`,
		Example: `  nself usage record acme api_requests 5 --key req-7f3a
  nself usage record acme compute_hours 0.25 --key run-12 --at 2026-11-23T09:00:00Z
  nself usage record acme visitors --key v-1 --value ada@example.com`,
		Args: takes(2, 3),
	}
	flags := cmd.Flags()
	flags.String("key", "", "what the event is known by: it is counted once for it")
	flags.String("value", "", "of a meter that counts different values: which one")
	flags.StringVar(&at, "at", "", "when it was used (now)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		event := map[string]any{"meter": args[1]}
		if err := given(cmd, event, "key", "value", "at"); err != nil {
			return err
		}
		if event["key"] == nil {
			return usagef("--key is needed: what the event is known by, so that it is counted once")
		}
		if at != "" {
			moment, err := momentOf("--at", at)
			if err != nil {
				return err
			}
			event["at"] = moment.Format(time.RFC3339Nano)
		}
		if len(args) > 2 {
			used, err := typedAmount(args[2])
			if err != nil {
				return err
			}
			event["amount"] = used
		}
		return p.recordUsage(cmd, args[0], event)
	}
	return cmd
}

func (p *program) recordUsage(cmd *cobra.Command, tenantRef string, event map[string]any) error {
	reply, err := act[recorded](cmd.Context(), p, recordUsageMutation, map[string]any{"tenant": tenantRef, "events": []any{event}})
	if err != nil {
		return err
	}
	if len(reply.Refused) > 0 {
		return fmt.Errorf("nothing was recorded: %s (%s)", reply.Refused[0].Reason, reply.Refused[0].Code)
	}
	did := "Recorded"
	if reply.Duplicates > 0 {
		did = "Recorded before"
	}
	return p.print(reply, func(w *strings.Builder) {
		p.done(w, "%s: %s of %s (key %s)", did, what(event), tenantRef, event["key"])
	})
}

// what says of an event what was used.
func what(event map[string]any) string {
	used, given := event["amount"].(amount)
	if !given {
		return fmt.Sprint(event["meter"])
	}
	return grouped(used.Decimal) + " " + fmt.Sprint(event["meter"])
}
