package stripesync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// What failed has a job that comes back, with pauses that add up to less than a day and a
// half; what never failed has one that comes soon, unless it was lost.
const forgottenAllTenantsSQL = `
UPDATE billing.stripe_objects SET hinted_at = now() WHERE object_id IN (
	SELECT object_id FROM billing.stripe_objects
	WHERE state = 'waiting' AND (leased_until IS NULL OR leased_until < now())
		AND hinted_at < now() - CASE tries WHEN 0 THEN interval '2 minutes' ELSE interval '36 hours' END
	ORDER BY object_id LIMIT @batch FOR UPDATE SKIP LOCKED)
RETURNING object_id`

// Sweep is a routine, for every minute, that puts a job in the queue again for each object
// that was hinted at more than two minutes ago and that nobody follows. It returns how many.
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

// texts runs a statement that returns rows of one text.
func texts(ctx context.Context, db pg.DB, sql string, args pgx.NamedArgs) ([]string, error) {
	rows, _ := db.Query(ctx, sql, args)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
