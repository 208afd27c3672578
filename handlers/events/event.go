// Package events serves Hasura's event triggers: one adapter (event.go), one table
// (table.go), one file per subject. Done, repeated or pointless is 200; only what
// another delivery can help is an error. It never sends Retry-After: Hasura would
// deliver again for ever, its tries spent or not.
package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/inbox"
	"github.com/nself/tenancy/internal/pg"
)

// Event is what Hasura delivers (hasura-contract 2.1), as far as effects may rely on
// it. created_at is left out: it has no zone and orders nothing. session_variables are
// null for writers other than Hasura.
type Event struct {
	ID      string `json:"id"`
	Trigger struct {
		Name string `json:"name"`
	} `json:"trigger"`
	Table struct {
		Schema string `json:"schema"`
		Name   string `json:"name"`
	} `json:"table"`
	Event struct {
		Op   string `json:"op"` // INSERT, UPDATE, DELETE or MANUAL
		Data struct {
			Old json.RawMessage `json:"old"`
			New json.RawMessage `json:"new"` // of MANUAL: any JSON at all
		} `json:"data"`
	} `json:"event"`
}

// Effect is what one event brings about, inside the inbox's transaction. A fault parks
// the event; any other error asks for another delivery.
type Effect func(ctx context.Context, tx pgx.Tx, e Event) error

// Handler serves POST /events/{name} from the table.
func Handler(db *pgxpool.Pool, table map[string]Effect) http.Handler {
	router := chi.NewRouter()
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, fault.New(fault.NotFound, "there is nothing at %.120q", r.URL.Path))
	})
	router.Post("/{name}", func(w http.ResponseWriter, r *http.Request) {
		outcome, err := deliver(r, db, table)
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

func deliver(r *http.Request, db *pgxpool.Pool, table map[string]Effect) (outcome inbox.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = requestlog.Panic(r.Context(), p)
		}
	}()
	name := chi.URLParam(r, "name")
	effect, known := table[name]
	if !known {
		return "", fault.New(fault.NotFound, "there is no event handler %.80q", name)
	}
	raw, event, err := read(r)
	if err != nil {
		return "", err
	}
	requestlog.Add(r.Context(), slog.String("event_id", event.ID), slog.String("trigger", event.Trigger.Name))
	e := inbox.Event{Source: "hasura", ID: event.ID, Trigger: event.Trigger.Name, Payload: raw}
	outcome, err = inbox.Once(r.Context(), db, e, func(tx pgx.Tx) error { return effect(r.Context(), tx, event) })
	if refused := pg.Explain(err); fault.Is(refused, fault.InvalidInput) {
		e.Payload = nil // Postgres cannot keep it, now or later: park the event without
		return inbox.Once(r.Context(), db, e, func(pgx.Tx) error { return refused })
	}
	return outcome, err
}

func read(r *http.Request) (json.RawMessage, Event, error) {
	var raw json.RawMessage
	var event Event
	if err := wire.Decode(r.Body, &raw); err != nil {
		return nil, event, err
	}
	if err := wire.Decode(bytes.NewReader(raw), &event); err != nil {
		return nil, event, err
	}
	if event.ID == "" {
		return nil, event, fault.New(fault.InvalidJSON, "the body is not an event: it has no id")
	}
	return raw, event, nil
}

// row reads the new row of an event into T, a struct of the columns the effect needs.
// What is not such a row is a fault: no delivery will make it one.
func row[T any](raw json.RawMessage, what string) (T, error) {
	var parsed T
	if err := wire.Decode(bytes.NewReader(raw), &parsed); err != nil {
		return parsed, fault.New(fault.InvalidInput, "data.new is no row of %s: %s", what, fault.From(err).Message)
	}
	return parsed, nil
}

func (e Event) table() string { return fmt.Sprintf("%s.%s", e.Table.Schema, e.Table.Name) }
