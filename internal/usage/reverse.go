package usage

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Reversal is what was taken off a total.
type Reversal struct {
	Meter       string          `db:"-"`
	Key         string          `db:"-"`
	Amount      decimal.Decimal `db:"amount"` // of the event that was reversed
	PeriodStart time.Time       `db:"period_start"`
}

const rememberedSQL = `
SELECT at, reversed_at FROM billing.usage_keys
WHERE tenant_id = @tenant_id AND key_hash = billing.hash128(@key) FOR NO KEY UPDATE`

type remembered struct {
	At         time.Time  `db:"at"`
	ReversedAt *time.Time `db:"reversed_at"`
}

// The lock keeps the period from being closed until this is done.
const openSQL = `
SELECT p.closed_at FROM billing.usage_periods p
WHERE p.tenant_id = @tenant_id AND p.starts_at = (
	SELECT r.period_start FROM billing.usage_records r
	WHERE r.tenant_id = @tenant_id AND r.meter = @meter AND r.at = @at AND r.idempotency_key = @key LIMIT 1) FOR KEY SHARE`

const reverseSQL = `SELECT amount, period_start FROM billing.reverse(@tenant_id, @meter, @key, @at)`

const reversedSQL = `UPDATE billing.usage_keys SET reversed_at = now() WHERE tenant_id = @tenant_id AND key_hash = billing.hash128(@key)`

// Reverse takes an event off its total by a reversing record: once, while its period is
// open and its key remembered. Not-found: there is no such event any more; invalid-input:
// it was reversed before, or its period is closed. db is nself_server's.
func Reverse(ctx context.Context, db pg.DB, actor session.Session, tenant id.Tenant, meter, key string) (Reversal, error) {
	var done Reversal
	args := pgx.NamedArgs{"tenant_id": tenant, "meter": meter, "key": key}
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if err := reversible(ctx, tx, args); err != nil {
			return err
		}
		var err error
		if done, err = pg.One[Reversal](ctx, tx, reverseSQL, args); err != nil {
			return fmt.Errorf("reverse an event of %s: %w", meter, err)
		}
		done.Meter, done.Key = meter, key
		if _, err = tx.Exec(ctx, reversedSQL, args); err != nil {
			return fmt.Errorf("note the reversal of an event of %s: %w", meter, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: tenant, Action: "reverse_usage", Target: "meter:" + meter,
			Before: map[string]any{"key": key, "amount": done.Amount, "periodStart": done.PeriodStart.UTC()},
		})
	})
	return done, err
}

// reversible locks the event's key and period and puts the time of the event into args.
func reversible(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) error {
	known, err := pg.One[remembered](ctx, tx, rememberedSQL, args)
	switch {
	case pg.NoRow(err):
		return fault.New(fault.NotFound, "there is no event with the key %.60q any more, or there never was", args["key"])
	case err != nil:
		return fmt.Errorf("find an event: %w", err)
	case known.ReversedAt != nil:
		return fault.New(fault.InvalidInput, "the event with the key %.60q was reversed at %s", args["key"], known.ReversedAt.UTC().Format(time.RFC3339))
	}
	args["at"] = known.At
	closed, err := pg.Scalar[*time.Time](ctx, tx, openSQL, args)
	switch {
	case pg.NoRow(err):
		return fault.New(fault.NotFound, "the event with the key %.60q is not of the meter %.64q, or its record is gone", args["key"], args["meter"])
	case err != nil:
		return fmt.Errorf("find the period of an event: %w", err)
	case closed != nil:
		return fault.New(fault.InvalidInput, "the period of the event with the key %.60q was closed at %s", args["key"], closed.UTC().Format(time.RFC3339))
	}
	return nil
}
