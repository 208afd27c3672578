package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

const waitBrieflySQL = `SELECT pg_catalog.set_config('lock_timeout', '2s', true)`

// each does the work for the items one after the other, each in a transaction of its own
// that waits for no lock longer than two seconds, and adds up what it says. Those that
// Postgres refuses keep the others from nothing; their errors are joined.
func each[T any](ctx context.Context, db pg.DB, items []T, work func(ctx context.Context, tx pgx.Tx, item T) (int64, error)) (int64, error) {
	var done int64
	var failed []error
	for _, item := range items {
		var n int64
		err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
			if _, err = tx.Exec(ctx, waitBrieflySQL); err == nil {
				n, err = work(ctx, tx, item)
			}
			return err
		})
		if err == nil {
			done += n
			continue
		}
		failed = append(failed, err)
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || ctx.Err() != nil {
			break // so it would be with the others
		}
	}
	return done, errors.Join(failed...)
}

const makePartitionsSQL = `SELECT billing.make_usage_partitions((now() AT TIME ZONE 'UTC' + interval '12 months')::date)::bigint`

// MakePartitions makes the partitions of the records of the coming year, and says how
// many. It fails rather than have others wait.
func MakePartitions(ctx context.Context, db pg.DB) (int64, error) {
	made, err := pg.Scalar[int64](ctx, db, makePartitionsSQL, nil)
	if err != nil {
		return 0, fmt.Errorf("make partitions of the usage records: %w", err)
	}
	return made, nil
}

const dropPartitionsSQL = `SELECT billing.drop_usage_partitions(now() - @retention::interval)::bigint`

// DropPartitions is a routine that drops the partitions of which every record is older
// than the retention, and says how many; the totals stay. Less than 35 days is an error.
func DropPartitions(retention time.Duration) func(context.Context, pg.DB) (int64, error) {
	return func(ctx context.Context, db pg.DB) (int64, error) {
		gone, err := pg.Scalar[int64](ctx, db, dropPartitionsSQL, pgx.NamedArgs{"retention": retention})
		if err != nil {
			return 0, fmt.Errorf("drop partitions of the usage records: %w", err)
		}
		return gone, nil
	}
}
