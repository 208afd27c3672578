package member

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
)

// Transfer is an offer of a tenant to one of its members, who has to accept it. One is
// open in a tenant at a time.
type Transfer struct {
	ID         id.Transfer `db:"id"`
	TenantID   id.Tenant   `db:"tenant_id"`
	From       id.User     `db:"from_user_id"` // the owner the tenant named when it was offered
	To         id.User     `db:"to_user_id"`
	OfferedBy  id.User     `db:"offered_by"` // zero: the operator's secret, or somebody who is gone
	CreatedAt  time.Time   `db:"created_at"`
	ExpiresAt  time.Time   `db:"expires_at"`
	AcceptedAt *time.Time  `db:"accepted_at"`
	EndedAt    *time.Time  `db:"ended_at"` // declined, taken back or past its time
}

const transferDays = 7

const transferColumns = `id, tenant_id, from_user_id, to_user_id, offered_by, created_at, expires_at, accepted_at, ended_at`

const presentOwnerSQL = `SELECT owner_user_id FROM tenants.tenants WHERE id = @tenant_id`

const endExpiredTransferSQL = `
UPDATE tenants.ownership_transfers SET ended_at = expires_at
WHERE tenant_id = @tenant_id AND accepted_at IS NULL AND ended_at IS NULL AND expires_at <= now()`

const offerSQL = `
INSERT INTO tenants.ownership_transfers (tenant_id, from_user_id, to_user_id, offered_by, by_operator, expires_at)
SELECT t.id, t.owner_user_id, @user_id, @offered_by, @by_operator, now() + make_interval(days => @days)
FROM tenants.tenants t WHERE t.id = @tenant_id AND t.owner_user_id = @present
RETURNING ` + transferColumns

// OfferOwnership offers the actor's tenant to a member, by mail. Nothing changes until
// that member accepts (AcceptOwnership), within seven days.
func (p Post) OfferOwnership(ctx context.Context, db pg.DB, actor session.Session, heir id.User) (Transfer, error) {
	var offered Transfer
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		present, err := presentOwner(ctx, tx, actor)
		if err != nil {
			return err
		}
		if heir == present {
			return fault.New(fault.WrongStatus, "user %s owns the tenant already", heir)
		}
		if err := lockBoth(ctx, tx, actor, present, heir); err != nil {
			return err
		}
		args := keys(actor, heir)
		args["present"], args["days"] = present, transferDays
		args["offered_by"], args["by_operator"] = actor.User, actor.IsOperator()
		if _, err := tx.Exec(ctx, endExpiredTransferSQL, args); err != nil {
			return fmt.Errorf("end an expired offer: %w", err)
		}
		if offered, err = pg.One[Transfer](ctx, tx, offerSQL, args); err != nil {
			return offerFault(ctx, tx, actor, err)
		}
		if err := p.mailOffer(ctx, tx, actor, offered); err != nil {
			return err
		}
		return audit.Append(ctx, tx, actor, transferEntry("offer_ownership", offered))
	})
	return offered, err
}

// presentOwner reads the owner the actor's tenant names. No row says that the actor lost
// sight of the tenant.
func presentOwner(ctx context.Context, tx pgx.Tx, actor session.Session) (id.User, error) {
	present, err := pg.Scalar[id.User](ctx, tx, presentOwnerSQL, keys(actor, actor.User))
	if err != nil {
		return id.User{}, fmt.Errorf("read the owner of tenant %s: %w", actor.Tenant, err)
	}
	return present, nil
}

func offerFault(ctx context.Context, tx pgx.Tx, actor session.Session, err error) error {
	if pg.NoRow(err) {
		if _, err := presentOwner(ctx, tx, actor); err != nil {
			return err
		}
		return fault.New(fault.WrongStatus, "the tenant changed hands while this was under way; look again")
	}
	switch pg.Constraint(err) {
	case "ownership_transfers_open_key":
		return fault.New(fault.WrongStatus, "the tenant is on offer already; cancelOwnershipTransfer takes that offer back")
	case "ownership_transfers_offered_by_fkey":
		return fault.New(fault.InvalidSession, "x-hasura-user-id names no user of this installation").Because(err)
	}
	return fmt.Errorf("offer tenant %s: %w", actor.Tenant, err)
}

func transferEntry(action string, t Transfer) audit.Entry {
	return audit.Entry{
		Tenant: t.TenantID, Action: action, Target: "transfer:" + t.ID.String(),
		After: map[string]any{"from_user_id": t.From, "to_user_id": t.To, "expires_at": t.ExpiresAt},
	}
}

// lastTransfer is an offer as it stands.
type lastTransfer struct {
	Transfer
	Expired bool `db:"expired"` // by the database's clock, which gave it its time
}

const lastOfferSQL = `
SELECT ` + transferColumns + `, expires_at <= now() AS expired FROM tenants.ownership_transfers
WHERE tenant_id = @tenant_id AND (to_user_id = @user_id OR @owning)
ORDER BY created_at DESC, id LIMIT 1`

const lockOfferSQL = lastOfferSQL + ` FOR NO KEY UPDATE`

// lastOffer reads, by one of the two statements, the latest offer the actor has a part in:
// the one to the actor, or, with the argument owning, any of the tenant.
func lastOffer(ctx context.Context, tx pgx.Tx, sql string, args pgx.NamedArgs) (lastTransfer, error) {
	t, err := pg.One[lastTransfer](ctx, tx, sql, args)
	switch {
	case pg.NoRow(err):
		return lastTransfer{}, fault.New(fault.NotFound, "there is no offer of this tenant for you")
	case err != nil:
		return lastTransfer{}, fmt.Errorf("read the offer of tenant %s: %w", args["tenant_id"], err)
	}
	return t, nil
}

// ended says why the offer is not open, or nothing where it is.
func (t lastTransfer) ended() error {
	how := ""
	switch {
	case t.AcceptedAt != nil:
		how = "was accepted already"
	case t.EndedAt != nil && t.EndedAt.Before(t.ExpiresAt):
		how = "was declined or taken back"
	case t.EndedAt != nil || t.Expired:
		how = "has expired"
	default:
		return nil
	}
	return fault.New(fault.TransferEnded, "the offer of this tenant %s; an owner can make another", how)
}

const endTransferSQL = `
UPDATE tenants.ownership_transfers SET ended_at = now()
WHERE tenant_id = @tenant_id AND id = @transfer_id AND accepted_at IS NULL AND ended_at IS NULL
RETURNING ` + transferColumns

// CancelTransfer ends the open offer of the actor's tenant: an owner (or the operator)
// takes it back, the receiver declines it. To everybody else there is none.
func CancelTransfer(ctx context.Context, db pg.DB, actor session.Session) (Transfer, error) {
	var after Transfer
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		args := keys(actor, actor.User)
		args["owning"] = actor.IsOperator() || actor.Role == session.TenantOwner
		before, err := lastOffer(ctx, tx, lockOfferSQL, args)
		if err != nil {
			return err
		}
		if err := before.ended(); err != nil {
			return err
		}
		after, err = pg.One[Transfer](ctx, tx, endTransferSQL, pgx.NamedArgs{"tenant_id": actor.Tenant, "transfer_id": before.ID})
		if err != nil {
			return fmt.Errorf("end the offer of tenant %s: %w", actor.Tenant, err)
		}
		action := "cancel_ownership_transfer"
		if actor.User == before.To {
			action = "decline_ownership"
		}
		return audit.Append(ctx, tx, actor, transferEntry(action, after))
	})
	return after, err
}
