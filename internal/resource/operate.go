package resource

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

const columns = `tenant_id, kind, name, wanted, generation, made, open, made_at, removed_at, tries, next_at, failure, created_at`

// Rotate waits for who is at the place just now: never longer than a claim.
const rotateSQL = `
UPDATE tenants.tenant_resources
SET generation = generation + 1, secret = @secret, failure = NULL, tries = 0, next_at = least(coalesce(next_at, now()), now() + @claimed::interval)
WHERE tenant_id = @tenant_id AND kind = @kind AND wanted
RETURNING ` + columns

// Rotate asks for new credentials of the tenant that the operator names. Those of before
// hold until the new ones are made, a moment after the transaction; then nobody is left
// signed in with them.
func (k *Keeper) Rotate(ctx context.Context, db pg.DB, actor session.Session, kind Kind) (Resource, error) {
	if _, err := k.site(kind); err != nil {
		return Resource{}, err
	}
	rotated, err := pg.One[Resource](ctx, db, rotateSQL, pgx.NamedArgs{
		"tenant_id": actor.Tenant, "kind": kind, "secret": k.newSecret(actor.Tenant, kind), "claimed": claimed,
	})
	if err != nil {
		return rotated, noted(err, actor.Tenant, kind)
	}
	return rotated, audit.Append(ctx, db, actor, audit.Entry{
		Tenant: actor.Tenant, Action: "rotate_resource", Target: "resource:" + string(kind), After: map[string]any{"generation": rotated.Generation},
	})
}

func noted(err error, tenant id.Tenant, kind Kind) error {
	if pg.NoRow(err) {
		return fault.New(fault.NotFound, "tenant %s has no %s yet; it is given one within a minute", tenant, kind)
	}
	return fmt.Errorf("read the %s of tenant %s: %w", kind, tenant, err)
}

// Keys are a place with the credentials that open it.
type Keys struct {
	Resource
	Credentials
}

const keysSQL = `
SELECT ` + columns + `, secret FROM tenants.tenant_resources WHERE tenant_id = @tenant_id AND kind = @kind AND wanted`

// ReadKeys are those of the newest generation, of the tenant that the operator names;
// they open where Made is Generation and Open is true. That they were read is in the audit
// log; what they are is not.
func (k *Keeper) ReadKeys(ctx context.Context, db pg.DB, actor session.Session, kind Kind) (Keys, error) {
	at, err := k.site(kind)
	if err != nil {
		return Keys{}, err
	}
	row, err := pg.One[struct {
		Resource
		Sealed []byte `db:"secret"`
	}](ctx, db, keysSQL, pgx.NamedArgs{"tenant_id": actor.Tenant, "kind": kind})
	if err != nil {
		return Keys{}, noted(err, actor.Tenant, kind)
	}
	secret, err := k.config.Box.Open(row.Sealed, sealedAs(actor.Tenant, kind))
	if err != nil {
		return Keys{}, errors.New("the credentials do not open with NSELF_ENCRYPTION_KEY; rotate the resource to make new ones")
	}
	read := Keys{row.Resource, at.Credentials(Place{Name: row.Name, Secret: string(secret), Open: row.Open})}
	return read, audit.Append(ctx, db, actor, audit.Entry{
		Tenant: actor.Tenant, Action: "read_resource_credentials", Target: "resource:" + string(kind), After: map[string]any{"generation": row.Generation},
	})
}
