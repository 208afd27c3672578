package entitlement

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/text"
)

// Override is what was agreed with one tenant in place of what its plan says of a meter.
type Override struct {
	TenantID    id.Tenant  `db:"tenant_id"`
	Meter       string     `db:"meter"`
	Limit       int64      `db:"limit"`       // Unlimited: -1
	Enforcement string     `db:"enforcement"` // Hard or Soft
	Reason      *string    `db:"reason"`      // nil: none was given
	ExpiresAt   *time.Time `db:"expires_at"`  // from then on the plan's holds again; nil: never
	CreatedAt   time.Time  `db:"created_at"`
	UpdatedAt   time.Time  `db:"updated_at"`
}

// SetInput is an agreement as it is asked for.
type SetInput struct {
	Meter       string
	Limit       int64
	Enforcement string     // empty: Hard
	Reason      string     // empty: none; at most 500 characters
	ExpiresAt   *time.Time // nil: never; not in the past
}

// Validate cleans the input and tells what is wrong with it by itself.
func (in *SetInput) Validate(problems *fault.Problems) {
	if in.Limit < Unlimited {
		problems.Add("limit", "must be 0 or more, or -1 for unlimited; got %d", in.Limit)
	}
	switch in.Enforcement {
	case Hard, Soft:
	case "":
		in.Enforcement = Hard
	default:
		problems.Add("enforcement", "must be hard or soft; got %.60q", in.Enforcement)
	}
	in.Reason = text.Line("reason", in.Reason, 500, problems)
	if in.ExpiresAt != nil && !in.ExpiresAt.After(time.Now()) {
		problems.Add("expiresAt", "must be in the future; got %s", in.ExpiresAt.UTC().Format(time.RFC3339))
	}
}

const columns = `tenant_id, meter, "limit", enforcement, reason, expires_at, created_at, updated_at`

const getSQL = `
SELECT ` + columns + ` FROM billing.tenant_limits WHERE tenant_id = @tenant_id AND meter = @meter FOR UPDATE`

const setSQL = `
INSERT INTO billing.tenant_limits (tenant_id, meter, "limit", enforcement, reason, expires_at)
VALUES (@tenant_id, @meter, @limit, @enforcement, nullif(@reason, ''), @expires_at)
ON CONFLICT (tenant_id, meter) DO UPDATE
SET "limit" = excluded."limit", enforcement = excluded.enforcement, reason = excluded.reason, expires_at = excluded.expires_at
RETURNING ` + columns

// Set agrees on a limit with the actor's tenant, in place of one that was agreed on before.
// It holds from the next decision on. Validate comes before it. Not-found: no such meter.
func Set(ctx context.Context, db pg.DB, actor session.Session, in SetInput) (Override, error) {
	args := pgx.NamedArgs{
		"tenant_id": actor.Tenant, "meter": in.Meter, "limit": in.Limit, "enforcement": in.Enforcement,
		"reason": in.Reason, "expires_at": in.ExpiresAt,
	}
	var after Override
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		e := audit.Entry{Tenant: actor.Tenant, Action: "set_tenant_limit", Target: "limit:" + in.Meter}
		before, err := pg.One[Override](ctx, tx, getSQL, args)
		switch {
		case err == nil:
			e.Before = before.told()
		case !pg.NoRow(err):
			return fmt.Errorf("read the limit agreed on for %s: %w", in.Meter, err)
		}
		if after, err = pg.One[Override](ctx, tx, setSQL, args); err != nil {
			if pg.Constraint(err) == "tenant_limits_meter_fkey" {
				return noMeter(in.Meter)
			}
			return fmt.Errorf("agree on a limit for %s: %w", in.Meter, err)
		}
		e.After = after.told()
		return audit.Append(ctx, tx, actor, e)
	})
	return after, err
}

const removeSQL = `
DELETE FROM billing.tenant_limits WHERE tenant_id = @tenant_id AND meter = @meter RETURNING ` + columns

// Remove ends what was agreed with the actor's tenant for a meter and returns it: the
// plan's limit holds again. Not-found: nothing was agreed.
func Remove(ctx context.Context, db pg.DB, actor session.Session, meter string) (Override, error) {
	var removed Override
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		removed, err = pg.One[Override](ctx, tx, removeSQL, pgx.NamedArgs{"tenant_id": actor.Tenant, "meter": meter})
		switch {
		case pg.NoRow(err):
			return fault.New(fault.NotFound, "no limit of its own was agreed on with this tenant for %.80q", meter)
		case err != nil:
			return fmt.Errorf("end the limit agreed on for %s: %w", meter, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: actor.Tenant, Action: "remove_tenant_limit", Target: "limit:" + meter, Before: removed.told(),
		})
	})
	return removed, err
}

// told is the override as the audit log keeps it. The tenant's owner reads that log, and the
// reason is the operator's own.
func (o Override) told() map[string]any {
	return map[string]any{"limit": o.Limit, "enforcement": o.Enforcement, "expires_at": o.ExpiresAt}
}
