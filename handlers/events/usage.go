package events

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/usage"
)

// tableChanged counts the change of a row in a table that is a source of usage. Which
// tables are, and what a change of one counts, is usage's to know.
func tableChanged(ctx context.Context, tx pgx.Tx, w *Work) error {
	return usage.Apply(ctx, tx, usage.Change{
		EventID: w.ID, Schema: w.Table.Schema, Table: w.Table.Name, Op: w.Event.Event.Op,
		Old: w.Event.Event.Data.Old, New: w.Event.Event.Data.New,
	})
}
