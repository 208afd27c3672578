package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	replayBillingEventsMutation = `mutation ($ids: [String!], $since: timestamptz) {
		reply: replayBillingEvents(ids: $ids, since: $since) { replayed applied parked dead waiting next } }`
	billingEventIDsQuery = `query ($state: String, $since: timestamptz, $after: String, $limit: Int) {
		reply: billingEvents(state: $state, since: $since, after: $after, limit: $limit) { id } }`
)

// replayedEvents is how many events were followed again, and of how many of them the object
// is as Stripe has it, parked, dead, or still to be followed. Next is where to go on.
type replayedEvents struct {
	Replayed int `json:"replayed"`
	Applied  int `json:"applied"`
	Parked   int `json:"parked"`
	Dead     int `json:"dead"`
	Waiting  int `json:"waiting"`

	Next *time.Time `json:"next,omitempty"`
}

func (r *replayedEvents) add(done replayedEvents) {
	r.Replayed, r.Applied, r.Parked = r.Replayed+done.Replayed, r.Applied+done.Applied, r.Parked+done.Parked
	r.Dead, r.Waiting = r.Dead+done.Dead, r.Waiting+done.Waiting
}

// unfollowed are the states of events that replay picks out.
var unfollowed = []string{"parked", "dead"}

func (p *program) replayBillingEventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay [id …]", Short: "Follow events again",
		Long: `Follow events again: what each is about is fetched from Stripe as it is now, and applied.
Name them by their ids, or take all that came --since, or those that are parked or dead
(--state), or such of them as came since. Where one is parked or dead again, the exit code
is 1. An effect happens once, however often an event is followed.`,
		Example: `  nself billing events replay evt_1OqXyZ evt_1OqXz0
  nself billing events replay --since 24h
  nself billing events replay --state dead`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().String("since", "", "those that came since: 24h, 2026-11-15 or 2026-11-15T00:00:00Z")
	cmd.Flags().String("state", "", "those that are "+strings.Join(unfollowed, " or "))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{}, &checks{}
		check.given(cmd, variables, "since", "state")
		check.eventState(variables, unfollowed)
		check.since(variables)
		picked := cmd.Flags().Changed("since") || cmd.Flags().Changed("state")
		if picked == (len(args) > 0) {
			check.fault("name events or give --since or --state, and not both; nself billing events list shows them")
		}
		if err := check.err(); err != nil {
			return err
		}
		done, err := p.followAgain(cmd.Context(), args, variables)
		if err != nil {
			return err
		}
		if err := p.print(done, func(w *strings.Builder) { p.writeFollowed(w, done) }); err != nil {
			return err
		}
		if left := done.Parked + done.Dead; left > 0 {
			return fmt.Errorf("%s still not applied; nself billing events list --state parked tells why", number(left, "object"))
		}
		return nil
	}
	return cmd
}

// followAgain replays those named, those of a state, or all since.
func (p *program) followAgain(ctx context.Context, ids []string, variables map[string]any) (replayedEvents, error) {
	if _, byState := variables["state"]; byState {
		var err error
		if ids, err = p.eventIDs(ctx, variables); err != nil || len(ids) == 0 {
			return replayedEvents{}, err
		}
	} else if len(ids) == 0 {
		return p.followSince(ctx, variables)
	}
	var total replayedEvents
	for batch := range slices.Chunk(ids, idsAtOnce) {
		done, err := actAtLength[replayedEvents](ctx, p, replayBillingEventsMutation, map[string]any{"ids": batch})
		if err != nil {
			return total, err
		}
		total.add(done)
	}
	return total, nil
}

// followSince replays all since a time, as many at once as the server takes. Those of the
// moment that it stops at are replayed again, which changes nothing.
func (p *program) followSince(ctx context.Context, variables map[string]any) (total replayedEvents, err error) {
	for {
		done, err := actAtLength[replayedEvents](ctx, p, replayBillingEventsMutation, variables)
		if err != nil {
			return total, err
		}
		total.add(done)
		if done.Next == nil {
			return total, nil
		}
		variables["since"] = done.Next.Format(time.RFC3339Nano)
	}
}

// eventIDs are the ids of all events of a state, in the order they came. All are listed
// before the first is followed: what is parked again is in nobody's way.
func (p *program) eventIDs(ctx context.Context, filter map[string]any) ([]string, error) {
	var ids []string
	filter["limit"] = idsAtOnce
	for {
		found, err := act[[]billingEvent](ctx, p, billingEventIDsQuery, filter)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			ids = append(ids, e.ID)
		}
		if len(found) < idsAtOnce {
			slices.Reverse(ids)
			return ids, nil
		}
		filter["after"] = ids[len(ids)-1]
	}
}

func (p *program) writeFollowed(w *strings.Builder, done replayedEvents) {
	if done.Replayed == 0 {
		fmt.Fprintln(w, "no such event")
		return
	}
	waiting := ""
	if done.Waiting > 0 {
		waiting = groupedInt(int64(done.Waiting)) + ", by itself"
	}
	fmt.Fprintln(w, p.mark(done.Parked+done.Dead == 0)+" Events followed again: "+groupedInt(int64(done.Replayed)))
	describe(w, "  ", []field{
		{"Objects applied", groupedInt(int64(done.Applied))}, {"Objects parked", groupedInt(int64(done.Parked))}, {"Objects dead", groupedInt(int64(done.Dead))},
		{"Still to come", waiting},
	})
}
