package doctor

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

// placesAllTenantsSQL counts the tenants with a schema of their own, and of them those
// that something keeps waiting.
const placesAllTenantsSQL = `
SELECT count(*) AS schemas,
  coalesce(min(t.slug) FILTER (WHERE to_regnamespace(quote_ident(s.schema_name)) IS NULL), '') AS missing,
  count(*) FILTER (WHERE s.failed_at IS NOT NULL) AS failed,
  coalesce(min(t.slug || ': ' || s.failure) FILTER (WHERE s.failed_at IS NOT NULL), '') AS failure,
  count(*) FILTER (WHERE s.failed_at IS NULL AND EXISTS (SELECT FROM nself.tenant_migrations m
    WHERE NOT EXISTS (SELECT FROM tenants.tenant_schema_migrations a WHERE a.tenant_id = s.tenant_id AND a.version = m.version))) AS behind,
  count(*) FILTER (WHERE (s.tracked_at IS NULL OR s.tracked_at < s.changed_at) AND s.changed_at < now() - interval '5 minutes'
    AND NOT (t.status = 'deleted' AND t.purge_after <= now())) AS untracked
FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id`

type places struct {
	Schemas, Failed, Behind, Untracked int
	Missing, Failure                   string
}

// tenantSchemas looks whether every tenant's own schema has every migration, and whether
// Hasura knows its tables.
func (x *examination) tenantSchemas(ctx context.Context) (string, error) {
	found, err := pg.One[places](ctx, x.conn, placesAllTenantsSQL, nil)
	switch {
	case err != nil:
		return "", err
	case found.Missing != "":
		return "", &finding{fmt.Sprintf("the schema of %s is not there", found.Missing), "restore it from a backup, or delete the tenant"}
	case found.Failed > 0:
		return "", fmt.Errorf("a migration failed in %d of %d: %s", found.Failed, found.Schemas, found.Failure)
	case found.Behind > 0:
		return "", fmt.Errorf("%d of %d lack a migration", found.Behind, found.Schemas)
	case found.Untracked > 0:
		return "", &finding{fmt.Sprintf("Hasura does not know %d of %d, changed more than five minutes ago", found.Untracked, found.Schemas),
			"give the server HASURA_GRAPHQL_ENDPOINT and HASURA_GRAPHQL_ADMIN_SECRET, or run nself tenant migrate with them"}
	}
	return fmt.Sprintf("%d, each with every migration", found.Schemas), nil
}
