package purchase

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// A runner that crashed left its lease. Others wait for the queue, which tries ever less
// often: what is pushed beside that is so too.
const strayOperationsAllTenantsSQL = `
UPDATE billing.operations SET updated_at = now(), lease = NULL, leased_until = NULL
WHERE (tenant_id, id) IN (
	SELECT tenant_id, id FROM billing.operations
	WHERE state = 'open' AND (leased_until <= now()
		OR lease IS NULL AND updated_at < now() - greatest(interval '2 minutes', (now() - created_at) / 4))
	ORDER BY updated_at LIMIT @batch FOR UPDATE SKIP LOCKED)
RETURNING tenant_id, id`

type strayOperation struct {
	TenantID id.Tenant    `db:"tenant_id"`
	ID       id.Operation `db:"id"`
}

const giveUpAllTenantsSQL = `
UPDATE billing.operations SET state = 'failed', failure = @failure, ended_at = now(), updated_at = now(), lease = NULL, leased_until = NULL
WHERE state = 'open' AND created_at < now() - @age::interval AND (lease IS NULL OR leased_until <= now())`

// Sweep is a routine, for each minute: it has the queue take up operations that nobody
// goes on with, ends those for good that found no end by themselves, and has what deleted
// tenants bought end, and go on where they were restored. It says how many there were.
func (d *Desk) Sweep(ctx context.Context, db pg.DB) (int64, error) {
	tag, err := db.Exec(ctx, giveUpAllTenantsSQL, pgx.NamedArgs{"failure": failureOf(errTooOld), "age": givenUp})
	if err != nil {
		return 0, fmt.Errorf("give old operations up: %w", pg.Explain(err))
	}
	if tag.RowsAffected() > 0 {
		d.config.Log.Error("operations were given up: reconcile the billing of their tenants", "operations", tag.RowsAffected())
	}
	pushed, failed := d.pushStray(ctx, db)
	ended, err := d.deletions(ctx, db)
	return tag.RowsAffected() + pushed + ended, errors.Join(failed, err)
}

func (d *Desk) pushStray(ctx context.Context, db pg.DB) (int64, error) {
	var pushed int64
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		stray, err := pg.All[strayOperation](ctx, tx, strayOperationsAllTenantsSQL, pgx.NamedArgs{"batch": pg.Batch})
		if err != nil {
			return err
		}
		for _, o := range stray {
			if err := d.config.Push(ctx, tx, o.TenantID, o.ID); err != nil {
				return err
			}
		}
		pushed = int64(len(stray))
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("have operations taken up that nobody goes on with: %w", pg.Explain(err))
	}
	return pushed, nil
}

const burySQL = `
UPDATE billing.operations SET state = 'failed', failure = @failure, ended_at = now(), updated_at = now(), lease = NULL, leased_until = NULL
WHERE tenant_id = @tenant_id AND id = @id AND state = 'open' AND (lease IS NULL OR leased_until <= now())`

// Bury ends an operation as failed after the last try of the queue, whatever is kept of
// it. One that has ended stays as it is, and one that another runner has is its.
func (d *Desk) Bury(ctx context.Context, tenant id.Tenant, op id.Operation, cause error) error {
	tag, err := d.config.DB.Exec(ctx, burySQL, pgx.NamedArgs{"tenant_id": tenant, "id": op, "failure": failureOf(errTooOld)})
	if err != nil {
		return fmt.Errorf("end the operation %s: %w", op, pg.Explain(err))
	}
	if tag.RowsAffected() > 0 {
		d.config.Log.Error("an operation failed after its last try: reconcile the billing of the tenant",
			"tenant", tenant.String(), "operation", op.String(), "error", cause)
	}
	return nil
}
