package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const replayEventMutation = `mutation ($id: String!) { reply: replayEvent(id: $id) { outcome reason } }`

// replayed is what became of a parked event that was run again.
type replayed struct {
	ID      string  `json:"id"`
	Outcome string  `json:"outcome"`
	Reason  *string `json:"reason"`
}

// What can become of it besides being done, now or before.
const (
	outcomeParked = "parked" // again
	outcomeFailed = "failed" // it is as it was: the server refused to run it, or could not
)

func (r replayed) done() bool { return r.Outcome != outcomeParked && r.Outcome != outcomeFailed }

func (p *program) replayEventsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "replay [id …]", Short: "Run parked events again",
		Long: `Run parked events through their handler again, as they were delivered, once what they
were parked for is put right; with --all every one that is parked, in the order they came.
Each has its own outcome; one that is parked again does not keep the others from being
run, and the exit code is 1 then. An effect happens once, however often an event is run.`,
		Example: `  nself events replay a8907de6-2d5c-4f0e-9d8e-0c6f3f4b8f11
  nself events replay --all`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().BoolVar(&all, "all", false, "every parked event")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case all && len(args) > 0:
			return usagef("name events or give --all, and not both")
		case !all && len(args) == 0:
			return usagef("name the events by their ids, or give --all; nself events list shows them")
		}
		run := p.replay
		if all {
			run = p.replayAll
		}
		outcomes, err := run(cmd.Context(), args)
		if err != nil && len(outcomes) == 0 {
			return err
		}
		if told := p.tellReplayed(outcomes); told != nil || err != nil {
			return errors.Join(told, err)
		}
		return unfinished(outcomes)
	}
	return cmd
}

// replay runs each of the events once. One that is refused does not keep the others from
// being run; where nobody answers, the outcomes so far are told as well.
func (p *program) replay(ctx context.Context, ids []string) ([]replayed, error) {
	outcomes := []replayed{}
	for _, id := range ids {
		outcome, err := act[replayed](ctx, p, replayEventMutation, map[string]any{"id": id})
		var refused *hasuraapi.Error
		switch {
		case errors.As(err, &refused) && refused.Code != hasuraapi.Unreachable && refused.Code != hasuraapi.BadReply:
			reason := p.reasonOf(refused)
			outcome = replayed{Outcome: outcomeFailed, Reason: &reason}
		case err != nil:
			return outcomes, fmt.Errorf("event %s: %w", shorten(id), err)
		}
		outcome.ID = id
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

// replayAll runs every event once that is parked now, in the order they came. All are
// listed before the first is run: what is parked again is in nobody's way.
func (p *program) replayAll(ctx context.Context, _ []string) ([]replayed, error) {
	var ids []string
	variables := map[string]any{"limit": idsAtOnce}
	for {
		page, err := p.parked(ctx, parkedIDsQuery, variables)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			ids = append(ids, e.ID)
		}
		if len(page) < idsAtOnce {
			slices.Reverse(ids)
			return p.replay(ctx, ids)
		}
		variables["after"] = ids[len(ids)-1]
	}
}

func (p *program) tellReplayed(outcomes []replayed) error {
	return p.print(outcomes, func(w *strings.Builder) {
		if len(outcomes) == 0 {
			fmt.Fprintln(w, "no event is parked")
		}
		for _, o := range outcomes {
			told := o.ID + ": " + o.Outcome
			if o.Reason != nil {
				told += ": " + *o.Reason
			}
			fmt.Fprintln(w, p.mark(o.done())+" "+clean(told))
		}
	})
}

// unfinished is an error where an event was not done.
func unfinished(outcomes []replayed) error {
	left := 0
	for _, o := range outcomes {
		if !o.done() {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s not done", left, number(len(outcomes), "event"))
}
