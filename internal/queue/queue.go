// Package queue puts work for later into the caller's transaction: what is to be done is
// done where that transaction commits, and only there. It is the inserting side of River
// alone; internal/jobs does the work. It owns the tables nself.river_* as far as rows are
// added; River's own migrations make them (internal/migrate).
package queue

import (
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Schema is where River's tables are.
const Schema = "nself"

// client is River without a pool: it works in transactions that are handed in.
func client() (*river.Client[pgx.Tx], error) {
	quiet := slog.New(slog.DiscardHandler) // what it would say is in the error it returns
	inserter, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: Schema, Logger: quiet})
	if err != nil {
		return nil, fmt.Errorf("set up the queue: %w", err)
	}
	return inserter, nil
}
