// Package events serves Hasura's event triggers: one adapter (event.go, deliver.go), one
// table (table.go), one file per subject. Done, repeated or pointless is 200; only what
// another delivery can help is an error. It never sends Retry-After: Hasura would
// deliver again for ever, its tries spent or not.
package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/handlers/wire"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/queue"
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
	Delivery json.RawMessage `json:"delivery_info"` // undocumented, so not relied on
}

// Work is an event and what its effect has at hand.
type Work struct {
	Event
	outbox *queue.Outbox
	warned func(meter string, threshold int)
	after  []func() // done once the effect is committed
}

// Effect is what one event brings about, inside the inbox's transaction. A fault parks
// the event; any other error asks for another delivery.
type Effect func(ctx context.Context, tx pgx.Tx, w *Work) error

// read decodes a delivery, and gives it as it came too.
func read(body io.Reader) (json.RawMessage, Event, error) {
	var raw json.RawMessage
	if err := wire.Decode(body, &raw); err != nil {
		return nil, Event{}, err
	}
	event, err := parse(raw)
	return raw, event, err
}

func parse(raw json.RawMessage) (Event, error) {
	var event Event
	if err := wire.Decode(bytes.NewReader(raw), &event); err != nil {
		return event, err
	}
	if event.ID == "" {
		return event, fault.New(fault.InvalidJSON, "the body is not an event: it has no id")
	}
	return event, nil
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

// isOf refuses the event of another table, which a trigger that leads here by mistake sends.
func (e Event) isOf(table string) error {
	if e.table() != table {
		return fault.New(fault.InvalidInput, "the event is of %.120q, not of %s", e.table(), table)
	}
	return nil
}

// lastTry reports whether nothing delivers the event again by itself where this delivery
// fails.
func (e Event) lastTry() bool {
	var info struct {
		Current *int `json:"current_retry"`
		Most    *int `json:"max_retries"`
	}
	if json.Unmarshal(e.Delivery, &info) != nil || info.Current == nil || info.Most == nil {
		return false
	}
	return *info.Current >= *info.Most
}
