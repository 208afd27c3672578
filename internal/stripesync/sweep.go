package stripesync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// Whoever follows an object leaves its mark: the lease, and when it was given back. A job
// that failed comes back after pauses that grow with its tries, each shorter than what is
// waited for here; a job that is put again counts as a try, so that where the queue is far
// behind it is not filled further and further.
const forgottenAllTenantsSQL = `
UPDATE billing.stripe_objects SET hinted_at = now(), tries = tries + 1 WHERE object_id IN (
	SELECT object_id FROM billing.stripe_objects
	WHERE state = 'waiting' AND hinted_at < now() - interval '2 minutes'
		AND greatest(hinted_at, leased_until) < now() - interval '2 minutes' * 4 ^ least(tries, 5)
	ORDER BY object_id LIMIT @batch FOR UPDATE SKIP LOCKED)
RETURNING object_id`

// Sweep is a routine, for every minute, that puts a job in the queue again for each object
// that was hinted at more than two minutes ago and that nobody has been at since, and again
// after four times as long as before. It returns how many.
func (s *Sync) Sweep(ctx context.Context, db pg.DB) (int64, error) {
	var swept int64
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		objects, err := texts(ctx, tx, forgottenAllTenantsSQL, pgx.NamedArgs{"batch": pg.Batch})
		if err != nil {
			return err
		}
		swept = int64(len(objects))
		return s.push(ctx, tx, objects)
	})
	if err != nil {
		return 0, fmt.Errorf("push what nobody follows: %w", err)
	}
	return swept, nil
}
