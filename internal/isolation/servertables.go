package isolation

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// serverTables are the server's own: no row in them is of a tenant, and what they hold (keys,
// what is to be mailed to whom, who asked how often) is for no session.
var serverTables = []string{"auth.rate_limits", "auth.signing_keys", "billing.meter_sources", "billing.prices",
	"billing.stripe_events", "billing.stripe_objects", "nself.adoption_steps", "nself.adoptions", "nself.default_budget", "nself.inbox",
	"nself.purges", "nself.tenant_migrations", "nself.tracked_schemas"}

// queueTables is how the names of the queue's tables begin, which are the server's too.
const queueTables = "nself.river_"

// OfTheServer reports whether a table is for nself_server alone.
func OfTheServer(name Name) bool {
	for _, own := range serverTables {
		if name.String() == own {
			return true
		}
	}
	return strings.HasPrefix(name.String(), queueTables)
}

const openedSQL = `
	SELECT n.nspname::text AS schema, c.relname::text AS "table", lower(g.privilege_type) AS privilege,
	       CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END AS role
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
	     LATERAL (SELECT * FROM aclexplode(c.relacl)
	              UNION ALL SELECT e.* FROM pg_catalog.pg_attribute a, aclexplode(a.attacl) AS e WHERE a.attrelid = c.oid) AS g
	WHERE c.relkind IN ('r', 'p') AND g.grantee <> c.relowner
	  AND (n.nspname || '.' || c.relname = ANY (@tables::text[]) OR starts_with(n.nspname || '.' || c.relname, @queue))
	  AND (g.grantee = 0 OR pg_get_userbyid(g.grantee) NOT IN ('nself_owner', 'nself_server')
	       AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.oid = g.grantee))
	ORDER BY 1, 2, 4, 3`

// ofServerTables tells who else may use the tables of the server.
func ofServerTables(ctx context.Context, db pg.DB) ([]Difference, error) {
	type opened struct{ Schema, Table, Privilege, Role string }
	open, err := pg.All[opened](ctx, db, openedSQL, pgx.NamedArgs{"tables": serverTables, "queue": queueTables})
	if err != nil {
		return nil, fmt.Errorf("read who may use the server's own tables: %w", err)
	}
	var found []Difference
	for _, o := range open {
		found = append(found, Difference{Where: "database", Table: Name{Schema: o.Schema, Name: o.Table},
			Exceeds: fmt.Sprintf("%s may %s: the table is the server's own, for nself_server alone", o.Role, o.Privilege)})
	}
	return found, nil
}
