package pg

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Pauses between tries double from the first to the last.
const (
	pauseFrom = 50 * time.Millisecond
	pauseTo   = 5 * time.Second
)

// Patience is what is tried again, and how long.
type Patience struct {
	// Passes reports whether an error goes by when others have gone on; see HasState.
	Passes func(err error) bool
	// Tries and For bound the tries and the time from the first to the last; 0 is no bound.
	Tries int
	For   time.Duration
	// Tell is told of each try that is not the last and of the pause after it; nil is not.
	Tell func(try int, pause time.Duration, err error)
}

// Patiently tries until nobody is in the way, with growing pauses. Each try is to leave
// nothing behind when it fails, locks least of all: a transaction of its own. Past the
// bounds the error is that of the last try; it is ctx's once that has ended.
func Patiently(ctx context.Context, p Patience, attempt func() error) error {
	began, pause := time.Now(), pauseFrom
	for try := 1; ; try++ {
		err := attempt()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !p.Passes(err), try == p.Tries, p.For > 0 && time.Since(began) >= p.For:
			return err
		}
		if p.Tell != nil {
			p.Tell(try, pause, err)
		}
		if !rest(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, pauseTo)
	}
}

// HasState reports whether Postgres gave one of the SQLSTATEs.
func HasState(err error, states ...string) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && slices.Contains(states, said.Code)
}
