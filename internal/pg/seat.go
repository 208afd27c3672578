package pg

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// seatConstraint is the name under which nself.take_seat refuses.
const seatConstraint = "tenant_budget_connections"

// noSeat is EnterTenant's error where the tenant has as many transactions open as its
// budget lets it: nothing of the transaction has been done then.
type noSeat struct{ refusal error }

func (e noSeat) Error() string { return e.refusal.Error() }

func (e noSeat) Unwrap() error { return e.refusal }

// How long InTx waits for a seat, and between two tries.
const (
	patience     = 3 * time.Second
	firstPause   = 4 * time.Millisecond
	longestPause = 200 * time.Millisecond
)

// InTx runs work in one transaction and commits it where work returns nil. Where
// EnterTenant in it found all seats of the tenant taken, work runs again, for up to three
// seconds: it waits without a connection, so a burst of one tenant is served in turn and
// keeps nobody else's from being had.
func InTx(ctx context.Context, db DB, work func(tx pgx.Tx) error) error {
	_, within := db.(pgx.Tx) // a savepoint would wait with its transaction's connection
	until := time.Now().Add(patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := pgx.BeginFunc(ctx, db, work)
		if within || !errors.As(err, new(noSeat)) || time.Now().After(until) || !rest(ctx, pause) {
			return err
		}
	}
}

// rest waits that long, and reports whether ctx lets the caller go on.
func rest(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
