package stripesync

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Page says which events are listed.
type Page struct {
	State  string    // waiting, applied, parked, dead or ignored; empty: any
	Type   string    // empty: any
	Tenant id.Tenant // zero: any, and those of none
	Since  time.Time // received then or later; zero: any
	After  string    // those that come after the event with this id in the list; empty: from the first
	Limit  int       // how many at most
}

// EventRow is an event as it is kept, and what became of the object it hinted at.
type EventRow struct {
	ID         string    `db:"event_id"`
	Type       string    `db:"type"`
	ObjectID   *string   `db:"object_id"`
	Kind       *string   `db:"kind"`      // nil: it is no hint
	TenantID   id.Tenant `db:"tenant_id"` // zero: of nobody
	State      string    `db:"state"`     // waiting, applied, parked, dead or ignored
	Reason     *string   `db:"reason"`    // of one that is parked, dead or ignored
	CreatedAt  time.Time `db:"created_at"`
	ReceivedAt time.Time `db:"received_at"` // of the first delivery
	Deliveries int       `db:"deliveries"`
	APIVersion string    `db:"api_version"`
	Livemode   bool      `db:"livemode"`
	Payload    *string   `db:"payload"` // nil in a list, and of a type that is not followed
}

// An event of the other mode is parked, though no hint. Of one that is a hint, what became
// of its object since it was noted tells.
const eventColumns = `e.event_id, e.type, e.object_id, o.kind, c.tenant_id,
	CASE WHEN e.reason LIKE @other_mode THEN 'parked'
		WHEN e.reason IS NOT NULL THEN 'ignored'
		WHEN o.state = 'parked' THEN 'parked'
		WHEN e.number <= o.applied THEN 'applied'
		WHEN o.state = 'dead' THEN 'dead'
		ELSE 'waiting' END AS state,
	coalesce(e.reason, CASE WHEN o.state = 'parked' OR o.state = 'dead' AND e.number > o.applied THEN o.reason END) AS reason,
	e.created_at, e.received_at, e.deliveries, e.api_version, e.livemode`

const inPage = ` AND (@type = '' OR e.type = @type)
	AND (@since::timestamptz IS NULL OR e.received_at >= @since::timestamptz)
	AND (@after = '' OR (e.received_at, e.event_id) < (SELECT l.received_at, l.event_id FROM billing.stripe_events l WHERE l.event_id = @after))
	AND (@tenant::uuid IS NULL OR c.tenant_id = @tenant::uuid)`

const listEventsAllTenantsSQL = `
SELECT listed.*, NULL::text AS payload FROM (
	SELECT ` + eventColumns + `
	FROM billing.stripe_events e
	LEFT JOIN billing.stripe_objects o ON o.object_id = e.object_id AND e.reason IS NULL
	LEFT JOIN billing.customers c ON c.stripe_id = o.customer_id
	WHERE true` + inPage + `
) listed
WHERE @state = '' OR state = @state
ORDER BY received_at DESC, event_id DESC LIMIT @limit`

// Of what is not settled there is little: it is found by its objects.
const listUnsettledAllTenantsSQL = `
SELECT listed.*, NULL::text AS payload FROM (
	SELECT ` + eventColumns + `
	FROM billing.stripe_objects o
	JOIN billing.stripe_events e ON e.object_id = o.object_id
	LEFT JOIN billing.customers c ON c.stripe_id = o.customer_id
	WHERE o.state <> 'applied' AND o.state = @state AND e.reason IS NULL AND (o.state = 'parked' OR e.number > o.applied)` + inPage + `
	UNION ALL
	SELECT ` + eventColumns + `
	FROM billing.stripe_events e
	LEFT JOIN billing.stripe_objects o ON false
	LEFT JOIN billing.customers c ON false
	WHERE @state = 'parked' AND e.reason IS NOT NULL AND e.reason LIKE @other_mode` + inPage + `
) listed
ORDER BY received_at DESC, event_id DESC LIMIT @limit`

const eventAllTenantsSQL = `
SELECT ` + eventColumns + `, nullif(e.payload, '') AS payload
FROM billing.stripe_events e
LEFT JOIN billing.stripe_objects o ON o.object_id = e.object_id AND e.reason IS NULL
LEFT JOIN billing.customers c ON c.stripe_id = o.customer_id
WHERE e.event_id = @id`

// otherMode is how the reason of an event of the other mode begins.
const otherMode = "it is of % mode, and%"

func (p Page) args() pgx.NamedArgs {
	args := pgx.NamedArgs{
		"state": p.State, "type": p.Type, "tenant": p.Tenant, "since": nil, "after": p.After,
		"limit": p.Limit, "other_mode": otherMode,
	}
	if !p.Since.IsZero() {
		args["since"] = p.Since
	}
	return args
}

// Events lists events, those that came last first. After an event that is not kept there is
// none.
func Events(ctx context.Context, db pg.DB, page Page) ([]EventRow, error) {
	sql := listEventsAllTenantsSQL
	switch page.State {
	case stateWaiting, stateParked, stateDead:
		sql = listUnsettledAllTenantsSQL
	}
	rows, err := pg.All[EventRow](ctx, db, sql, page.args())
	if err != nil {
		return nil, fmt.Errorf("list Stripe's events: %w", err)
	}
	return rows, nil
}

// EventOf reads one event with its payload; not-found where it is not kept.
func EventOf(ctx context.Context, db pg.DB, event string) (EventRow, error) {
	row, err := pg.One[EventRow](ctx, db, eventAllTenantsSQL, pgx.NamedArgs{"id": event, "other_mode": otherMode})
	switch {
	case pg.NoRow(err):
		return EventRow{}, notKept(event)
	case err != nil:
		return EventRow{}, fmt.Errorf("read event %s: %w", event, err)
	}
	return row, nil
}

func notKept(event string) error {
	return fault.New(fault.NotFound, "no event %.80q of Stripe is kept; billingEvents lists those that are", event)
}

// What waits, is parked or dead is kept: a person has to look at it.
const pruneEventsAllTenantsSQL = `
DELETE FROM billing.stripe_events WHERE event_id IN (
	SELECT e.event_id FROM billing.stripe_events e LEFT JOIN billing.stripe_objects o ON o.object_id = e.object_id
	WHERE e.received_at < now() - interval '35 days'
		AND (e.reason IS NOT NULL OR e.number <= o.applied AND o.state <> 'parked')
	LIMIT @batch FOR UPDATE OF e SKIP LOCKED)`

// An object comes back with the next hint at it. While an event of it is kept, so is it.
const pruneObjectsAllTenantsSQL = `
DELETE FROM billing.stripe_objects WHERE object_id IN (
	SELECT o.object_id FROM billing.stripe_objects o
	WHERE o.state = 'applied' AND greatest(o.hinted_at, o.applied_at) < now() - interval '400 days'
		AND NOT EXISTS (SELECT FROM billing.stripe_events e WHERE e.object_id = o.object_id)
	LIMIT @batch FOR UPDATE SKIP LOCKED)`

// PruneEvents is a routine that forgets events received more than 35 days ago: those that
// were applied, and those that were no hints; and after them objects that nothing was told
// of for 400 days. It returns how many of both. An event delivered again after that is one
// more hint. db is a pool.
func PruneEvents(ctx context.Context, db pg.DB) (int64, error) {
	var all int64
	for _, statement := range []string{pruneEventsAllTenantsSQL, pruneObjectsAllTenantsSQL} {
		gone, err := pg.InBatches(ctx, db, statement)
		if all += gone; err != nil {
			return all, fmt.Errorf("prune what Stripe told: %w", err)
		}
	}
	return all, nil
}
