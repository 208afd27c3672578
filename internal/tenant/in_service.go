package tenant

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

const inService = ` FROM tenants.tenants WHERE status = 'active' AND `

const inServiceByIDAllTenantsSQL = `SELECT ` + columns + inService + `id = @id`

const inServiceBySlugAllTenantsSQL = `SELECT ` + columns + inService + `slug = @slug`

// InService reads the tenant that an id or slug names, in one statement. One that is out of
// service and one that does not exist are the same not-found: this is for whoever has no
// part in the tenant yet.
func InService(ctx context.Context, db pg.DB, ref string) (Tenant, error) {
	sql, args := inServiceBySlugAllTenantsSQL, pgx.NamedArgs{"slug": ref}
	if parsed, err := id.Parse[id.Tenant](ref); err == nil {
		sql, args = inServiceByIDAllTenantsSQL, pgx.NamedArgs{"id": parsed}
	}
	t, err := pg.One[Tenant](ctx, db, sql, args)
	return found(t, err, ref)
}
