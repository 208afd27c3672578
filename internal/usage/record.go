package usage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Where a record comes from, as usage_records has it.
const (
	byCaller  = "record"
	byTrigger = "trigger"
)

// Record counts each event once per key, whoever delivers it how often, and refuses
// those that are wrong one by one: the outcomes are in the order of the events. More than
// MostEvents are an invalid-input fault. db is a pool or a transaction: as nself_server
// any tenant's events are counted; as nself_tenant, and for any actor but the operator
// and the server itself, those of its own tenant.
func Record(ctx context.Context, db pg.DB, actor session.Session, events []Event) ([]Outcome, error) {
	if len(events) > MostEvents {
		return nil, fault.New(fault.InvalidInput, "there are %d events; at most %d are taken at once", len(events), MostEvents)
	}
	return record(ctx, db, byCaller, own(actor), events)
}

// own is the tenant that an actor is bound to; zero: to none.
func own(actor session.Session) id.Tenant {
	if actor.IsOperator() || actor.Role == session.Server {
		return id.Tenant{}
	}
	return actor.Tenant
}

// record judges what can be judged here and leaves the rest to the database, in one round.
func record(ctx context.Context, db pg.DB, source string, bound id.Tenant, events []Event) ([]Outcome, error) {
	events, outcomes := slices.Clone(events), make([]Outcome, len(events))
	due := make([]entry, 0, len(events))
	for i := range events {
		if code := judge(&events[i], bound); code != "" {
			outcomes[i] = refusal(code, &events[i])
			continue
		}
		if !bound.IsZero() {
			events[i].Key = ownKeys + events[i].Key
		}
		due = append(due, newEntry(&events[i], i))
	}
	first, twins := split(due)
	if err := count(ctx, db, source, first, outcomes); err != nil {
		return nil, err
	}
	settle(twins, outcomes)
	return outcomes, nil
}

// settle says what became of events by what became of the first of their key: another
// event of that key is refused even where the first was, for a key names one event.
func settle(twins []twin, outcomes []Outcome) {
	for _, t := range twins {
		switch first := outcomes[t.first.place]; {
		case t.content != t.first.content:
			outcomes[t.place] = refusal(keyReused, t.event)
		case first.Status == Refused:
			outcomes[t.place] = first
		default:
			outcomes[t.place] = Outcome{Status: Duplicate}
		}
	}
}

const recordAllTenantsSQL = `
SELECT place, code FROM billing.record(@tenants, @meters, @key_hashes, @keys, @contents, @amounts::text[]::numeric[], @values, @ats, @source)`

type verdict struct {
	Place int64  `db:"place"` // from 1
	Code  string `db:"code"`
}

// count has the database count events of different keys and notes the outcomes.
func count(ctx context.Context, db pg.DB, source string, events []entry, outcomes []Outcome) error {
	for _, e := range events {
		outcomes[e.place] = Outcome{Status: Accepted}
	}
	verdicts, err := pg.All[verdict](ctx, db, recordAllTenantsSQL, arguments(source, events))
	if err != nil {
		return fmt.Errorf("record %d events: %w", len(events), err)
	}
	for _, v := range verdicts {
		e := events[v.Place-1]
		if v.Code == string(Duplicate) {
			outcomes[e.place] = Outcome{Status: Duplicate}
		} else {
			outcomes[e.place] = refusal(v.Code, e.event)
		}
	}
	return nil
}

// arguments lays the events out in columns.
func arguments(source string, events []entry) pgx.NamedArgs {
	n := len(events)
	tenants, hashes, contents := make([]id.Tenant, n), make([][16]byte, n), make([]int64, n)
	meters, keys, amounts := make([]string, n), make([]string, n), make([]string, n)
	values, ats := make([]*string, n), make([]*time.Time, n)
	for i, e := range events {
		tenants[i], hashes[i], contents[i] = e.event.Tenant, e.hash, e.content
		meters[i], keys[i], amounts[i] = e.event.Meter, e.event.Key, e.event.Amount.String()
		if e.event.Value != "" {
			values[i] = &e.event.Value
		}
		if !e.event.At.IsZero() {
			ats[i] = &e.event.At
		}
	}
	return pgx.NamedArgs{
		"tenants": tenants, "meters": meters, "key_hashes": hashes, "keys": keys, "contents": contents,
		"amounts": amounts, "values": values, "ats": ats, "source": source,
	}
}
