package move

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const patience = 10 * time.Minute // for a moment without long transactions

// isBusy tells what passes: locks that were not to be had in time, and rows that somebody
// else changed meanwhile.
func isBusy(err error) bool { return pg.HasState(err, "55P03", "57014", "40001", "40P01") }

// again does a step until nothing is in its way, with growing pauses between which nobody
// waits for it. what says what it is, for progress.
func (r *run) again(ctx context.Context, what string, step func() error) error {
	err := pg.Patiently(ctx, pg.Patience{
		Passes: isBusy,
		For:    patience,
		Tell:   func(_ int, pause time.Duration, _ error) { r.tell("%s waits for others, next try in %v", what, pause) },
	}, step)
	if err != nil && isBusy(err) {
		return fmt.Errorf("%s found no moment within %v; run the same command again when fewer long transactions write there: %w", what, patience, err)
	}
	return err
}

func sleep(ctx context.Context, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// lock keeps writers out of the tables until the transaction ends. It waits no longer than
// most for all of them, since writers wait behind it meanwhile. It takes no snapshot.
func lock(ctx context.Context, tx pgx.Tx, tables []string, most time.Duration) error {
	return lockMode(ctx, tx, tables, most, "SHARE ROW EXCLUSIVE")
}

func lockMode(ctx context.Context, tx pgx.Tx, tables []string, most time.Duration, mode string) error {
	tables = slices.Compact(slices.Sorted(slices.Values(tables)))
	return execAll(ctx, tx, []string{
		fmt.Sprintf("SET LOCAL lock_timeout = %d", most.Milliseconds()),
		fmt.Sprintf("SET LOCAL statement_timeout = %d", most.Milliseconds()),
		"LOCK TABLE " + joined(tables) + " IN " + mode + " MODE",
		"SET LOCAL statement_timeout = 0",
	})
}

// inSnapshot runs work in a transaction whose statements all see the same rows.
func (r *run) inSnapshot(ctx context.Context, what string, work func(tx pgx.Tx) error) error {
	return r.again(ctx, what, func() error {
		return pgx.BeginTxFunc(ctx, r.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, work)
	})
}

// inTx runs work in a transaction.
func (r *run) inTx(ctx context.Context, what string, work func(tx pgx.Tx) error) error {
	return r.again(ctx, what, func() error { return pgx.BeginFunc(ctx, r.conn, work) })
}

func (r *run) tell(format string, args ...any) {
	if r.in.Progress != nil {
		r.in.Progress(fmt.Sprintf(format, args...))
	}
}
