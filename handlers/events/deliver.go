package events

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
)

// Config is what the effects work with.
type Config struct {
	DB     *pgxpool.Pool                     // as nself_server
	Outbox *queue.Outbox                     // nil: an installation without mail
	Warned func(meter string, threshold int) // told of each quota warning that was committed; nil: nobody is
}

// door is the Config with the table.
type door struct {
	Config
	table map[string]Effect
}

// Handler serves POST /events/{name} from the table.
func Handler(c Config) http.Handler {
	d := &door{Config: c, table: Table()}
	router := chi.NewRouter()
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, fault.New(fault.NotFound, "there is nothing at %.120q", r.URL.Path))
	})
	router.Post("/{name}", func(w http.ResponseWriter, r *http.Request) {
		outcome, err := d.serve(r)
		if err != nil {
			f := fault.From(pg.Explain(err))
			requestlog.Fault(r.Context(), f)
			Refuse(w, f)
			return
		}
		requestlog.Add(r.Context(), slog.String("outcome", string(outcome)))
		wire.Reply(w, http.StatusOK, map[string]any{"outcome": outcome})
	})
	return router
}

func (d *door) serve(r *http.Request) (inbox.Outcome, error) {
	name := chi.URLParam(r, "name")
	if d.table[name] == nil {
		return "", fault.New(fault.NotFound, "there is no event handler %.80q", name)
	}
	raw, event, err := read(r.Body)
	if err != nil {
		return "", err
	}
	requestlog.Add(r.Context(), slog.String("event_id", event.ID), slog.String("trigger", event.Trigger.Name))
	kept := inbox.Event{Source: inbox.Hasura, ID: event.ID, Trigger: event.Trigger.Name, Handler: name, Payload: raw}
	return d.deliver(r.Context(), kept, event)
}

// deliver has the effect, once. What Postgres cannot keep, now or later, is parked without
// its payload; what fails on this side when nobody tries again is parked with it.
func (d *door) deliver(ctx context.Context, kept inbox.Event, event Event) (inbox.Outcome, error) {
	outcome, err := d.once(ctx, kept, event)
	switch f := fault.From(pg.Explain(err)); {
	case err == nil:
		return outcome, nil
	case f.Code == fault.InvalidInput:
		kept.Payload = nil
		return inbox.Park(ctx, d.DB, kept, f.Message)
	case f.Code == fault.Internal && event.lastTry():
		requestlog.Fault(ctx, f)
		return inbox.Park(ctx, d.DB, kept, "the last try failed on our side; the log of request "+requestlog.ID(ctx)+" says why")
	}
	return "", err
}

func (d *door) once(ctx context.Context, kept inbox.Event, event Event) (outcome inbox.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = requestlog.Panic(ctx, p)
		}
	}()
	w := d.work(event)
	outcome, err = inbox.Once(ctx, d.DB, kept, func(tx pgx.Tx) error { return d.table[kept.Handler](ctx, tx, w) })
	w.committed(outcome)
	return outcome, err
}

func (d *door) work(event Event) *Work {
	return &Work{Event: event, outbox: d.Outbox, warned: d.Warned}
}

// committed does what waits for the effect to be committed, where it is.
func (w *Work) committed(outcome inbox.Outcome) {
	if outcome != inbox.Done {
		return
	}
	for _, do := range w.after {
		do()
	}
}

// Replay gives parked events to their handlers again, from what was kept of them, one by
// the id it was delivered under, and notes in the audit log that the actor did so. The
// reason is why it stays parked; the errors are inbox.Replay's.
func Replay(c Config) func(ctx context.Context, actor session.Session, event string) (outcome inbox.Outcome, reason string, err error) {
	d := &door{Config: c, table: Table()}
	return d.replay
}

func (d *door) replay(ctx context.Context, actor session.Session, event string) (outcome inbox.Outcome, reason string, err error) {
	w := d.work(Event{})
	err = pg.InTx(ctx, d.DB, func(tx pgx.Tx) error {
		outcome, reason, err = inbox.Replay(ctx, tx, inbox.Event{Source: inbox.Hasura, ID: event}, func(tx pgx.Tx, kept inbox.Event) error {
			return d.again(ctx, tx, w, kept)
		})
		if err != nil || outcome == inbox.Repeated {
			return err
		}
		after := map[string]any{"outcome": outcome}
		if reason != "" {
			after["reason"] = reason
		}
		return audit.Append(ctx, tx, actor, audit.Entry{Action: "replay_event", Target: "event:" + event, After: after})
	})
	if err != nil {
		return "", "", err
	}
	w.committed(outcome)
	return outcome, reason, nil
}

// again has the effect of an event that was kept.
func (d *door) again(ctx context.Context, tx pgx.Tx, w *Work, kept inbox.Event) (err error) {
	effect := d.table[kept.Handler]
	if effect == nil {
		return fault.New(fault.InvalidInput, "it came for the handler %q, which this version does not have; have Hasura deliver it again", kept.Handler)
	}
	if w.Event, err = parse(kept.Payload); err != nil {
		return err
	}
	return effect(ctx, tx, w)
}
