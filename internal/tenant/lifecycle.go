package tenant

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/text"
)

// step is one move in a tenant's life: whether it may be made, how, and its name in
// the audit log.
type step struct {
	action string
	sql    string
	args   pgx.NamedArgs
	slug   bool // the slug may change
	check  func(Tenant) error
}

// take locks the tenant, checks the step, makes it and records it.
func take(ctx context.Context, db pg.DB, actor session.Session, s step) (Tenant, error) {
	var after Tenant
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		lock := lockSQL
		if s.slug {
			lock = lockSlugSQL
		}
		before, err := pg.One[Tenant](ctx, tx, lock, pgx.NamedArgs{"tenant_id": actor.Tenant})
		before, err = found(before, err, actor.Tenant.String())
		if err != nil {
			return err
		}
		if err := s.check(before); err != nil {
			return err
		}
		args := pgx.NamedArgs{"tenant_id": actor.Tenant}
		for name, value := range s.args {
			args[name] = value
		}
		if after, err = pg.One[Tenant](ctx, tx, s.sql, args); err != nil {
			return changeFault(err, s.args)
		}
		return audit.Append(ctx, tx, actor, changed(s.action, before, after))
	})
	return after, err
}

// changed is the audit entry for what differs between two states of a tenant.
func changed(action string, before, after Tenant) audit.Entry {
	e := audit.Entry{
		Tenant: after.ID, Action: action, Target: "tenant:" + after.ID.String(),
		Before: map[string]any{}, After: map[string]any{},
	}
	was, is := before.audited(), after.audited()
	for name, value := range is {
		if fmt.Sprintf("%s", was[name]) != fmt.Sprintf("%s", value) {
			e.Before[name], e.After[name] = was[name], value
		}
	}
	return e
}

func (t Tenant) audited() map[string]any {
	reason := ""
	if t.SuspendReason != nil {
		reason = *t.SuspendReason
	}
	return map[string]any{
		"slug": t.Slug, "name": t.Name, "status": t.Status, "plan": t.Plan,
		"owner_user_id": t.OwnerUserID.String(), "metadata": t.Metadata, "suspend_reason": reason,
	}
}

func changeFault(err error, args pgx.NamedArgs) error {
	switch pg.Constraint(err) {
	case "tenants_plan_fkey":
		return fault.New(fault.NotFound, "there is no plan %.80q; the query plans lists them", args["plan"])
	case "tenants_metadata_check":
		return fault.New(fault.InvalidInput, "metadata is more than %d characters as Postgres writes it", maxMetadata)
	}
	return fmt.Errorf("change the tenant: %w", err)
}

// The clock is read once the lock is had: a session opened while this waited for it is
// older than the suspension that ends it.
const suspendSQL = `
UPDATE tenants.tenants SET status = 'suspended', suspended_at = clock_timestamp(), suspend_reason = nullif(@reason, '')
WHERE id = @tenant_id RETURNING ` + columns

// CleanReason cleans the reason of a suspension: a line of at most 500 characters.
func CleanReason(field, reason string, problems *fault.Problems) string {
	return text.Line(field, reason, 500, problems)
}

// Suspend puts an active tenant out of service until Activate. The tenant's owners and
// admins can read the reason once they are back; it may be empty.
func Suspend(ctx context.Context, db pg.DB, actor session.Session, reason string) (Tenant, error) {
	return take(ctx, db, actor, step{
		action: "suspend_tenant", sql: suspendSQL, args: pgx.NamedArgs{"reason": reason},
		check: func(t Tenant) error {
			switch t.Status {
			case Suspended:
				return t.refuse("tenant %q is suspended already")
			case Deleted:
				return t.refuse("tenant %q is deleted; restore it first")
			}
			return nil
		},
	})
}

const activateSQL = `
UPDATE tenants.tenants SET status = 'active', suspended_at = NULL, suspend_reason = NULL
WHERE id = @tenant_id RETURNING ` + columns

// Activate puts a suspended tenant back in service.
func Activate(ctx context.Context, db pg.DB, actor session.Session) (Tenant, error) {
	return take(ctx, db, actor, step{
		action: "activate_tenant", sql: activateSQL,
		check: func(t Tenant) error {
			switch t.Status {
			case Active:
				return t.refuse("tenant %q is active already")
			case Deleted:
				return t.refuse("tenant %q is deleted; restore it instead")
			}
			return nil
		},
	})
}

const deleteSQL = `
UPDATE tenants.tenants SET status = 'deleted', deleted_at = clock_timestamp(), purge_after = now() + make_interval(days => @days)
WHERE id = @tenant_id RETURNING ` + columns

// Delete takes a tenant out of service at once; Restore brings it back within the
// installation's window. confirmSlug must be the tenant's slug.
func Delete(ctx context.Context, db pg.DB, actor session.Session, confirmSlug string, defaults Defaults) (Tenant, error) {
	return take(ctx, db, actor, step{
		action: "delete_tenant", sql: deleteSQL, args: pgx.NamedArgs{"days": defaults.RestoreDays},
		check: func(t Tenant) error {
			if t.Status == Deleted {
				return t.refuse("tenant %q is deleted already")
			}
			if confirmSlug != t.Slug {
				return fault.New(fault.ConfirmationMismatch, "confirmSlug is %.80q; type the tenant's slug, %q, to delete it", confirmSlug, t.Slug)
			}
			return nil
		},
	})
}

const restoreSQL = `
UPDATE tenants.tenants SET deleted_at = NULL, purge_after = NULL,
	status = CASE WHEN suspended_at IS NULL THEN 'active' ELSE 'suspended' END
WHERE id = @tenant_id RETURNING ` + columns

// Restore brings a deleted tenant back as it was: suspended, where it was suspended
// when it was deleted. Past PurgeAfter there is nothing whole to bring back.
func Restore(ctx context.Context, db pg.DB, actor session.Session) (Tenant, error) {
	return take(ctx, db, actor, step{
		action: "restore_tenant", sql: restoreSQL,
		check: func(t Tenant) error {
			if t.Status != Deleted {
				return t.refuse("tenant %q is not deleted")
			}
			if time.Now().After(*t.PurgeAfter) {
				return t.refuse("tenant %q can no longer be restored: its time to be restored has passed")
			}
			return nil
		},
	})
}

const setPlanSQL = `UPDATE tenants.tenants SET plan = @plan WHERE id = @tenant_id RETURNING ` + columns

// SetPlan moves a tenant to another plan.
func SetPlan(ctx context.Context, db pg.DB, actor session.Session, plan string) (Tenant, error) {
	return take(ctx, db, actor, step{
		action: "set_tenant_plan", sql: setPlanSQL, args: pgx.NamedArgs{"plan": plan},
		check: func(t Tenant) error {
			if t.Status == Deleted {
				return t.refuse("tenant %q is deleted; restore it first")
			}
			return nil
		},
	})
}
