package stripesync

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// mostReplayed is how many events are replayed in one go where a time names them. It is
// more than one transaction keeps, all of which have the same time.
const mostReplayed = 2000

// ReplayReport says what became of the events that were replayed: each is as its object.
type ReplayReport struct {
	Replayed int // events that are hints
	Applied  int // of them: what the object is now stands here
	Parked   int
	Dead     int
	Waiting  int       // not followed in time, or for want of an answer; the queue goes on
	Next     time.Time // there were too many for one go: replay those since then; zero: these were all
}

type replayed struct {
	Event    string    `db:"event_id"`
	Received time.Time `db:"received_at"`
	Object   string    `db:"object_id"`
	Kind     string    `db:"kind"` // empty: the event is no hint
	Customer string    `db:"customer_id"`
}

const replayedIDsAllTenantsSQL = `
SELECT e.event_id, e.received_at, coalesce(o.object_id, '') AS object_id, coalesce(o.kind, '') AS kind, coalesce(o.customer_id, '') AS customer_id
FROM billing.stripe_events e LEFT JOIN billing.stripe_objects o ON o.object_id = e.object_id AND e.reason IS NULL
WHERE e.event_id = ANY (@ids::text[])
ORDER BY e.received_at, e.event_id`

const replayedSinceAllTenantsSQL = `
SELECT e.event_id, e.received_at, o.object_id, o.kind, coalesce(o.customer_id, '') AS customer_id
FROM billing.stripe_events e JOIN billing.stripe_objects o ON o.object_id = e.object_id
WHERE e.received_at >= @since AND e.reason IS NULL
ORDER BY e.received_at, e.event_id LIMIT @limit`

// Replay hints again at the objects of the events with these ids, or where there are none
// of the events received since then, the oldest two thousand of them, and follows each
// object now, as long as ctx lasts. Events that are no hints are left out. An id that is not
// kept is not-found, and nothing is replayed; neither ids nor a time is invalid-input.
func (s *Sync) Replay(ctx context.Context, ids []string, since time.Time) (ReplayReport, error) {
	rows, next, err := s.toReplay(ctx, ids, since)
	if err != nil {
		return ReplayReport{}, pg.Explain(err)
	}
	report := ReplayReport{Next: next}
	var objects []named
	events := map[string]int{}
	for _, row := range rows {
		if row.Kind == "" {
			continue
		}
		if report.Replayed++; events[row.Object] == 0 {
			objects = append(objects, named{row.Kind, row.Object, row.Customer})
		}
		events[row.Object]++
	}
	states, err := s.again(ctx, objects)
	for object, n := range events {
		report.count(states[object], n)
	}
	return report, pg.Explain(err)
}

func (s *Sync) toReplay(ctx context.Context, ids []string, since time.Time) (rows []replayed, next time.Time, err error) {
	if len(ids) > 0 {
		rows, err = pg.All[replayed](ctx, s.config.DB, replayedIDsAllTenantsSQL, pgx.NamedArgs{"ids": ids})
		if err != nil {
			return nil, next, fmt.Errorf("read the events to replay: %w", err)
		}
		kept := make(map[string]bool, len(rows))
		for _, row := range rows {
			kept[row.Event] = true
		}
		for _, event := range ids {
			if !kept[event] {
				return nil, next, notKept(event)
			}
		}
		return rows, next, nil
	}
	if since.IsZero() {
		return nil, next, fault.New(fault.InvalidInput, "name the events to replay, or since when they were received")
	}
	rows, err = pg.All[replayed](ctx, s.config.DB, replayedSinceAllTenantsSQL, pgx.NamedArgs{"since": since, "limit": mostReplayed + 1})
	if err != nil {
		return nil, next, fmt.Errorf("read the events to replay: %w", err)
	}
	if len(rows) > mostReplayed {
		rows, next = rows[:mostReplayed], rows[mostReplayed].Received
	}
	return rows, next, nil
}

func (r *ReplayReport) count(state string, n int) {
	switch state {
	case stateApplied:
		r.Applied += n
	case stateParked:
		r.Parked += n
	case stateDead:
		r.Dead += n
	default:
		r.Waiting += n
	}
}
