package eventlog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// event is one row of the log, locked by this process. Tries is the number of attempts
// made; CreatedAt is as Postgres prints a timestamp without zone in JSON.
type event struct {
	ID        string
	Schema    string
	Table     string
	Trigger   string
	Payload   json.RawMessage
	Tries     int
	CreatedAt string
}

// fetch claims events and hands them to deliveries until ctx ends. A database that cannot
// be reached is logged when it goes and when it is back, and tried again in between.
func (l *Log) fetch(ctx context.Context) {
	ticker := time.NewTicker(l.cfg.Interval)
	defer ticker.Stop()
	lost := false
	for ctx.Err() == nil {
		triggers := *l.triggers.Load()
		events, err := l.claim(ctx, triggers)
		switch {
		case err != nil && !lost:
			l.cfg.Log.Error("event log: cannot fetch events, trying again", "error", err, "interval", l.cfg.Interval)
		case err == nil && lost:
			l.cfg.Log.Info("event log: fetching events again")
		}
		lost = err != nil
		l.dispatch(ctx, events, triggers)
		if len(events) == batchSize {
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// dispatch starts a delivery for each event, as slots become free. Events that have none
// when ctx ends stay held, and shut unlocks them.
func (l *Log) dispatch(ctx context.Context, events []event, triggers map[string]trigger) {
	for _, e := range events {
		select {
		case <-ctx.Done():
			return
		case l.slots <- struct{}{}:
		}
		l.running.Go(func() {
			defer func() { <-l.slots }()
			l.deliver(e, triggers[e.Trigger])
		})
	}
}

const claimSQL = `
UPDATE hdb_catalog.event_log e
SET locked = now()
WHERE e.id = ANY (ARRAY(
    SELECT c.id
    FROM hdb_catalog.event_log c
    WHERE NOT c.delivered AND NOT c.error AND NOT c.archived
      AND (c.locked IS NULL OR c.locked < now() - interval '30 minutes')
      AND (c.next_retry_at IS NULL OR c.next_retry_at <= now())
      AND c.trigger_name = ANY (@triggers::text[])
    ORDER BY c.locked NULLS FIRST, c.next_retry_at NULLS FIRST, c.created_at
    LIMIT @batch
    FOR UPDATE SKIP LOCKED))
RETURNING e.id, e.schema_name, e.table_name, e.trigger_name, e.payload, e.tries, to_json(e.created_at) #>> '{}'`

// claim locks up to a batch of due events of the triggers. It is a transaction of its own that outlives
// ctx, so that a stop in the middle leaves no event locked that nobody delivers.
func (l *Log) claim(ctx context.Context, triggers map[string]trigger) ([]event, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
	defer cancel()
	var events []event
	err := pgx.BeginFunc(ctx, l.cfg.Pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, claimSQL, pgx.NamedArgs{
			"triggers": slices.Collect(maps.Keys(triggers)),
			"batch":    batchSize,
		})
		if err != nil {
			return err
		}
		events, err = pgx.CollectRows(rows, pgx.RowToStructByPos[event])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	l.hold(events)
	return events, nil
}

func (l *Log) hold(events []event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.held[e.ID] = struct{}{}
	}
}

func (l *Log) release(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, e.ID)
}

const unlockSQL = `
UPDATE hdb_catalog.event_log SET locked = NULL
WHERE id = ANY (@ids::text[]) AND locked IS NOT NULL`

// unlockHeld gives back what this process locked and did not bring to an end.
func (l *Log) unlockHeld() error {
	l.mu.Lock()
	ids := slices.Collect(maps.Keys(l.held))
	l.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.hard), databaseTimeout)
	defer cancel()
	if _, err := l.cfg.Pool.Exec(ctx, unlockSQL, pgx.NamedArgs{"ids": ids}); err != nil {
		return fmt.Errorf("event log: unlock %d undelivered events: %w", len(ids), err)
	}
	return nil
}
