// Package inbox lets an event that is delivered many times have its effect once: the
// row that says "done" and the effect are one transaction. What can never succeed is
// parked with its reason; a person may have it delivered again under the same id, or
// replay it from what was kept. It owns nself.inbox.
package inbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// Hasura is the source of what Hasura's event triggers deliver.
const Hasura = "hasura"

// Event is one delivery of one event.
type Event struct {
	Source  string // who delivers, such as "hasura"
	ID      string // the sender's id of the event, the same on every delivery
	Trigger string
	Handler string          // which effect it is for: a replay asks the same one
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
// waits for it and then finds it done. Of a parked event the latest delivery is kept.
const claimAllTenantsSQL = `
INSERT INTO nself.inbox AS i (source, event_id, trigger, handler, state)
VALUES (@source, @event_id, @trigger, @handler, 'done')
ON CONFLICT (source, event_id) DO UPDATE SET deliveries = i.deliveries + 1,
	handler = CASE i.state WHEN 'parked' THEN excluded.handler ELSE i.handler END
RETURNING i.deliveries = 1 OR i.state = 'parked'`

// The payload of an event that is done is kept no longer: nobody reads it again.
const settleAllTenantsSQL = `
UPDATE nself.inbox SET state = @state::text, reason = @reason, settled_at = now(),
	payload = CASE @state::text WHEN 'parked' THEN @payload::jsonb END
WHERE source = @source AND event_id = @event_id`

func (e Event) args() pgx.NamedArgs {
	return pgx.NamedArgs{"source": e.Source, "event_id": e.ID, "trigger": e.Trigger, "handler": e.Handler, "payload": e.Payload}
}

// Once runs effect unless it has happened, and commits both. A fault from effect parks
// the event, and so does a value that Postgres cannot store: nothing of the effect stays,
// and no delivery can help. Any other error leaves everything as it was, for the sender to
// try again.
func Once(ctx context.Context, db pg.DB, e Event, effect func(tx pgx.Tx) error) (Outcome, error) {
	outcome := Repeated
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		due, err := pg.Scalar[bool](ctx, tx, claimAllTenantsSQL, e.args())
		if err != nil {
			return fmt.Errorf("claim event %s: %w", e.ID, err)
		}
		if !due {
			return nil
		}
		outcome, _, err = settle(ctx, tx, e, effect)
		return err
	})
	if err != nil {
		return "", err
	}
	return outcome, nil
}

// Park keeps an event whose effect cannot be had, unless it has happened.
func Park(ctx context.Context, db pg.DB, e Event, reason string) (Outcome, error) {
	return Once(ctx, db, e, func(pgx.Tx) error { return fault.New(fault.InvalidInput, "%s", reason) })
}

// settle runs the effect of an event whose row is locked, and notes what came of it; the
// reason is a parked one's.
func settle(ctx context.Context, tx pgx.Tx, e Event, effect func(tx pgx.Tx) error) (Outcome, string, error) {
	args := e.args()
	args["state"], args["reason"] = "done", nil
	outcome, reason := Done, ""
	if err := pg.InTx(ctx, tx, effect); err != nil {
		final, hopeless := refusal(err)
		if !hopeless {
			return "", "", err
		}
		outcome, reason = Parked, final.Message
		args["state"], args["reason"] = "parked", reason
	}
	if _, err := tx.Exec(ctx, settleAllTenantsSQL, args); err != nil {
		return "", "", fmt.Errorf("settle event %s: %w", e.ID, err)
	}
	return outcome, reason, nil
}

// refusal reports whether an effect's error is one that no other delivery can help.
func refusal(err error) (final *fault.Fault, hopeless bool) {
	f := fault.From(err)
	switch f.Code {
	case fault.Unavailable:
		return nil, false
	case fault.Internal: // an error of no room's own, which may be Postgres's word on a value
		f = fault.From(pg.Explain(err))
		return f, f.Code == fault.InvalidInput
	}
	return f, true
}
