package billing

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const dueAllTenantsSQL = `
SELECT a.tenant_id FROM billing.accounts a LEFT JOIN billing.customers c ON c.tenant_id = a.tenant_id
WHERE a.due_at IS NOT NULL AND a.due_at <= coalesce(c.clock_at, now()) ORDER BY a.due_at`

const waitBrieflySQL = `SELECT pg_catalog.set_config('lock_timeout', '2s', true)`

// Sweep is a routine that settles the accounts of which time alone changed something, by
// the clock of each, and says how many. Each is a transaction of its own that waits for
// no lock longer than two seconds; those that Postgres refuses keep the others from
// nothing, and their errors are joined. It may run beside another server.
func (b *Book) Sweep(ctx context.Context, db pg.DB) (int64, error) {
	rows, _ := db.Query(ctx, dueAllTenantsSQL)
	due, err := pgx.CollectRows(rows, pgx.RowTo[id.Tenant])
	if err != nil {
		return 0, fmt.Errorf("find accounts that are due: %w", err)
	}
	var settled int64
	var failed []error
	for _, tenant := range due {
		err := b.settleAlone(ctx, db, tenant)
		if err == nil {
			settled++
			continue
		}
		failed = append(failed, err)
		if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || ctx.Err() != nil {
			break // so it would be with the others
		}
	}
	return settled, errors.Join(failed...)
}

func (b *Book) settleAlone(ctx context.Context, db pg.DB, tenant id.Tenant) error {
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, waitBrieflySQL); err != nil {
			return err
		}
		_, err := b.Settle(ctx, tx, tenant)
		return err
	})
	if err != nil {
		return fmt.Errorf("settle the account of %s: %w", tenant, err)
	}
	return nil
}
