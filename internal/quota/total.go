package quota

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// total is one of billing.usage_totals, of which something is due.
type total struct {
	Tenant      id.Tenant `db:"tenant_id"`
	Meter       string    `db:"meter"`
	PeriodStart time.Time `db:"period_start"`
}

type totals []total

const boundLocksSQL = `SELECT set_config('lock_timeout', @patience, true)`

// How long a statement waits for one lock.
const (
	lockPatience = "1s"    // the first time a round is sent: it holds up all others of its shard
	shortly      = "250ms" // of what is tried again anyway, and of what was sent before
)

func patience(lasting string) pgx.NamedArgs { return pgx.NamedArgs{"patience": lasting} }

// each does what is due, in a transaction for each total that waits for locks only
// shortly, and tells done of those that are committed. One that fails holds up no other:
// the errors are joined. While the database gives no answers it stops.
func (t totals) each(ctx context.Context, db pg.DB, do func(tx pgx.Tx, of total) (int, error), done func(of total, did int)) error {
	var failed []error
	for _, of := range t {
		var did int
		err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, boundLocksSQL, patience(shortly)); err != nil {
				return err
			}
			did, err = do(tx, of)
			return err
		})
		if err == nil {
			done(of, did)
			continue
		}
		failed = append(failed, fmt.Errorf("tenant %s, meter %s: %w", of.Tenant, of.Meter, err))
		if silent(err) {
			break
		}
	}
	return errors.Join(failed...)
}
