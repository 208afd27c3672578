package audit

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
)

// ownSchemaSQL makes a tenant with a schema of its own: crm_ta1b2c3d4 where the schema of
// the other tables is crm.
const ownSchemaSQL = `
	INSERT INTO nself.tenant_migrations (version, name, body, checksum) VALUES (1, 'notes',
	  'CREATE TABLE notes (id serial PRIMARY KEY, body text); CREATE TABLE odd ("Case" numeric(10,2)[], "it''''s;" text, at timestamp(3) with time zone, v character varying(9), i interval day to second, r regrole); CREATE VIEW bodies AS SELECT body FROM notes;
	   CREATE TABLE parts (id integer) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts DEFAULT', repeat('0', 64)) ON CONFLICT DO NOTHING;
	WITH u AS (INSERT INTO auth.users (email) VALUES ('crm@example.com') RETURNING id)
	INSERT INTO tenants.tenants (id, slug, name, strategy, plan, owner_user_id)
	  SELECT ('a1b2c3d4' || substr(md5('crm'), 9))::uuid, 'own-' || left(md5('crm'), 8), 'Own', 'schema', 'free', id FROM u;
	INSERT INTO tenants.tenant_members (tenant_id, user_id, role) SELECT id, owner_user_id, 'owner' FROM tenants.tenants WHERE slug = 'own-' || left(md5('crm'), 8);
	SELECT tenants.create_tenant_schema(('a1b2c3d4' || substr(md5('crm'), 9))::uuid, 'crm_t');
	SELECT tenants.build_tenant_reads();
`

const (
	ownSchema = "crm_ta1b2c3d4"
	ownNotes  = ownSchema + ".notes"
)

// inOwn is a fault in the tenant's own schema.
func inOwn(sql string) string { return ownSchemaSQL + strings.ReplaceAll(sql, "HERE", ownSchema) }

// spoiledRead puts something else into the function that reads notes under one name.
func spoiledRead(was, is string) string {
	return `UPDATE pg_proc SET prosrc = replace(prosrc, '` + was + `', '` + is + `') WHERE proname = 'notes_of_tenant';`
}

// trackedOwn tracks the tenant's schema and the reads, as they should be, and then makes
// a fault of it.
func trackedOwn(fault func(notes, reads *metadata.Table, read *metadata.Function)) func(*crm) {
	return func(c *crm) {
		tables, err := isolation.SchemaTables(context.Background(), c.tx, []string{c.here(ownSchema)})
		if err != nil {
			panic(err)
		}
		reads, err := isolation.ReadTracked(context.Background(), c.tx, func(string) bool { return false })
		if err != nil {
			panic(err)
		}
		own := isolation.TrackedSchemas(tables)
		fault(&own[0], &reads.Tables[0], &reads.Functions[0])
		c.metadata.Tables = append(append(c.metadata.Tables, own...), reads.Tables...)
		c.metadata.Functions = append(c.metadata.Functions, reads.Functions...)
	}
}

