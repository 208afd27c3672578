package doctor

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// bound are the roles that row-level security must bind.
var bound = []string{"nself_server", "nself_tenant", "nself_app", "nself_hasura"}

const boundRolesSQL = `
	SELECT wanted.name, r.oid IS NOT NULL AS present, coalesce(r.rolsuper, false) AS superuser,
	       coalesce(r.rolbypassrls, false) AS bypasses
	FROM unnest(@roles::text[]) AS wanted (name) LEFT JOIN pg_catalog.pg_roles r ON r.rolname = wanted.name`

type boundRole struct {
	Name      string `db:"name"`
	Present   bool   `db:"present"`
	Superuser bool   `db:"superuser"`
	Bypasses  bool   `db:"bypasses"`
}

func (x *examination) roles(ctx context.Context) (string, error) {
	found, err := pg.All[boundRole](ctx, x.conn, boundRolesSQL, pgx.NamedArgs{"roles": bound})
	if err != nil {
		return "", err
	}
	for _, role := range found {
		switch {
		case !role.Present:
			return "", fmt.Errorf("the role %s is missing", role.Name)
		case role.Superuser:
			return "", &finding{role.Name + " is a superuser, so no policy binds it", "ALTER ROLE " + role.Name + " NOSUPERUSER"}
		case role.Bypasses:
			return "", &finding{role.Name + " bypasses row-level security", "ALTER ROLE " + role.Name + " NOBYPASSRLS"}
		}
	}
	if err := x.owners(ctx); err != nil {
		return "", err
	}
	return "none bypasses the policies or owns a tenant table; nself_server may become nself_tenant", x.serverBecomesTenant(ctx)
}

// A role that is a member of the owner may switch the policies off as the owner may.
const ownersSQL = `
	SELECT r.rolname AS role, owned.relation, owned.owner
	FROM pg_catalog.pg_roles r,
	     (SELECT c.oid::regclass::text AS relation, c.relowner, pg_get_userbyid(c.relowner)::text AS owner
	      FROM nself.tenant_tables t
	      JOIN pg_catalog.pg_class c ON c.oid = to_regclass(format('%I.%I', t.schema_name, t.table_name))) AS owned
	WHERE r.rolname = ANY (@roles::text[]) AND pg_has_role(r.oid, owned.relowner, 'MEMBER')
	ORDER BY 1, 2 LIMIT 1`

func (x *examination) owners(ctx context.Context) error {
	type ownership struct {
		Role     string `db:"role"`
		Relation string `db:"relation"`
		Owner    string `db:"owner"`
	}
	owned, err := pg.All[ownership](ctx, x.conn, ownersSQL, pgx.NamedArgs{"roles": bound})
	if err != nil || len(owned) == 0 {
		return err
	}
	first := owned[0]
	if first.Role == first.Owner {
		return &finding{first.Role + " owns " + first.Relation, "ALTER TABLE " + first.Relation + " OWNER TO nself_owner"}
	}
	return &finding{fmt.Sprintf("%s may act as %s, who owns %s", first.Role, first.Owner, first.Relation), "REVOKE " + first.Owner + " FROM " + first.Role}
}

const mayBecomeTenantSQL = `
	SELECT coalesce((SELECT pg_has_role(s.oid, t.oid, @privilege)
	                 FROM pg_catalog.pg_roles s, pg_catalog.pg_roles t
	                 WHERE s.rolname = 'nself_server' AND t.rolname = 'nself_tenant'), false)`

// serverBecomesTenant asks for SET where Postgres knows it (16 on); before, membership
// is enough.
func (x *examination) serverBecomesTenant(ctx context.Context) error {
	privilege := "MEMBER"
	if x.version >= 160000 {
		privilege = "SET"
	}
	may, err := pg.Scalar[bool](ctx, x.conn, mayBecomeTenantSQL, pgx.NamedArgs{"privilege": privilege})
	if err == nil && !may {
		return &finding{"nself_server may not SET ROLE nself_tenant", "GRANT nself_tenant TO nself_server"}
	}
	return err
}

// rowSecurity compares the wall in the database with the list of tenant tables; nself
// tenant audit looks for everything else that could let a tenant's rows out.
func (x *examination) rowSecurity(ctx context.Context) (string, error) {
	list, err := isolation.Installed(ctx, x.conn)
	if err != nil {
		return "", err
	}
	found, err := list.Differences(ctx, x.conn, nil)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		first := found[0]
		if isolation.OfTheServer(first.Table) {
			return "", &finding{first.String(), "nself tenant audit --fix, which takes back what was granted"}
		}
		if first.OwnSchema {
			return "", &finding{first.String(), "what it says: SELECT tenants.wall_tenant_schema(tenant); and nself tenant audit for the rest"}
		}
		return "", &finding{first.String(), "nself tenant protect " + first.Table.String() + ", and nself tenant audit for the rest"}
	}
	return fmt.Sprintf("as declared on %d tables", len(list)), nil
}
