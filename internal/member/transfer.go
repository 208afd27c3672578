package member

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

const presentOwnerSQL = `SELECT owner_user_id FROM tenants.tenants WHERE id = @tenant_id`

const lockBothSQL = `
SELECT user_id FROM tenants.tenant_members
WHERE tenant_id = @tenant_id AND user_id IN (@present, @user_id) ORDER BY user_id FOR NO KEY UPDATE`

const nameOwnerSQL = `
UPDATE tenants.tenants SET owner_user_id = @user_id WHERE id = @tenant_id AND owner_user_id = @present
RETURNING updated_at`

// TransferOwnership makes a member the owner the tenant names; the owner it named so
// far becomes an admin. It returns when the tenant was changed.
func TransferOwnership(ctx context.Context, db pg.DB, actor session.Session, heir id.User) (at time.Time, err error) {
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		present, err := pg.Scalar[id.User](ctx, tx, presentOwnerSQL, pgx.NamedArgs{"tenant_id": actor.Tenant})
		if err != nil {
			return fmt.Errorf("read the owner of tenant %s: %w", actor.Tenant, err)
		}
		if heir == present {
			return fault.New(fault.WrongStatus, "user %s owns the tenant already", heir)
		}
		args := keys(actor, heir)
		args["present"] = present
		rows, _ := tx.Query(ctx, lockBothSQL, args)
		both, err := pgx.CollectRows(rows, pgx.RowTo[id.User])
		switch {
		case err != nil:
			return fmt.Errorf("lock the owner and the heir of tenant %s: %w", actor.Tenant, err)
		case !slices.Contains(both, heir):
			return notFound(heir)
		}
		at, err = handOver(ctx, tx, actor, present, heir)
		return err
	})
	return at, err
}

// handOver writes the heir's role first and the present owner's last: where that owner
// is the actor, row-level security refuses every statement after it.
func handOver(ctx context.Context, tx pgx.Tx, actor session.Session, present, heir id.User) (at time.Time, err error) {
	failed := func(err error) (time.Time, error) {
		return at, fmt.Errorf("hand tenant %s over to user %s: %w", actor.Tenant, heir, err)
	}
	promote, demote := keys(actor, heir), keys(actor, present)
	promote["role"], promote["present"], demote["role"] = string(Owner), present, string(Admin)
	if _, err := tx.Exec(ctx, updateRoleSQL, promote); err != nil {
		return failed(err)
	}
	at, err = pg.Scalar[time.Time](ctx, tx, nameOwnerSQL, promote)
	if pg.NoRow(err) {
		return at, fault.New(fault.WrongStatus, "the tenant changed hands while this was under way; look again")
	}
	if err != nil {
		return failed(err)
	}
	err = audit.Append(ctx, tx, actor, audit.Entry{
		Tenant: actor.Tenant, Action: "transfer_ownership", Target: "tenant:" + actor.Tenant.String(),
		Before: map[string]any{"owner_user_id": present}, After: map[string]any{"owner_user_id": heir},
	})
	if err != nil {
		return at, err
	}
	if _, err := tx.Exec(ctx, updateRoleSQL, demote); err != nil {
		return failed(err)
	}
	return at, nil
}