var schemaPlants = []plant{
	{rule: "schema-missing", object: ownSchema, sql: inOwn(`DROP SCHEMA HERE CASCADE`)},
	{rule: "schema-wall-off", object: ownNotes, sql: inOwn(`ALTER TABLE HERE.notes DISABLE ROW LEVEL SECURITY`)},
	{rule: "schema-wall-off", object: ownSchema + ".part", sql: inOwn(`ALTER TABLE HERE.part DISABLE ROW LEVEL SECURITY`)},
	{rule: "schema-policy", object: ownNotes, sql: inOwn(`ALTER POLICY active_tenant ON HERE.notes USING ((SELECT tenants.active_tenant_id()) = gen_random_uuid())`)},
	{rule: "schema-policy", object: ownNotes, sql: inOwn(`ALTER POLICY hasura_session ON HERE.notes USING (true)`)},
	{rule: "schema-policy", object: ownNotes, sql: inOwn(`CREATE POLICY more ON HERE.notes TO nself_app USING (true)`)},
	{rule: "schema-grant", object: ownNotes, sql: inOwn(`GRANT TRUNCATE ON HERE.notes TO nself_app`)},
	{rule: "schema-grant", object: ownNotes, sql: inOwn(`GRANT UPDATE (body) ON HERE.notes TO nself_tenant`)},
	{rule: "schema-grant", object: ownSchema + ".notes_id_seq", sql: inOwn(`GRANT SELECT ON SEQUENCE HERE.notes_id_seq TO nself_tenant`)},
	{rule: "schema-past-the-wall", object: ownSchema + ".bodies", sql: inOwn(`ALTER VIEW HERE.bodies SET (security_invoker = false)`)},
	{rule: "schema-past-the-wall", object: ownSchema + ".copied", sql: inOwn(`CREATE MATERIALIZED VIEW HERE.copied AS SELECT body FROM HERE.notes; ALTER MATERIALIZED VIEW HERE.copied OWNER TO nself_owner`)},
	{rule: "schema-past-the-wall", object: ownSchema + ".f()", sql: inOwn(`CREATE FUNCTION HERE.f() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN 1;
		REVOKE ALL ON FUNCTION HERE.f() FROM PUBLIC; ALTER FUNCTION HERE.f() OWNER TO nself_owner`)},
	{rule: "view-not-invoker", object: "crm.bodies", sql: inOwn(`CREATE VIEW crm.bodies AS SELECT body FROM HERE.notes`)},
	{rule: "view-not-invoker", object: "crm.outer_bodies", sql: inOwn(`CREATE VIEW crm.outer_bodies AS SELECT body FROM HERE.bodies`)},
	{rule: "materialized-view-open", object: "crm.copied", sql: inOwn(`CREATE MATERIALIZED VIEW crm.copied AS SELECT body FROM HERE.notes; GRANT SELECT ON crm.copied TO nself_app`),
		leaves: []string{"materialized-view-over-tenants: crm.copied"}},
	{rule: "function-definer-unbound", object: "crm.bodies()", sql: inOwn(`
		CREATE FUNCTION crm.bodies() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT body FROM HERE.notes $$;
		ALTER FUNCTION crm.bodies OWNER TO nself_owner; REVOKE ALL ON FUNCTION crm.bodies FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.bodies TO nself_app`)},
	{rule: "function-definer-above", object: "crm.bodies()", sql: inOwn(`
		CREATE FUNCTION crm.bodies() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
		  $$ BEGIN RETURN QUERY SELECT body FROM HERE.notes; END $$; REVOKE ALL ON FUNCTION crm.bodies FROM PUBLIC`)},
	{rule: "schema-reference", object: ownSchema + ".links (links_plan_fkey)", sql: inOwn(`CREATE TABLE HERE.links (id integer PRIMARY KEY, plan text, CONSTRAINT links_plan_fkey FOREIGN KEY (plan) REFERENCES billing.plans);
		SELECT nself.wall_tenant_table('HERE.links', ('a1b2c3d4' || substr(md5('crm'), 9))::uuid)`)},
	{rule: "reads-function", object: "tenant_reads.notes_of_tenant(hasura_session json)", sql: inOwn(`CREATE OR REPLACE FUNCTION tenant_reads.notes_of_tenant(hasura_session json) RETURNS SETOF tenant_reads.notes
		LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS 'SELECT id, body FROM HERE.notes'`)},
	{rule: "reads-function", object: "tenant_reads.notes_of_tenant(hasura_session json)", sql: ownSchemaSQL + spoiledRead(`::text FROM %I`, `::text, (SELECT secret FROM crm.deals) FROM %I`)},
	{rule: "reads-function", object: "tenant_reads.notes_of_tenant(hasura_session json)", sql: ownSchemaSQL + spoiledRead(`::text FROM %I`, `::text FROM crm.notes UNION SELECT id, body FROM %I`)},
	{rule: "reads-function", object: "tenant_reads.notes_of_tenant(hasura_session json)", sql: ownSchemaSQL + spoiledRead(`%I.notes`, `%I.notes; SELECT 1`)},
	{rule: "metadata-schema-open", object: ownNotes + " (tenant_owner select)", sql: ownSchemaSQL, change: trackedOwn(func(notes, _ *metadata.Table, _ *metadata.Function) {
		notes.SelectPermissions[0].Permission.Filter = guardOf("owner")
	})},
	{rule: "metadata-schema-open", object: ownNotes + " (tenant_guest select)", sql: ownSchemaSQL, change: trackedOwn(func(notes, _ *metadata.Table, _ *metadata.Function) {
		notes.SelectPermissions[3].Permission.Filter = notes.SelectPermissions[0].Permission.Filter
	})},
	{rule: "metadata-schema-open", object: ownNotes + " (tenant_admin update)", sql: ownSchemaSQL, change: trackedOwn(func(notes, _ *metadata.Table, _ *metadata.Function) {
		notes.UpdatePermissions[1].Permission.Check = nil
	})},
	{rule: "metadata-schema-open", object: ownNotes + " (user select)", sql: ownSchemaSQL, change: trackedOwn(func(notes, _ *metadata.Table, _ *metadata.Function) {
		notes.SelectPermissions[0].Role = "user"
	})},
	{rule: "metadata-reads-open", object: "tenant_reads.notes (tenant_owner select)", sql: ownSchemaSQL, change: trackedOwn(func(_, reads *metadata.Table, _ *metadata.Function) {
		reads.SelectPermissions[0].Permission.Filter = nil
	})},
	{rule: "metadata-reads-open", object: "function tenant_reads.notes_of_tenant", sql: ownSchemaSQL, change: trackedOwn(func(_, _ *metadata.Table, read *metadata.Function) {
		read.Configuration.SessionArgument = ""
	})},
}

func TestATenantsSchemaAsItIsMadeIsClean(t *testing.T) {
	c := newCRM(t)
	execute(t, c.tx, ownSchemaSQL)
	trackedOwn(func(_, _ *metadata.Table, _ *metadata.Function) {})(c)
	if found := c.audit(t); len(found) > 0 {
		t.Error(told(found))
	}
	if !slices.ContainsFunc(c.metadata.Tables, func(entry metadata.Table) bool { return entry.Table.String() == ownNotes }) {
		t.Error("the schema was not tracked")
	}
}
