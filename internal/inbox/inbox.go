// Package inbox lets an event that is delivered many times have its effect once: the
// row that says "done" and the effect are one transaction. What can never succeed is
// parked with its reason and may be delivered again by a person, under the same id.
package inbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// Event is one delivery of one event.
type Event struct {
	Source  string // who delivers, such as "hasura"
	ID      string // the sender's id of the event, the same on every delivery
	Trigger string
	Payload json.RawMessage // nil where it cannot be kept
}

// Outcome says what became of a delivery.
type Outcome string

// Done: the effect happened now. Repeated: it had happened before. Parked: it never
// can, and the reason is kept.
const (
	Done     Outcome = "done"
	Repeated Outcome = "repeated"
	Parked   Outcome = "parked"
)

// The update takes the row's lock, so a copy delivered while the first is still at work
// waits for it and then finds it done.
const claimAllTenantsSQL = `
INSERT INTO nself.inbox AS i (source, event_id, trigger, state, payload)
VALUES (@source, @event_id, @trigger, 'done', @payload)
ON CONFLICT (source, event_id) DO UPDATE SET deliveries = i.deliveries + 1
RETURNING i.deliveries = 1 OR i.state = 'parked'`

const settleAllTenantsSQL = `
UPDATE nself.inbox SET state = @state, reason = @reason WHERE source = @source AND event_id = @event_id`

// Once runs effect unless it has happened, and commits both. A fault from effect parks
// the event: nothing of the effect stays, and no delivery can help. Any other error
// leaves everything as it was, for the sender to try again.
func Once(ctx context.Context, db pg.DB, e Event, effect func(tx pgx.Tx) error) (Outcome, error) {
	args := pgx.NamedArgs{"source": e.Source, "event_id": e.ID, "trigger": e.Trigger, "payload": e.Payload}
	outcome := Repeated
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		due, err := pg.Scalar[bool](ctx, tx, claimAllTenantsSQL, args)
		if err != nil {
			return fmt.Errorf("claim event %s: %w", e.ID, err)
		}
		if !due {
			return nil
		}
		args["state"], args["reason"], outcome = "done", nil, Done
		if err := pg.InTx(ctx, tx, effect); err != nil {
			f := fault.From(err)
			if f.Code == fault.Internal || f.Code == fault.Unavailable {
				return err
			}
			args["state"], args["reason"], outcome = "parked", f.Message, Parked
		}
		if _, err := tx.Exec(ctx, settleAllTenantsSQL, args); err != nil {
			return fmt.Errorf("settle event %s: %w", e.ID, err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return outcome, nil
}
