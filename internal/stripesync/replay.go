package stripesync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
)

// ReplayReport says what became of the events that were replayed: each is as its object.
type ReplayReport struct {
	Replayed int // events that are hints
	Applied  int // of them: what the object is now stands here
	Parked   int
	Dead     int
	Waiting  int // not followed in time, or for want of an answer; the queue goes on
}

type replayed struct {
	Event    string `db:"event_id"`
	Object   string `db:"object_id"`
	Kind     string `db:"kind"`
	Customer string `db:"customer_id"`
	Hint     bool   `db:"hint"`
}

const replayedAllTenantsSQL = `
SELECT e.event_id, coalesce(e.object_id, '') AS object_id, coalesce(o.kind, '') AS kind, coalesce(o.customer_id, '') AS customer_id,
	e.reason IS NULL AND o.object_id IS NOT NULL AS hint
FROM billing.stripe_events e LEFT JOIN billing.stripe_objects o ON o.object_id = e.object_id
WHERE CASE WHEN cardinality(@ids::text[]) > 0 THEN e.event_id = ANY (@ids::text[]) ELSE e.received_at >= @since::timestamptz END
ORDER BY e.received_at, e.event_id`

// Replay hints again at the objects of the events with these ids, or where there are none
// of every event received since then, and follows each object now, as long as ctx lasts.
// Events that are no hints are left out. An id that is not kept is not-found, and nothing is
// replayed; neither ids nor a time is invalid-input.
func (s *Sync) Replay(ctx context.Context, ids []string, since time.Time) (ReplayReport, error) {
	if len(ids) == 0 && since.IsZero() {
		return ReplayReport{}, fault.New(fault.InvalidInput, "name the events to replay, or since when they were received")
	}
	if ids == nil {
		ids = []string{}
	}
	rows, err := pg.All[replayed](ctx, s.config.DB, replayedAllTenantsSQL, pgx.NamedArgs{"ids": ids, "since": since})
	if err != nil {
		return ReplayReport{}, pg.Explain(fmt.Errorf("read the events to replay: %w", err))
	}
	for _, event := range ids {
		if !slices.ContainsFunc(rows, func(r replayed) bool { return r.Event == event }) {
			return ReplayReport{}, notKept(event)
		}
	}
	var report ReplayReport
	var objects []named
	events := map[string]int{}
	for _, row := range rows {
		if !row.Hint {
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

func (r *ReplayReport) count(state string, n int) {
	switch state {
	case "applied":
		r.Applied += n
	case "parked":
		r.Parked += n
	case "dead":
		r.Dead += n
	default:
		r.Waiting += n
	}
}

const statesAllTenantsSQL = `
SELECT object_id, state FROM billing.stripe_objects WHERE object_id = ANY (@objects::text[])`

type stateOf struct {
	Object string `db:"object_id"`
	State  string `db:"state"`
}

// again hints at objects, all of them before any is followed, follows each while ctx lasts,
// and says in which state each is then. What could not be followed the queue goes on with.
func (s *Sync) again(ctx context.Context, objects []named) (map[string]string, error) {
	ids := make([]string, len(objects))
	for i, object := range objects {
		ids[i] = object.id
		err := pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
			_, err := s.hint(ctx, tx, object)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, object := range objects {
		if err := s.Object(ctx, object.id); err != nil && !errors.Is(err, errElsewhere) {
			s.config.Log.WarnContext(ctx, "an object of Stripe could not be followed again yet", "object", object.id, "error", err)
		}
	}
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	rows, err := pg.All[stateOf](reading, s.config.DB, statesAllTenantsSQL, pgx.NamedArgs{"objects": ids})
	if err != nil {
		return nil, fmt.Errorf("read what became of the objects: %w", err)
	}
	states := make(map[string]string, len(rows))
	for _, row := range rows {
		states[row.Object] = row.State
	}
	return states, nil
}
