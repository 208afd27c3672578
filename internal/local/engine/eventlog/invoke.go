package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Invoke logs an event of operation MANUAL for the named trigger and returns its id; it is
// delivered like any other. payload is any JSON value and becomes data.new, session becomes
// session_variables (nil means null). ErrUnknownTrigger and ErrManualDisabled say why not.
func (l *Log) Invoke(ctx context.Context, trigger string, payload json.RawMessage, session map[string]string) (string, error) {
	t, ok := (*l.triggers.Load())[trigger]
	switch {
	case !ok:
		return "", fmt.Errorf("invoke %q: %w", trigger, ErrUnknownTrigger)
	case !t.manual:
		return "", fmt.Errorf("invoke %q: %w", trigger, ErrManualDisabled)
	case !json.Valid(payload):
		return "", fmt.Errorf("invoke %q: the payload is not JSON", trigger)
	}
	var eventID string
	err := pgx.BeginFunc(ctx, l.cfg.Pool, func(tx pgx.Tx) error {
		if err := setSession(ctx, tx, session); err != nil {
			return err
		}
		var err error
		eventID, err = insertManual(ctx, tx, t, payload)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("invoke %q: %w", trigger, err)
	}
	return eventID, nil
}

const setSessionSQL = `SELECT set_config('hasura.user', @session, true)`

// setSession lets the event carry the caller's session, as it would from a mutation.
func setSession(ctx context.Context, tx pgx.Tx, session map[string]string) error {
	if session == nil {
		return nil
	}
	lower := make(map[string]string, len(session))
	for name, value := range session {
		lower[strings.ToLower(name)] = value
	}
	text, err := encode(lower)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, setSessionSQL, pgx.NamedArgs{"session": string(text)})
	return err
}

const insertManualSQL = `
SELECT hdb_catalog.insert_event_log(@schema, @table, @trigger, 'MANUAL', json_build_object('old', NULL, 'new', @payload::json))`

func insertManual(ctx context.Context, tx pgx.Tx, t trigger, payload json.RawMessage) (string, error) {
	var eventID string
	err := tx.QueryRow(ctx, insertManualSQL, pgx.NamedArgs{
		"schema": t.table.Schema, "table": t.table.Name, "trigger": t.name, "payload": payload,
	}).Scan(&eventID)
	return eventID, err
}

const redeliverSQL = `
UPDATE hdb_catalog.event_log
SET delivered = false, error = false, tries = 0
WHERE id = @id AND (locked IS NULL OR locked < now() - interval '30 minutes')`

// Redeliver sends an event again, whatever became of it: with the same id, and with its
// tries back at 0. ErrEventBusy while it is being delivered, ErrUnknownEvent for an id that
// the log does not hold.
func (l *Log) Redeliver(ctx context.Context, eventID string) error {
	tag, err := l.cfg.Pool.Exec(ctx, redeliverSQL, pgx.NamedArgs{"id": eventID})
	if err != nil {
		return fmt.Errorf("redeliver %q: %w", eventID, err)
	}
	if tag.RowsAffected() > 0 {
		return nil
	}
	known, err := l.known(ctx, eventID)
	switch {
	case err != nil:
		return fmt.Errorf("redeliver %q: %w", eventID, err)
	case known:
		return fmt.Errorf("redeliver %q: %w", eventID, ErrEventBusy)
	}
	return fmt.Errorf("redeliver %q: %w", eventID, ErrUnknownEvent)
}

const eventExistsSQL = `SELECT EXISTS (SELECT FROM hdb_catalog.event_log WHERE id = @id)`

func (l *Log) known(ctx context.Context, eventID string) (bool, error) {
	var known bool
	err := l.cfg.Pool.QueryRow(ctx, eventExistsSQL, pgx.NamedArgs{"id": eventID}).Scan(&known)
	return known, err
}
