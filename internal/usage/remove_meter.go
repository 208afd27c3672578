package usage

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

const deleteMeterSQL = `DELETE FROM billing.meters WHERE code = @code`

// RemoveMeter takes a meter away, with its limits and sources. One that is built in is
// forbidden to go; one that was used is an invalid-input fault, for its totals stay.
func RemoveMeter(ctx context.Context, db pg.DB, actor session.Session, code string) error {
	args := pgx.NamedArgs{"code": code}
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		before, err := pg.One[Meter](ctx, tx, lockMeterSQL, args)
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "there is no meter %.64q", code)
		case err != nil:
			return fmt.Errorf("read the meter %s: %w", code, err)
		case before.BuiltIn:
			return fault.New(fault.Forbidden, "the meter %s is built in and stays", code)
		}
		used, err := pg.Scalar[bool](ctx, tx, meterUsedAllTenantsSQL, args)
		if err != nil {
			return fmt.Errorf("see whether the meter %s is used: %w", code, err)
		}
		if used {
			return fault.New(fault.InvalidInput, "the meter %s was used and stays, as its totals do", code)
		}
		if _, err := tx.Exec(ctx, deleteMeterSQL, args); err != nil {
			return fmt.Errorf("remove the meter %s: %w", code, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{Action: "remove_meter", Target: "meter:" + code, Before: before.audited()})
	})
}
