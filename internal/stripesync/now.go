package stripesync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// Now hints at an object and returns when what it is at Stripe then, or later, stands here,
// or it is parked. It waits up to ten seconds for whoever follows the object already, and
// is unavailable where that takes longer; after any other error too the queue goes on. An empty
// customer is one that the caller does not know.
func (s *Sync) Now(ctx context.Context, kind, object, customer string) error {
	var number int64
	var h held
	var taken bool
	err := pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
		noted, err := s.hint(ctx, tx, []named{{kind, object, customer}})
		if err != nil {
			return err
		}
		number = noted[0].Number
		if h, taken, err = s.take(ctx, tx, object); errors.Is(err, errElsewhere) {
			return nil
		}
		return err
	})
	again := true
	if err == nil && taken {
		again, err = s.follow(ctx, h)
	}
	if err == nil && again || errors.Is(err, errElsewhere) {
		err = s.await(ctx, hinted{object, number})
	}
	return pg.Explain(err)
}

// await returns when the hint was answered, by this caller or another.
func (s *Sync) await(ctx context.Context, hint hinted) error {
	end := time.Now().Add(nowTime)
	for pause := nowPause; ; pause = min(2*pause, time.Second) {
		err := s.Object(ctx, hint.Object)
		if !errors.Is(err, errElsewhere) { // nil: it is followed, or parked since
			return err
		}
		if answered, failed := s.answered(ctx, hint); answered || failed != nil {
			return failed
		}
		if time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

const answeredAllTenantsSQL = `SELECT applied >= @number FROM billing.stripe_objects WHERE object_id = @object`

func (s *Sync) answered(ctx context.Context, hint hinted) (bool, error) {
	args := pgx.NamedArgs{"object": hint.Object, "number": hint.Number}
	answered, err := pg.Scalar[bool](ctx, s.config.DB, answeredAllTenantsSQL, args)
	if err != nil {
		return false, fmt.Errorf("read what became of %s: %w", hint.Object, err)
	}
	return answered, nil
}
