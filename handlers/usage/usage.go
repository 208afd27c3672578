// Package usage is the doors for services that tell what was used and ask whether more may
// be. POST /usage takes CloudEvents 1.0, one or up to ten thousand at once: an event is
// refused by itself, with a reason, and the rest is counted. POST /quota/take decides about
// one amount. A service of the installation shows the webhook secret and names the tenant;
// anyone else shows an access token or an API key, and is heard for its own tenant.
package usage

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/quota"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
	"github.com/nself/tenancy/internal/usage"
)

// Config is what the doors need.
type Config struct {
	DB        *pgxpool.Pool // as nself_server
	Verifier  *token.Verifier
	HasSecret func(r *http.Request) bool                                       // whether a request carries the webhook secret
	Take      func(ctx context.Context, ask quota.Ask) (quota.Decision, error) // decides
}

// door is the Config with the serving of it.
type door struct{ Config }

// Handler serves POST /usage.
func Handler(c Config) http.HandlerFunc {
	d := door{c}
	return posted(statuses, func(w http.ResponseWriter, r *http.Request) error {
		answer, err := d.serve(r)
		if err != nil {
			return err
		}
		requestlog.Add(r.Context(), slog.Int("accepted", answer.Accepted), slog.Int("duplicates", answer.Duplicates), slog.Int("refused", len(answer.Refused)))
		wire.Reply(w, http.StatusOK, answer)
		return nil
	})
}

func (d door) serve(r *http.Request) (answer, error) {
	sender, err := d.sender(r)
	if err != nil {
		return answer{}, err
	}
	items, err := read(r)
	if err != nil {
		return answer{}, err
	}
	if err := d.name(r.Context(), sender, items); err != nil {
		return answer{}, err
	}
	outcomes, err := d.record(r.Context(), sender, events(items))
	if err != nil {
		return answer{}, err
	}
	return answered(items, outcomes), nil
}

// record counts events. For a tenant's own sender that is done under row-level security,
// and only while the sender's standing lasts.
func (d door) record(ctx context.Context, sender session.Session, events []usage.Event) (outcomes []usage.Outcome, err error) {
	if len(events) == 0 {
		return nil, nil
	}
	if sender.Role == session.Server {
		return usage.Record(ctx, d.DB, sender, events)
	}
	err = pg.InTx(ctx, d.DB, func(tx pgx.Tx) error {
		if err := token.Admit(ctx, tx, sender); err != nil {
			return err
		}
		if err := pg.EnterTenant(ctx, tx, sender); err != nil {
			return err
		}
		outcomes, err = usage.Record(ctx, tx, sender, events)
		return err
	})
	return outcomes, err
}

// item is one event of a request.
type item struct {
	id      string
	tenant  string // as the sender names it; empty: not at all
	event   usage.Event
	refused *usage.Outcome // what is wrong with it; nil: nothing so far
}

// refuse notes what is wrong; the first thing stands.
func (i *item) refuse(code, reason string) {
	if i.refused != nil {
		return
	}
	i.refused = &usage.Outcome{Status: usage.Refused, Code: code, Reason: reason}
}

// events are those that nothing is wrong with so far.
func events(items []item) []usage.Event {
	found := make([]usage.Event, 0, len(items))
	for i := range items {
		if items[i].refused == nil {
			found = append(found, items[i].event)
		}
	}
	return found
}

// answer is what became of the events.
type answer struct {
	Accepted   int            `json:"accepted"`
	Duplicates int            `json:"duplicates"`
	Refused    []refusedEvent `json:"refused"`
}

type refusedEvent struct {
	Index  int    `json:"index"`
	ID     string `json:"id"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// answered puts the outcomes, which are those of events(items), back in their places.
func answered(items []item, outcomes []usage.Outcome) answer {
	a := answer{Refused: []refusedEvent{}}
	for i, item := range items {
		outcome := item.refused
		if outcome == nil {
			outcome, outcomes = &outcomes[0], outcomes[1:]
		}
		switch outcome.Status {
		case usage.Accepted:
			a.Accepted++
		case usage.Duplicate:
			a.Duplicates++
		default:
			a.Refused = append(a.Refused, refusedEvent{Index: i, ID: item.id, Code: outcome.Code, Reason: outcome.Reason})
		}
	}
	return a
}
