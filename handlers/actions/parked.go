package actions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/session"
)

type parkedReply struct {
	ID         string           `json:"id"`
	Source     string           `json:"source"`
	Trigger    string           `json:"trigger"`
	Handler    *string          `json:"handler"`
	Reason     string           `json:"reason"`
	ReceivedAt time.Time        `json:"receivedAt"`
	Deliveries int              `json:"deliveries"`
	Payload    *json.RawMessage `json:"payload"`
}

// How many parked events are listed at once.
const (
	usuallyParked = 100
	mostParked    = 1000
)

type parkedInput struct {
	Limit *int    `json:"limit"`
	ID    *string `json:"id"`
	After *string `json:"after"`
	limit int
}

func (in *parkedInput) validate(_ session.Session, problems *fault.Problems) {
	in.limit = usuallyParked
	if in.Limit != nil {
		in.limit = *in.Limit
	}
	if in.limit < 1 || in.limit > mostParked {
		problems.Add("limit", "must be 1 to %d; got %d", mostParked, in.limit)
	}
}

func parkedEvents(ctx context.Context, tx pgx.Tx, _ session.Session, in parkedInput) ([]parkedReply, error) {
	list, err := inbox.ParkedEvents(ctx, tx, inbox.Page{Source: inbox.Hasura, Limit: in.limit, ID: value(in.ID), After: value(in.After)})
	replies := make([]parkedReply, len(list))
	for i, e := range list {
		replies[i] = parkedReply{
			ID: e.ID, Source: e.Source, Trigger: e.Trigger, Handler: told(e.Handler), Reason: e.Reason,
			ReceivedAt: e.ReceivedAt, Deliveries: e.Deliveries,
		}
		if e.Payload != nil {
			replies[i].Payload = &e.Payload
		}
	}
	return replies, err
}

type replayInput struct {
	ID string `json:"id"`
}

type replayedReply struct {
	Outcome string  `json:"outcome"`
	Reason  *string `json:"reason"`
}

func (r Replay) run(ctx context.Context, s session.Session, in replayInput) (replayedReply, error) {
	outcome, reason, err := r(ctx, s, in.ID)
	return replayedReply{Outcome: string(outcome), Reason: told(reason)}, err
}
