package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	parkedEventsQuery = `query ($id: String, $after: String, $limit: Int) {
		reply: parkedEvents(id: $id, after: $after, limit: $limit) { id source trigger handler reason received_at: receivedAt deliveries payload }
	}`
	parkedIDsQuery = `query ($after: String, $limit: Int) { reply: parkedEvents(after: $after, limit: $limit) { id } }`
)

// How many parked events the server is asked for at once.
const (
	mostListed = 1000 // what it tells at most
	idsAtOnce  = 100
)

// parkedEvent is an event that could not have its effect, with the reason.
type parkedEvent struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"`
	Trigger    string          `json:"trigger"`
	Handler    *string         `json:"handler"`
	Reason     string          `json:"reason"`
	ReceivedAt time.Time       `json:"received_at"`
	Deliveries int             `json:"deliveries"`
	Payload    json.RawMessage `json:"payload"`
}

func (p *program) eventCommands() *cobra.Command {
	return group("events", "Look after events that could not be handled", `List, show and replay the events that were parked: delivered by Hasura, and found to be
such that no further delivery can help. The reason says why.`,
		p.listEventsCommand(), p.showEventCommand(), p.replayEventsCommand())
}

func (p *program) listEventsCommand() *cobra.Command {
	var limit int
	var after string
	cmd := &cobra.Command{
		Use: "list", Short: "List the parked events, the latest first",
		Long: `List the parked events, the latest first. Where there are more than --limit, standard error
says so, and with which --after they are listed: those that came before that event.`,
		Example: `  nself events list
  nself events list --limit 5 --json
  nself events list --after a8907de6-2d5c-4f0e-9d8e-0c6f3f4b8f11`,
		Args: takes(0, 0),
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, up to "+strconv.Itoa(mostListed-1))
	cmd.Flags().StringVar(&after, "after", "", "the id of the last one that was listed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 || limit >= mostListed {
			return usagef("--limit %d is not between 1 and %d", limit, mostListed-1)
		}
		variables := map[string]any{"limit": limit + 1}
		if cmd.Flags().Changed("after") {
			variables["after"] = after
		}
		parked, err := p.parked(cmd.Context(), parkedEventsQuery, variables)
		if err != nil {
			return err
		}
		more := len(parked) > limit
		parked = parked[:min(limit, len(parked))]
		err = p.print(parked, func(w *strings.Builder) {
			rows := make([][]string, len(parked))
			for i, e := range parked {
				rows[i] = []string{e.ID, e.Trigger, when(&e.ReceivedAt), strconv.Itoa(e.Deliveries), cut(e.Reason, 80)}
			}
			table(w, []string{"ID", "TRIGGER", "RECEIVED", "DELIVERIES", "REASON"}, rows)
		})
		if err == nil && more {
			say(p.stderr, clean(fmt.Sprintf("nself: there are more: nself events list --limit %d --after %s", limit, parked[limit-1].ID)))
		}
		return err
	}
	return cmd
}

// parked are parked events, the latest first.
func (p *program) parked(ctx context.Context, query string, variables map[string]any) ([]parkedEvent, error) {
	events, err := act[[]parkedEvent](ctx, p, query, variables)
	if events == nil {
		events = []parkedEvent{}
	}
	return events, err
}

func (p *program) showEventCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show <id>", Short: "Show a parked event with its payload",
		Long: `Show a parked event: why it is parked, and what was delivered.`,
		Example: `  nself events show a8907de6-2d5c-4f0e-9d8e-0c6f3f4b8f11
  nself events show a8907de6-2d5c-4f0e-9d8e-0c6f3f4b8f11 --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			parked, err := p.parked(cmd.Context(), parkedEventsQuery, map[string]any{"id": args[0]})
			if err != nil {
				return err
			}
			if len(parked) == 0 || parked[0].ID != args[0] {
				return fmt.Errorf("no event %q is parked; nself events list shows those that are", shorten(args[0]))
			}
			return p.print(parked[0], func(w *strings.Builder) { parked[0].write(w) })
		},
	}
}

func (e parkedEvent) write(w *strings.Builder) {
	describe(w, "", []field{
		{"ID", e.ID}, {"Source", e.Source}, {"Trigger", e.Trigger}, {"Handler", value(e.Handler)}, {"Received", when(&e.ReceivedAt)},
		{"Deliveries", strconv.Itoa(e.Deliveries)}, {"Reason", e.Reason},
	})
	if len(e.Payload) == 0 || string(e.Payload) == "null" {
		fmt.Fprintln(w, "Payload:    could not be kept: it is no JSON that Postgres holds")
		return
	}
	fmt.Fprintln(w, "Payload:")
	fmt.Fprintln(w, indented(e.Payload))
}

// indented is JSON over several lines, with no power over a terminal.
func indented(text json.RawMessage) string {
	var pretty bytes.Buffer
	if json.Indent(&pretty, text, "", "  ") != nil {
		return clean(string(text))
	}
	return escaped(pretty.String())
}
