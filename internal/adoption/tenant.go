package adoption

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

type chosenTenant struct {
	ID       id.Tenant
	Slug     string
	Status   string
	Strategy string
	Moving   bool
}

const adoptingAllTenantsSQL = `
	SELECT t.id, t.slug, t.status, t.strategy, EXISTS (SELECT FROM nself.moves m WHERE m.tenant_id = t.id AND m.state IN ('copying', 'cut')) AS moving
	FROM tenants.tenants t
	WHERE t.status <> 'deleted' AND (@ref::text = '' OR @ref::text IN (t.id::text, t.slug))
	ORDER BY t.created_at LIMIT 2`

// chooseTenant is the tenant whose the rows of before are.
func chooseTenant(ctx context.Context, db pg.DB, ref string) (chosenTenant, error) {
	found, err := pg.All[chosenTenant](ctx, db, adoptingAllTenantsSQL, pgx.NamedArgs{"ref": ref})
	switch {
	case err != nil:
		return chosenTenant{}, fmt.Errorf("look for the tenant: %w", err)
	case len(found) == 0 && ref == "":
		return chosenTenant{}, errors.New("there is no tenant whose the rows could be: make one with nself tenant create")
	case len(found) == 0:
		return chosenTenant{}, fmt.Errorf("there is no tenant %.60q: nself tenant list shows them", ref)
	case len(found) > 1:
		return chosenTenant{}, errors.New("there are several tenants: say with --tenant whose the rows are, by id or slug")
	}
	return found[0], found[0].takes()
}

// takes says why rows of shared tables cannot be the tenant's.
func (c chosenTenant) takes() error {
	switch {
	case c.Status == "suspended":
		return fmt.Errorf("the tenant %s is suspended, and from the switch on nobody would reach the rows: activate it first", c.Slug)
	case c.Moving:
		return fmt.Errorf("the tenant %s is on the move, which knows nothing of these tables: end it first with nself tenant move %[1]s --confirm, or --undo", c.Slug)
	case c.Strategy == "schema":
		return fmt.Errorf("the tenant %s lives in a schema of its own, and the rows are in shared tables: choose another, or move it first with nself tenant move %[1]s --to rls", c.Slug)
	}
	return nil
}

// keepTenantSQL has the tenant stay as it is until the transaction ends.
const keepTenantSQL = `
	SELECT t.id, t.slug, t.status, t.strategy, EXISTS (SELECT FROM nself.moves m WHERE m.tenant_id = t.id AND m.state IN ('copying', 'cut')) AS moving
	FROM tenants.tenants t WHERE t.id = @tenant_id FOR SHARE OF t`

// stillTakes refuses to go on where the tenant is not what it was when it was chosen, and
// keeps it so until the transaction ends.
func stillTakes(ctx context.Context, db pg.DB, of Options) error {
	found, err := pg.One[chosenTenant](ctx, db, keepTenantSQL, pgx.NamedArgs{"tenant_id": of.Tenant})
	switch {
	case pg.NoRow(err):
		return fmt.Errorf("the tenant %s is gone: take the adoption back with --undo", of.Slug)
	case err != nil:
		return fmt.Errorf("look for the tenant: %w", err)
	case found.Status == "deleted":
		return fmt.Errorf("the tenant %s was deleted: restore it, or take the adoption back with --undo", found.Slug)
	}
	return found.takes()
}
