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

// AcceptOwnership makes the actor the owner of the tenant that is on offer to them,
// whatever their role; the owner the tenant named so far becomes an admin. What held when
// it was offered must hold still: the giver is that owner, and whoever offered it may.
// It returns when the tenant was changed.
func AcceptOwnership(ctx context.Context, db pg.DB, actor session.Session) (at time.Time, err error) {
	if actor.IsOperator() {
		return at, fault.New(fault.Forbidden, "whom the tenant is offered to accepts it; the operator changes roles with updateMemberRole")
	}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		args := keys(actor, actor.User)
		args["owning"] = false
		offer, err := lastOffer(ctx, tx, lastOfferSQL, args)
		if err != nil {
			return err
		}
		if err := offer.ended(); err != nil {
			return err
		}
		if err := lockBoth(ctx, tx, actor, offer.From, offer.To); err != nil {
			return err
		}
		// The actor may have waited for the locks, and this is row-level security's last say:
		// the actor's own role changes on the way, and it refuses a session whose role is
		// another than its token says.
		if _, err := presentOwner(ctx, tx, actor); err != nil {
			return err
		}
		return pg.AsServer(ctx, tx, func() error {
			at, err = handOver(ctx, tx, actor, offer.Transfer)
			return err
		})
	})
	return at, err
}

const lockBothSQL = `
SELECT m.user_id FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id
WHERE m.tenant_id = @tenant_id AND m.user_id IN (@present, @user_id) AND u.kind = 'person'
ORDER BY m.user_id FOR NO KEY UPDATE OF m`

// lockBoth holds the giver's and the heir's memberships. The heir must be a member, and a
// person.
func lockBoth(ctx context.Context, tx pgx.Tx, actor session.Session, present, heir id.User) error {
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
	return nil
}

const acceptTransferSQL = `
UPDATE tenants.ownership_transfers o SET accepted_at = now()
WHERE o.tenant_id = @tenant_id AND o.id = @transfer_id AND o.accepted_at IS NULL AND o.ended_at IS NULL AND o.expires_at > now()
	AND (o.by_operator OR EXISTS (SELECT FROM tenants.tenant_members m
		WHERE m.tenant_id = @tenant_id AND m.user_id = o.offered_by AND m.role = 'owner'))
RETURNING o.accepted_at`

const nameOwnerSQL = `
UPDATE tenants.tenants SET owner_user_id = @user_id
WHERE id = @tenant_id AND owner_user_id = @present AND status = 'active'
RETURNING updated_at`

// handOver writes the heir's role first, for a tenant has an owner at every moment.
func handOver(ctx context.Context, tx pgx.Tx, actor session.Session, t Transfer) (at time.Time, err error) {
	failed := func(err error) (time.Time, error) {
		if pg.NoRow(err) {
			return at, fault.New(fault.TransferEnded, "the offer does not hold any more: the tenant or its owners changed since; an owner can make another")
		}
		return at, fmt.Errorf("hand tenant %s over to user %s: %w", t.TenantID, t.To, err)
	}
	promote, demote := keys(actor, t.To), keys(actor, t.From)
	promote["role"], promote["present"], promote["transfer_id"], demote["role"] = string(Owner), t.From, t.ID, string(Admin)
	if _, err := pg.Scalar[time.Time](ctx, tx, acceptTransferSQL, promote); err != nil {
		return failed(err)
	}
	if _, err := pg.One[Member](ctx, tx, updateRoleSQL, promote); err != nil {
		return failed(err)
	}
	if at, err = pg.Scalar[time.Time](ctx, tx, nameOwnerSQL, promote); err != nil {
		return failed(err)
	}
	if _, err := pg.One[Member](ctx, tx, updateRoleSQL, demote); err != nil {
		return failed(err)
	}
	return at, audit.Append(ctx, tx, actor, audit.Entry{
		Tenant: t.TenantID, Action: "transfer_ownership", Target: "tenant:" + t.TenantID.String(),
		Before: map[string]any{"owner_user_id": t.From}, After: map[string]any{"owner_user_id": t.To},
	})
}
