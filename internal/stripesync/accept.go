package stripesync

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/stripeapi"
)

// Accept keeps an event and, in the same transaction, hints at its object and puts a job
// for it in the queue. Those who ask at the same time are served by one transaction, but
// none fails for another's sake. An event that cannot be kept (its id has a NUL) is
// invalid-input; where the database gave no answer it is unavailable, and Stripe delivers
// it again.
func (s *Sync) Accept(ctx context.Context, e Event) (Outcome, error) {
	a := &ask{event: clean(e), done: make(chan answer, 1)}
	a.outcome, a.reason = s.judge(a.event)
	if a.outcome == Accepted && e.APIVersion != stripeapi.Version {
		s.note(e.Kind, "other-version")
	}
	s.slotOf(e.Object).add(a)
	select {
	case got := <-a.done:
		return got.outcome, got.err
	case <-ctx.Done():
		return "", fault.From(ctx.Err())
	}
}

// clean makes what is kept only to be looked at something that Postgres stores. Of events
// that are not followed it is nothing: what they are about may hold secrets of payments.
func clean(e Event) Event {
	e.Payload = []byte(storable(string(e.Payload)))
	if e.Kind == "" {
		e.Payload = nil
	}
	if e.Kind == Customer {
		e.Customer = e.Object
	}
	return e
}

// storable is the text without what Postgres does not store: a NUL, or bytes that are no
// UTF-8.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// judge says what a new event is, and why it is no hint; empty: it is one.
func (s *Sync) judge(e Event) (Outcome, string) {
	switch {
	case e.Kind == "":
		return Ignored, "events of its type are not followed"
	case e.Object == "":
		return Ignored, "it names no object"
	case e.Livemode != s.config.Stripe.Livemode():
		return Parked, modesDiffer(e.Livemode)
	}
	return Accepted, ""
}

func modesDiffer(livemode bool) string {
	if livemode {
		return "it is of live mode, and the key of this server is of test mode"
	}
	return "it is of test mode, and the key of this server is of live mode"
}

// slotOf sends what is about one object to one slot, so that slots seldom wait for another.
func (s *Sync) slotOf(object string) *slot {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(object)) // never fails
	return s.slots[sum.Sum32()%slotCount]
}

const acceptEventsAllTenantsSQL = `
SELECT event_id, fresh FROM billing.accept_events(@ids::text[], @types::text[], @objects::text[], @kinds::text[], @customers::text[],
	@livemodes::boolean[], @versions::text[], @created::timestamptz[], @reasons::text[], @payloads::text[])`

type kept struct {
	ID    string `db:"event_id"`
	Fresh bool   `db:"fresh"`
}

// roundTime bounds a transaction that keeps events.
const roundTime = 10 * time.Second

// keep has the database keep events, each once in the list, and tells of each what it is.
func (s *Sync) keep(asks []*ask) ([]Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), roundTime)
	defer cancel()
	outcomes := make([]Outcome, len(asks))
	err := pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
		rows, err := pg.All[kept](ctx, tx, acceptEventsAllTenantsSQL, columns(asks))
		if err != nil {
			return fmt.Errorf("keep events of Stripe: %w", err)
		}
		fresh := make(map[string]bool, len(rows))
		for _, row := range rows {
			fresh[row.ID] = row.Fresh
		}
		var objects []string
		for i, a := range asks {
			outcomes[i] = Repeated
			if fresh[a.event.ID] {
				outcomes[i] = a.outcome
			}
			if outcomes[i] == Accepted {
				objects = append(objects, a.event.Object)
			}
		}
		slices.Sort(objects)
		return s.push(ctx, tx, slices.Compact(objects)) // one job follows all hints there are
	})
	return outcomes, err
}

// columns are the events as the arguments of billing.accept_events.
func columns(asks []*ask) pgx.NamedArgs {
	n := len(asks)
	ids, types, versions, payloads := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	objects, kinds, customers, reasons := make([]*string, n), make([]*string, n), make([]*string, n), make([]*string, n)
	livemodes, created := make([]bool, n), make([]time.Time, n)
	for i, a := range asks {
		e := a.event
		ids[i], types[i], versions[i], payloads[i] = e.ID, e.Type, e.APIVersion, string(e.Payload)
		objects[i], kinds[i], customers[i], reasons[i] = orNull(e.Object), orNull(e.Kind), orNull(e.Customer), orNull(a.reason)
		livemodes[i], created[i] = e.Livemode, e.CreatedAt
	}
	return pgx.NamedArgs{
		"ids": ids, "types": types, "objects": objects, "kinds": kinds, "customers": customers, "livemodes": livemodes,
		"versions": versions, "created": created, "reasons": reasons, "payloads": payloads,
	}
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// away reports whether the database did not answer: nobody knows what became of a round,
// and the next would fare no better.
func away(err error) bool {
	var said *pgconn.PgError
	return err != nil && !errors.As(err, &said) && fault.From(pg.Explain(err)).Code == fault.Unavailable
}
