package prove

// placesSQL gives a tenant a row in each table of places that Hasura shows. It takes a
// superuser: the server makes schemas by its function alone.
var placesSQL = []string{
	`INSERT INTO nself.tenant_migrations (version, name, body, checksum) SELECT 1, 'contacts', 'SELECT 1', repeat('0', 64) WHERE $1::uuid IS NOT NULL
	 ON CONFLICT DO NOTHING`,
	`INSERT INTO tenants.tenant_schemas (tenant_id, schema_name) SELECT t, 'place_' || left(t::text, 8) FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO tenants.tenant_schema_migrations (tenant_id, version, took_ms) VALUES ($1, 1, 7)`,
	`INSERT INTO tenants.tenant_resources (tenant_id, kind, name) SELECT t, 'redis', 'tenant_' || t FROM (SELECT $1::uuid AS t) n`,
	`INSERT INTO tenants.tenant_budgets (tenant_id, connections) VALUES ($1, 5)`,
}
