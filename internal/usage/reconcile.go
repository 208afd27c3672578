package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Drift is a total that is not what it is the total of.
type Drift struct {
	TenantID    id.Tenant       `db:"tenant_id"`
	Meter       string          `db:"meter"`
	PeriodStart time.Time       `db:"period_start"`
	What        string          `db:"what"` // used; or held, by reservations and leases
	Total       decimal.Decimal `db:"total"`
	Counted     decimal.Decimal `db:"counted"` // from the records, from the rows that a level is of, or from what holds
	FoundAt     time.Time       `db:"found_at"`
}

const tenantsAllTenantsSQL = `SELECT id FROM tenants.tenants ORDER BY id`

type tenantRow struct {
	ID id.Tenant `db:"id"`
}

// Reconcile does ReconcileTenant for each tenant, and says how many totals differ. A tenant
// that fails keeps the others from nothing. db is a pool.
func Reconcile(ctx context.Context, db pg.DB) (int64, error) {
	tenants, err := pg.All[tenantRow](ctx, db, tenantsAllTenantsSQL, nil)
	if err != nil {
		return 0, fmt.Errorf("list the tenants to reconcile: %w", err)
	}
	return each(ctx, db, tenants, func(ctx context.Context, tx pgx.Tx, t tenantRow) (int64, error) {
		return ReconcileTenant(ctx, tx, t.ID)
	})
}

const forgetDriftSQL = `
WITH gone AS (DELETE FROM billing.usage_drift WHERE tenant_id = @tenant_id RETURNING period_start)
SELECT coalesce(array_agg(period_start), '{}') FROM gone`

// ReconcileTenant compares the tenant's totals with what they are totals of: those of open
// periods, of those closed in the last 35 days, and those that differed before. It notes
// those that differ in place of what was noted before, and says how many. used is compared
// with the records, of a level with the rows that it is of, where they can be read; held
// with open reservations and leases. Of a level a difference may be events on their way;
// one that stays is none.
func ReconcileTenant(ctx context.Context, db pg.DB, tenant id.Tenant) (int64, error) {
	var found int64
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		args := pgx.NamedArgs{"tenant_id": tenant}
		noted, err := pg.Scalar[[]time.Time](ctx, tx, forgetDriftSQL, args)
		if err != nil {
			return err
		}
		args["noted"] = noted
		for _, statement := range []string{noteUsedSQL, noteHeldSQL, noteMissingSQL} {
			tag, err := tx.Exec(ctx, statement, args)
			if err != nil {
				return err
			}
			found += tag.RowsAffected()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("reconcile the totals of %s: %w", tenant, err)
	}
	return found, nil
}

const driftsAllTenantsSQL = `
SELECT tenant_id, meter, period_start, what, total, counted, found_at FROM billing.usage_drift ORDER BY tenant_id, meter, period_start, what`

// Drifts are the totals that were found to differ when their tenants were last reconciled.
func Drifts(ctx context.Context, db pg.DB) ([]Drift, error) {
	found, err := pg.All[Drift](ctx, db, driftsAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("list the totals that differ: %w", err)
	}
	return found, nil
}
