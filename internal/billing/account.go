package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Account is a row of billing.accounts: where a tenant stands with what it buys.
type Account struct {
	TenantID    id.Tenant  `db:"tenant_id"`
	State       State      `db:"state"`
	Since       time.Time  `db:"since"`        // by the account's own clock: of an unpaid one when the payment failed, of a suspended one when the grace ran out
	GraceUntil  *time.Time `db:"grace_until"`  // nil: no grace is running or has run out
	DueAt       *time.Time `db:"due_at"`       // when time alone changes something; nil: never
	SuspendedAt *time.Time `db:"suspended_at"` // of the tenant, by billing; nil: billing did not suspend it
	Reminders   int        `db:"reminders"`    // how many were due in this state
	UpdatedAt   time.Time  `db:"updated_at"`
}

const accountColumns = `tenant_id, state, since, grace_until, due_at, suspended_at, reminders, updated_at`

const accountSQL = `SELECT ` + accountColumns + ` FROM billing.accounts WHERE tenant_id = @tenant_id`

// AccountOf reads how a tenant stands; the state is None where nothing is known of it.
func AccountOf(ctx context.Context, db pg.DB, tenant id.Tenant) (Account, error) {
	found, err := pg.One[Account](ctx, db, accountSQL, pgx.NamedArgs{"tenant_id": tenant})
	switch {
	case pg.NoRow(err):
		return Account{TenantID: tenant, State: None}, nil
	case err != nil:
		return found, fmt.Errorf("read the account of %s: %w", tenant, err)
	}
	return found, nil
}

const openAccountSQL = `
INSERT INTO billing.accounts (tenant_id, since) SELECT t.id, t.created_at FROM tenants.tenants t WHERE t.id = @tenant_id
ON CONFLICT (tenant_id) DO NOTHING`

const lockAccountSQL = accountSQL + ` FOR UPDATE`

// lockAccount opens the tenant's account where it has none, and keeps others from
// settling it.
func lockAccount(ctx context.Context, tx pgx.Tx, tenant id.Tenant) (Account, error) {
	args := pgx.NamedArgs{"tenant_id": tenant}
	if _, err := tx.Exec(ctx, openAccountSQL, args); err != nil {
		return Account{}, fmt.Errorf("open the account of %s: %w", tenant, err)
	}
	found, err := pg.One[Account](ctx, tx, lockAccountSQL, args)
	if err != nil {
		return found, fmt.Errorf("lock the account of %s: %w", tenant, err)
	}
	return found, nil
}

const saveAccountSQL = `
UPDATE billing.accounts SET state = @state, since = @since, grace_until = @grace_until, due_at = @due_at,
	suspended_at = @suspended_at, reminders = @reminders, updated_at = now()
WHERE tenant_id = @tenant_id AND (state, since, grace_until, due_at, suspended_at, reminders)
	IS DISTINCT FROM (@state::text, @since::timestamptz, @grace_until::timestamptz, @due_at::timestamptz, @suspended_at::timestamptz, @reminders::smallint)
RETURNING updated_at`

// save keeps what is new of an account; where nothing is, nothing is written.
func (a *Account) save(ctx context.Context, tx pgx.Tx) error {
	at, err := pg.Scalar[time.Time](ctx, tx, saveAccountSQL, pgx.NamedArgs{
		"tenant_id": a.TenantID, "state": a.State, "since": a.Since, "grace_until": a.GraceUntil, "due_at": a.DueAt,
		"suspended_at": a.SuspendedAt, "reminders": a.Reminders,
	})
	switch {
	case pg.NoRow(err):
		return nil
	case err != nil:
		return fmt.Errorf("save the account of %s: %w", a.TenantID, err)
	}
	a.UpdatedAt = at
	return nil
}

// standing is the one that the account stands at, which leaves everything as it is.
func (a Account) standing() standing {
	return standing{since: a.Since, graceUntil: a.GraceUntil, dueAt: a.DueAt, reminders: a.Reminders}
}
