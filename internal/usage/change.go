package usage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Change is what an event trigger tells of a row.
type Change struct {
	EventID string
	Schema  string
	Table   string
	Op      string          // INSERT, UPDATE, DELETE or MANUAL
	Old     json.RawMessage // the row before, as JSON; null or nil of an INSERT
	New     json.RawMessage // the row after; null or nil of a DELETE, anything of a MANUAL
}

// The operations of an event trigger.
const (
	opInsert = "INSERT"
	opUpdate = "UPDATE"
	opDelete = "DELETE"
	opManual = "MANUAL"
)

const sourcesOfSQL = `
SELECT s.table_schema, s.table_name, s.meter, s.tenant_column, s.amount_column, s.value_column, s.time_column, s.built_in, m.aggregation
FROM billing.meter_sources s JOIN billing.meters m ON m.code = s.meter
WHERE s.table_schema = @schema AND s.table_name = @table ORDER BY s.meter`

type meteredSource struct {
	Source
	Aggregation Aggregation `db:"aggregation"`
}

// Apply counts what a change is of each meter that its table is a source of, in the
// transaction that claimed the event, as nself_server: a row that came is an event of a
// meter that adds up; a level follows its rows; the users are counted again. What can
// never be counted is an invalid-input fault. A change of a tenant that is gone has no
// effect on levels.
func Apply(ctx context.Context, tx pgx.Tx, c Change) error {
	sources, err := pg.All[meteredSource](ctx, tx, sourcesOfSQL, pgx.NamedArgs{"schema": c.Schema, "table": c.Table})
	if err != nil {
		return fmt.Errorf("read the sources of %s.%s: %w", c.Schema, c.Table, err)
	}
	if len(sources) == 0 {
		return fault.New(fault.InvalidInput, "the table %.64s.%.64s is no source of usage: add it with addMeterSource", c.Schema, c.Table)
	}
	before, after, err := c.rows()
	if err != nil {
		return err
	}
	var events []Event
	var moves []move
	for _, s := range sources {
		if s.Aggregation == Level {
			moved, err := s.moves(c, before, after)
			if err != nil {
				return err
			}
			moves = append(moves, moved...)
			continue
		}
		if before != nil || after == nil {
			continue // of what adds up, rows that change or go are no event
		}
		e, err := s.event(c, after)
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	if err := makePeriods(ctx, tx, moves); err != nil {
		return err
	}
	if err := applyEvents(ctx, tx, events); err != nil {
		return err
	}
	return applyMoves(ctx, tx, c, moves)
}

// rows gives the rows before and after; nil where there is none.
func (c Change) rows() (before, after row, err error) {
	if c.Op != opInsert && c.Op != opManual {
		if before, err = parseRow("old", c.Old); err != nil {
			return nil, nil, err
		}
	}
	if c.Op != opDelete {
		if after, err = parseRow("new", c.New); err != nil {
			return nil, nil, err
		}
	}
	switch c.Op {
	case opInsert, opUpdate, opDelete, opManual:
		return before, after, nil
	}
	return nil, nil, fault.New(fault.InvalidInput, "the operation is %.20q, and none of a row", c.Op)
}

// event is what a new row is of a meter that adds up.
func (s meteredSource) event(c Change, after row) (Event, error) {
	e := Event{Meter: s.Meter, Key: c.key(s.Meter)}
	var err error
	if e.Tenant, err = after.tenant(s.TenantColumn); err != nil {
		return e, err
	}
	if e.Amount, err = after.amount(s.AmountColumn); err != nil {
		return e, err
	}
	if s.ValueColumn != nil {
		if e.Value, err = after.text(*s.ValueColumn); err != nil {
			return e, err
		}
	}
	if s.TimeColumn != nil {
		if e.At, err = after.moment(*s.TimeColumn); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (c Change) key(meter string) string { return "hasura:" + c.EventID + ":" + meter }

// applyEvents records a change's events. One that is refused refuses the change.
func applyEvents(ctx context.Context, tx pgx.Tx, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	outcomes, err := record(ctx, tx, byTrigger, id.Tenant{}, events)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o.Status == Refused {
			return fault.New(fault.InvalidInput, "%s of the meter %s: %s", o.Code, events[i].Meter, o.Reason)
		}
	}
	return nil
}

// row is a row by its columns.
type row map[string]json.RawMessage

func parseRow(which string, text json.RawMessage) (row, error) {
	var parsed row
	if err := json.Unmarshal(text, &parsed); err != nil || parsed == nil {
		return nil, fault.New(fault.InvalidInput, "%s is no row, but %.60s", which, bytes.TrimSpace(text))
	}
	return parsed, nil
}
