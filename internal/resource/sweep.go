package resource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// few is how many tenants a round gives places that had none: those of before the
// installation had the service.
const few = 500

const withoutAllTenantsSQL = `
SELECT t.id FROM tenants.tenants t
WHERE t.status <> 'deleted' AND NOT EXISTS (SELECT FROM tenants.tenant_resources r WHERE r.tenant_id = t.id AND r.kind = @kind)
ORDER BY t.id LIMIT @few`

// Sweep is a round of the routine: it gives every tenant its places, looks whether those
// that were made still stand, and makes what is due so.
func (k *Keeper) Sweep(ctx context.Context, db pg.DB) (int64, error) {
	var faults []error
	for _, kind := range k.kinds() {
		faults = append(faults, k.complete(ctx, db, kind), k.miss(ctx, db, kind))
	}
	done, err := k.settle(ctx, nil)
	return done, errors.Join(append(faults, err)...)
}

func (k *Keeper) complete(ctx context.Context, db pg.DB, kind Kind) error {
	tenants, err := pg.All[struct{ ID id.Tenant }](ctx, db, withoutAllTenantsSQL, pgx.NamedArgs{"kind": kind, "few": few})
	if err != nil {
		return fmt.Errorf("look for tenants without %s: %w", kind, err)
	}
	for _, t := range tenants {
		if err := k.add(ctx, db, t.ID, kind); err != nil {
			return err
		}
	}
	return nil
}

const addSQL = `
INSERT INTO tenants.tenant_resources (tenant_id, kind, name, secret)
SELECT @tenant_id, @kind, @name, @secret WHERE EXISTS (SELECT FROM tenants.tenants WHERE id = @tenant_id)
ON CONFLICT (tenant_id, kind) DO NOTHING`

// Add asks for a tenant's places, in the transaction that makes the tenant: they are made
// after it, by Settle. One that has them keeps them.
func (k *Keeper) Add(ctx context.Context, db pg.DB, tenant id.Tenant) error {
	for _, kind := range k.kinds() {
		if err := k.add(ctx, db, tenant, kind); err != nil {
			return err
		}
	}
	return nil
}

func (k *Keeper) add(ctx context.Context, db pg.DB, tenant id.Tenant, kind Kind) error {
	_, err := db.Exec(ctx, addSQL, pgx.NamedArgs{
		"tenant_id": tenant, "kind": kind, "name": k.config.Sites[kind].Name(tenant), "secret": k.newSecret(tenant, kind),
	})
	if err != nil {
		return fmt.Errorf("ask for the %s of tenant %s: %w", kind, tenant, err)
	}
	return nil
}

// newSecret is sealed; it has letters and digits alone, and 130 random bits.
func (k *Keeper) newSecret(tenant id.Tenant, kind Kind) []byte {
	return k.config.Box.Seal([]byte(rand.Text()), sealedAs(tenant, kind))
}

const madeAllTenantsSQL = `
SELECT name, open FROM tenants.tenant_resources WHERE kind = @kind AND wanted AND made = generation AND (next_at IS NULL OR next_at <= now())`

const missAllTenantsSQL = `
UPDATE tenants.tenant_resources SET made = 0, next_at = now() WHERE kind = @kind AND name = ANY (@names::text[]) AND wanted`

// miss finds places that were made and are not there, or not as they were left: a Redis that
// was started again without a file of users has none.
func (k *Keeper) miss(ctx context.Context, db pg.DB, kind Kind) error {
	made, err := pg.All[struct {
		Name string
		Open bool
	}](ctx, db, madeAllTenantsSQL, pgx.NamedArgs{"kind": kind})
	if err != nil || len(made) == 0 {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	there, err := k.config.Sites[kind].Standing(asking)
	if err != nil {
		return err
	}
	var missed []string
	for _, m := range made {
		if open, stands := there[m.Name]; !stands || open != m.Open {
			missed = append(missed, m.Name)
		}
	}
	if len(missed) == 0 {
		return nil
	}
	k.config.Log.WarnContext(ctx, "tenants' resources are not as they were left, and are made again", "kind", kind, "count", len(missed))
	if _, err := db.Exec(ctx, missAllTenantsSQL, pgx.NamedArgs{"kind": kind, "names": missed}); err != nil {
		return fmt.Errorf("note that %d places of kind %s are gone: %w", len(missed), kind, err)
	}
	return nil
}
