package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// Kept is a parked event as it stands in the inbox.
type Kept struct {
	Source     string          `db:"source"`
	ID         string          `db:"event_id"`
	Trigger    string          `db:"trigger"`
	Handler    string          `db:"handler"` // empty: parked by a version that did not note it
	Reason     string          `db:"reason"`
	ReceivedAt time.Time       `db:"received_at"` // of the first delivery
	Deliveries int             `db:"deliveries"`
	Payload    json.RawMessage `db:"payload"` // nil where it could not be kept
}

// Page says which parked events of a source are listed.
type Page struct {
	Source string
	Limit  int    // how many at most
	ID     string // this one alone; empty: every one
	After  string // those that come after the event with this id in the list, parked still or not; empty: from the first
}

const listParkedAllTenantsSQL = `
SELECT source, event_id, trigger, coalesce(handler, '') AS handler, reason, received_at, deliveries, payload
FROM nself.inbox WHERE state = 'parked' AND source = @source AND (@id = '' OR event_id = @id)
	AND (@after = '' OR (received_at, event_id) < (SELECT l.received_at, l.event_id FROM nself.inbox l WHERE l.source = @source AND l.event_id = @after))
ORDER BY received_at DESC, event_id DESC LIMIT @limit`

// ParkedEvents lists parked events, those that came last first. After an event that the
// inbox does not hold there is none.
func ParkedEvents(ctx context.Context, db pg.DB, page Page) ([]Kept, error) {
	found, err := pg.All[Kept](ctx, db, listParkedAllTenantsSQL, pgx.NamedArgs{
		"source": page.Source, "limit": page.Limit, "id": page.ID, "after": page.After,
	})
	if err != nil {
		return nil, fmt.Errorf("list the parked events: %w", err)
	}
	return found, nil
}

type stored struct {
	Kept
	State Outcome `db:"state"`
}

const lockAllTenantsSQL = `
SELECT source, event_id, trigger, coalesce(handler, '') AS handler, coalesce(reason, '') AS reason, received_at, deliveries, payload, state
FROM nself.inbox WHERE source = @source AND event_id = @event_id FOR UPDATE`

// Replay runs the effect of the parked event with e's source and id again, from what was
// kept of it, and says what came of it; reason is why it stays parked. It and a redelivery
// wait for one another, and whichever comes second finds the effect there: Repeated.
// NotFound: the inbox does not hold the event. An event whose payload could not be kept
// stays parked, and the reason says so.
func Replay(ctx context.Context, db pg.DB, e Event, effect func(tx pgx.Tx, e Event) error) (outcome Outcome, reason string, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		s, err := pg.One[stored](ctx, tx, lockAllTenantsSQL, e.args())
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "the inbox holds no event %.80q; parkedEvents lists those that can be replayed", e.ID)
		case err != nil:
			return fmt.Errorf("read event %s: %w", e.ID, err)
		case s.State != Parked:
			outcome = Repeated
			return nil
		case s.Payload == nil:
			outcome, reason = Parked, "its payload could not be kept, so nothing is there to replay; mend what sent it and have it delivered again ("+s.Reason+")"
			return nil
		}
		whole := Event{Source: s.Source, ID: s.ID, Trigger: s.Trigger, Handler: s.Handler, Payload: s.Payload}
		outcome, reason, err = settle(ctx, tx, whole, func(tx pgx.Tx) error { return effect(tx, whole) })
		return err
	})
	if err != nil {
		return "", "", err
	}
	return outcome, reason, nil
}

// A replayed event counts from its replay: a redelivery of it is as likely then.
const pruneAllTenantsSQL = `
DELETE FROM nself.inbox WHERE (source, event_id) IN (
	SELECT source, event_id FROM nself.inbox
	WHERE state = 'done' AND received_at < now() - interval '35 days' AND coalesce(settled_at, received_at) < now() - interval '35 days'
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

// Prune forgets the events that were done more than 35 days ago, and says how many. Parked
// ones stay until they are done. An event delivered again after that is taken for a new
// one. db is a pool.
func Prune(ctx context.Context, db pg.DB) (int64, error) {
	gone, err := pg.InBatches(ctx, db, pruneAllTenantsSQL)
	if err != nil {
		return gone, fmt.Errorf("prune the inbox: %w", err)
	}
	return gone, nil
}
