package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	billingEventFields = `id type object_id: objectId kind tenant_id: tenantId state reason created_at: createdAt received_at: receivedAt
		deliveries api_version: apiVersion`
	billingEventsQuery = `query ($state: String, $type: String, $tenant: String, $since: timestamptz, $after: String, $limit: Int) {
		reply: billingEvents(state: $state, type: $type, tenant: $tenant, since: $since, after: $after, limit: $limit) { ` + billingEventFields + ` }
	}`
	billingEventQuery = `query ($id: String!) { reply: billingEvent(id: $id) { ` + billingEventFields + ` payload } }`
)

// eventStates are where an event that Stripe delivered can stand.
var eventStates = []string{"waiting", "applied", "parked", "dead", "ignored"}

// billingEvent is an event that Stripe delivered. Payload is only told of one.
type billingEvent struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	ObjectID   *string         `json:"object_id"`
	Kind       *string         `json:"kind"`
	TenantID   *string         `json:"tenant_id"`
	State      string          `json:"state"`
	Reason     *string         `json:"reason"`
	CreatedAt  time.Time       `json:"created_at"`
	ReceivedAt time.Time       `json:"received_at"`
	Deliveries int             `json:"deliveries"`
	APIVersion string          `json:"api_version"`
	Payload    json.RawMessage `json:"payload,omitempty"`
}

func (p *program) billingEventCommands() *cobra.Command {
	return group("events", "Look after what Stripe told", `List, show and replay the events that Stripe delivered. One that is parked is of nobody here,
or of a price that is no plan's; a dead one could not be followed however often it was
tried. The reason says why.`,
		p.listBillingEventsCommand(), p.showBillingEventCommand(), p.replayBillingEventsCommand())
}

func (p *program) listBillingEventsCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the events that Stripe delivered, the latest first",
		Long: `List the events that Stripe delivered, the latest first. --since is a time before now (24h),
a day or a time. Where there are more than --limit, standard error says so, and with
which --after they are listed.`,
		Example: `  nself billing events list --state parked
  nself billing events list --tenant acme --since 24h
  nself billing events list --type invoice.payment_failed --json`,
		Args: takes(0, 0),
	}
	flags := cmd.Flags()
	flags.String("state", "", "only "+strings.Join(eventStates, ", "))
	flags.String("type", "", "only those of this type, such as invoice.paid")
	flags.String("tenant", "", "only those of this tenant: id or slug")
	flags.String("since", "", "only those that came since: 24h, 2026-11-15 or 2026-11-15T00:00:00Z")
	flags.String("after", "", "the id of the last one that was listed")
	flags.IntVar(&limit, "limit", 100, "at most so many, up to "+strconv.Itoa(mostListed-1))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		variables, check := map[string]any{"limit": limit + 1}, &checks{}
		check.given(cmd, variables, "state", "type", "tenant", "since", "after")
		check.eventState(variables, eventStates)
		check.since(variables)
		if limit < 1 || limit >= mostListed {
			check.fault(fmt.Sprintf("--limit %d is not between 1 and %d", limit, mostListed-1))
		}
		if err := check.err(); err != nil {
			return err
		}
		found, err := act[[]billingEvent](cmd.Context(), p, billingEventsQuery, variables)
		if err != nil {
			return err
		}
		shown := append([]billingEvent{}, found[:min(limit, len(found))]...)
		if err := p.print(shown, func(w *strings.Builder) { writeBillingEvents(w, shown) }); err != nil || len(found) <= limit {
			return err
		}
		say(p.stderr, clean(fmt.Sprintf("nself: there are more: the same with --after %s", shown[limit-1].ID)))
		return nil
	}
	return cmd
}

// eventState checks the state that was given.
func (c *checks) eventState(variables map[string]any, of []string) {
	if state, is := variables["state"].(string); is && !slices.Contains(of, state) {
		c.fault(fmt.Sprintf("--state %q is none of %s", shorten(state), strings.Join(of, ", ")))
	}
}

// since makes a time of what was given: a time before now, a day or a time.
func (c *checks) since(variables map[string]any) {
	typed, is := variables["since"].(string)
	if !is {
		return
	}
	moment, err := momentOf("--since", typed)
	if ago, notAgo := time.ParseDuration(typed); notAgo == nil && ago >= 0 {
		moment, err = time.Now().Add(-ago).UTC(), nil
	}
	if err != nil {
		c.fault(fmt.Sprintf("--since %q is neither a time before now (24h), a day (2026-11-15) nor a time (2026-11-15T00:00:00Z)", shorten(typed)))
	}
	variables["since"] = moment.Format(time.RFC3339Nano)
}

func writeBillingEvents(w *strings.Builder, events []billingEvent) {
	rows := make([][]string, len(events))
	for i, e := range events {
		rows[i] = []string{e.ID, e.Type, value(e.ObjectID), e.State, when(&e.ReceivedAt), strconv.Itoa(e.Deliveries), cut(value(e.Reason), 80)}
	}
	table(w, []string{"ID", "TYPE", "OBJECT", "STATE", "RECEIVED", "DELIVERIES", "REASON"}, rows)
}

func (p *program) showBillingEventCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show <id>", Short: "Show an event that Stripe delivered, with its payload",
		Long: "Show an event that Stripe delivered: what it is about, what became of it, and what was in it.",
		Example: `  nself billing events show evt_1OqXyZ
  nself billing events show evt_1OqXyZ --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := act[billingEvent](cmd.Context(), p, billingEventQuery, map[string]any{"id": args[0]})
			if err != nil {
				return err
			}
			return p.print(found, func(w *strings.Builder) {
				describe(w, "", []field{
					{"ID", found.ID}, {"Type", found.Type}, {"Object", value(found.ObjectID)}, {"Kind", value(found.Kind)}, {"Tenant", value(found.TenantID)},
					{"State", found.State}, {"Reason", value(found.Reason)}, {"Happened", when(&found.CreatedAt)}, {"Received", when(&found.ReceivedAt)},
					{"Deliveries", strconv.Itoa(found.Deliveries)}, {"API version", found.APIVersion},
				})
				fmt.Fprintln(w, "Payload:")
				fmt.Fprintln(w, indented(found.Payload))
			})
		},
	}
}
