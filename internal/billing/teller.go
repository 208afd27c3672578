package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/tenant"
)

const (
	news     = 72 * time.Hour // how old a fact may be, by the account's clock, to be worth a letter
	goodFor  = 72 * time.Hour // how long a letter that could not be mailed is worth it, by the time of day
	longName = 255            // of an effect
)

// subject is the tenant as billing changes it and speaks to it.
type subject struct {
	ID          id.Tenant     `db:"id"`
	Name        string        `db:"name"`
	Status      tenant.Status `db:"status"`
	Plan        string        `db:"plan"`
	PlanName    string        `db:"plan_name"`
	SuspendedAt *time.Time    `db:"suspended_at"`
}

// The plan's name is no join: one would find no row where the plan changed while the lock
// was waited for.
const readTenantSQL = `
SELECT t.id, t.name, t.status, t.plan, (SELECT p.name FROM billing.plans p WHERE p.code = t.plan) AS plan_name, t.suspended_at
FROM tenants.tenants t WHERE t.id = @tenant_id`

// lockTenantSQL locks as the tenant's own operations do: who refers to it may go on.
const lockTenantSQL = readTenantSQL + ` FOR NO KEY UPDATE OF t`

func readTenant(ctx context.Context, tx pgx.Tx, of id.Tenant) (subject, error) {
	found, err := pg.One[subject](ctx, tx, readTenantSQL, pgx.NamedArgs{"tenant_id": of})
	if err != nil {
		return found, fmt.Errorf("read tenant %s: %w", of, err)
	}
	return found, nil
}

func lockTenant(ctx context.Context, tx pgx.Tx, of id.Tenant) (subject, error) {
	found, err := pg.One[subject](ctx, tx, lockTenantSQL, pgx.NamedArgs{"tenant_id": of})
	if err != nil {
		return found, fmt.Errorf("lock tenant %s: %w", of, err)
	}
	return found, nil
}

// effect is something to be told once.
type effect struct {
	key    string    // made of the fact, never of when it was looked at
	at     time.Time // when the fact came about
	kind   queue.MailKind
	values map[string]string // without the tenant's name; an empty one is left out
}

// teller tells the owners of a tenant.
type teller struct {
	post   *queue.Outbox
	tx     pgx.Tx
	tenant subject
	clock  time.Time
}

const noteEffectSQL = `
INSERT INTO billing.effects (tenant_id, key) VALUES (@tenant_id, @key) ON CONFLICT (tenant_id, key) DO NOTHING`

// once notes an effect, and reports whether it was not noted before.
func (t teller) once(ctx context.Context, key string) (bool, error) {
	if len(key) > longName {
		return false, fmt.Errorf("the effect %.80q… has a name of more than %d characters", key, longName)
	}
	tag, err := t.tx.Exec(ctx, noteEffectSQL, pgx.NamedArgs{"tenant_id": t.tenant.ID, "key": key})
	if err != nil {
		return false, fmt.Errorf("note %s of tenant %s: %w", key, t.tenant.ID, err)
	}
	return tag.RowsAffected() == 1, nil
}

const ownersSQL = `
SELECT u.email FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person'
WHERE m.tenant_id = @tenant_id AND m.role = 'owner' ORDER BY u.email`

// tell notes an effect and mails it to each owner, where it was not noted before and is
// news still. A deleted tenant is told nothing.
func (t teller) tell(ctx context.Context, e effect) error {
	fresh, err := t.once(ctx, e.key)
	if err != nil || !fresh || t.clock.Sub(e.at) > news || !t.post.Open() || t.tenant.Status == tenant.Deleted {
		return err
	}
	rows, _ := t.tx.Query(ctx, ownersSQL, pgx.NamedArgs{"tenant_id": t.tenant.ID})
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read the owners of tenant %s: %w", t.tenant.ID, err)
	}
	values := map[string]string{queue.TenantName: t.tenant.Name}
	for name, value := range e.values {
		if value != "" {
			values[name] = value
		}
	}
	for _, owner := range owners {
		mail := queue.Mail{Kind: e.kind, To: owner, Tenant: t.tenant.ID, Until: time.Now().Add(goodFor), Values: values}
		if err := t.post.Send(ctx, t.tx, mail); err != nil {
			return err
		}
	}
	return nil
}
