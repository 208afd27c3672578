package stripesync

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/pg"
)

// atOnce is how many objects are asked for at once on behalf of one who waits.
const atOnce = 4

// lasting is ctx with a tenth of its time kept back, for the answer.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ends := ctx.Deadline()
	if !ends {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-time.Until(end)/10))
}

const statesAllTenantsSQL = `
SELECT object_id, state FROM billing.stripe_objects WHERE object_id = ANY (@objects::text[])`

type stateOf struct {
	Object string `db:"object_id"`
	State  string `db:"state"`
}

// again hints at objects, all of them before any is followed, follows each while ctx lasts
// or waits for whoever does, and says in which state each is then; where that cannot be read
// it says nothing. What could not be followed the queue goes on with.
func (s *Sync) again(ctx context.Context, objects []named) (map[string]string, error) {
	numbers, err := s.hintAll(ctx, objects)
	if err != nil {
		return nil, err
	}
	following, cancel := lasting(ctx)
	defer cancel()
	var all errgroup.Group
	all.SetLimit(atOnce)
	ids := make([]string, len(objects))
	for i, object := range objects {
		if ids[i] = object.id; following.Err() == nil {
			all.Go(func() error {
				s.tryNow(following, hinted{object.id, numbers[object.id]})
				return nil
			})
		}
	}
	_ = all.Wait() // none fails
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	rows, err := pg.All[stateOf](reading, s.config.DB, statesAllTenantsSQL, pgx.NamedArgs{"objects": ids})
	if err != nil {
		s.config.Log.WarnContext(ctx, "what became of objects of Stripe could not be read; they were hinted at", "error", err)
	}
	states := make(map[string]string, len(rows))
	for _, row := range rows {
		states[row.Object] = row.State
	}
	return states, nil
}

func (s *Sync) tryNow(ctx context.Context, hint hinted) {
	if err := s.await(ctx, hint); err != nil && !errors.Is(err, errElsewhere) && ctx.Err() == nil {
		s.config.Log.WarnContext(ctx, "an object of Stripe could not be followed again yet", "object", hint.Object, "error", err)
	}
}
