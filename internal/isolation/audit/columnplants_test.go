package audit

import (
	"slices"

	"github.com/nself/tenancy/internal/isolation"
)

var columnPlants = []plant{
	{rule: "table-undeclared", object: "crm.companies", change: func(c *crm) {
		c.list = slices.DeleteFunc(c.list, func(t isolation.Table) bool { return t.Name.String() == c.here("crm.companies") })
	}, also: []string{"metadata-table-undeclared: crm.companies"}},
	{rule: "table-missing", object: "crm.deals", sql: `INSERT INTO nself.tenant_tables VALUES ('crm', 'deals', '{"table": "crm.deals"}')`,
		change: func(c *crm) { c.list = nil }},
	{rule: "table-child-undeclared", object: "crm.notes", sql: `
		CREATE TABLE crm.notes (id uuid PRIMARY KEY, contact_tenant uuid, contact uuid, FOREIGN KEY (contact_tenant, contact) REFERENCES crm.contacts)`},
	{rule: "tenant-column-missing", object: "crm.tags", sql: `CREATE TABLE crm.tags (id uuid); ALTER TABLE crm.tags OWNER TO nself_owner;
		ALTER TABLE crm.tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
		change: func(c *crm) {
			c.list = append(c.list, isolation.Table{Name: isolation.Name{Schema: c.schema, Name: "tags"}})
		}},
	{rule: "tenant-column-nullable", object: "crm.contacts.tenant_id", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_pkey, ADD CONSTRAINT contacts_key UNIQUE (tenant_id, id);
		ALTER TABLE crm.contacts ALTER COLUMN tenant_id DROP NOT NULL`},
	{rule: "tenant-column-type", object: "crm.labels.tenant_id", sql: textTenantSQL, change: func(c *crm) {
		c.list = append(c.list, isolation.Table{Name: isolation.Name{Schema: c.schema, Name: "labels"}, Grants: c.declared("crm.contacts").Grants})
	}, also: []string{"tenant-foreign-key-missing: crm.labels.tenant_id"}},
	{rule: "tenant-column-mutable", object: "crm.contacts.tenant_id", sql: `DROP TRIGGER tenant_id_is_immutable ON crm.contacts`},
	{rule: "tenant-column-mutable", object: "crm.companies.tenant_id", sql: `ALTER TABLE crm.companies DISABLE TRIGGER tenant_id_is_immutable; ALTER TRIGGER tenant_id_is_immutable ON crm.companies RENAME TO off`},
	{rule: "tenant-column-mutable", object: "crm.contacts.tenant_id", sql: `CREATE OR REPLACE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.contacts FOR EACH ROW WHEN (false) EXECUTE FUNCTION nself.refuse_tenant_change()`},
	{rule: "tenant-column-mutable", object: "crm.contacts.tenant_id", sql: `CREATE OR REPLACE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.contacts FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id AND OLD.email IS NULL) EXECUTE FUNCTION nself.refuse_tenant_change()`},
	{rule: "tenant-column-mutable", object: "crm.contacts.tenant_id", sql: `CREATE OR REPLACE TRIGGER tenant_id_is_immutable AFTER UPDATE OF tenant_id ON crm.contacts FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change()`},
	{rule: "tenant-column-mutable", object: "crm.contacts.tenant_id", sql: `ALTER TABLE crm.contacts ENABLE REPLICA TRIGGER tenant_id_is_immutable`},
	{rule: "tenant-column-mutable", object: "crm.contacts.tenant_id", sql: `ALTER TABLE crm.contacts DISABLE TRIGGER tenant_id_is_immutable`},
	{rule: "tenant-foreign-key-missing", object: "crm.contacts.tenant_id", sql: `ALTER TABLE crm.contacts DROP CONSTRAINT contacts_tenant_id_fkey`},
	{rule: "tenant-foreign-key-action", object: "crm.contacts (contacts_tenant_id_fkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_tenant_id_fkey, ADD FOREIGN KEY (tenant_id) REFERENCES tenants.tenants ON DELETE SET NULL`},
	{rule: "tenant-foreign-key-action", object: "crm.contacts (contacts_tenant_id_fkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_tenant_id_fkey, ADD FOREIGN KEY (tenant_id) REFERENCES tenants.tenants ON DELETE CASCADE ON UPDATE SET NULL`},
	{rule: "tenant-index-missing", object: "crm.contacts.tenant_id", sql: `ALTER TABLE crm.contacts DROP CONSTRAINT contacts_pkey, ADD PRIMARY KEY (id, tenant_id)`},
	{rule: "tenant-index-missing", object: "crm.contacts.tenant_id", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_pkey, ADD PRIMARY KEY (id, tenant_id);
		CREATE INDEX ON crm.contacts (tenant_id) WHERE email IS NOT NULL`},
	{rule: "foreign-key-across-tenants", object: "crm.contacts (contacts_company_id_fkey)", sql: `
		ALTER TABLE crm.contacts ADD FOREIGN KEY (company_id) REFERENCES tenants.tenants`},
	{rule: "foreign-key-across-tenants", object: "crm.contacts (contacts_company_fkey)", sql: `
		CREATE UNIQUE INDEX companies_id_key ON crm.companies (id);
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_company_fkey, ADD CONSTRAINT contacts_company_fkey FOREIGN KEY (company_id) REFERENCES crm.companies (id) ON DELETE SET NULL`,
		change: func(c *crm) {
			c.declared("crm.companies").Global = map[string]string{"companies_id_key": "made for this test"}
			c.entry("crm.contacts").ObjectRelationships = nil
		}},
	{rule: "foreign-key-nulls-tenant", object: "crm.contacts (contacts_company_fkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_company_fkey, ADD CONSTRAINT contacts_company_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES crm.companies ON DELETE SET NULL`},
	{rule: "foreign-key-nulls-tenant", object: "crm.contacts (contacts_company_fkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_company_fkey, ADD CONSTRAINT contacts_company_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES crm.companies ON DELETE SET DEFAULT`},
	{rule: "foreign-key-nulls-tenant", object: "crm.contacts (contacts_company_fkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_company_fkey, ADD CONSTRAINT contacts_company_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES crm.companies ON UPDATE SET NULL`},
	{rule: "foreign-key-nulls-tenant", object: "crm.contacts (contacts_company_fkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_company_fkey, ADD CONSTRAINT contacts_company_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES crm.companies ON DELETE SET NULL (company_id) ON UPDATE SET DEFAULT`},
	{rule: "primary-key-across-tenants", object: "crm.contacts (contacts_pkey)", sql: `
		ALTER TABLE crm.contacts DROP CONSTRAINT contacts_pkey, ADD CONSTRAINT contacts_pkey PRIMARY KEY (id);
		CREATE INDEX ON crm.contacts (tenant_id)`},
	{rule: "unique-across-tenants", object: "crm.contacts (contacts_email_key)", sql: `ALTER TABLE crm.contacts ADD UNIQUE (email)`},
	{rule: "unique-across-tenants", object: "crm.contacts (by_email)", sql: `CREATE UNIQUE INDEX by_email ON crm.contacts (email)`},
	{rule: "unique-across-tenants", object: "crm.contacts (by_lower_email)", sql: `CREATE UNIQUE INDEX by_lower_email ON crm.contacts (lower(email))`},
	{rule: "exclusion-across-tenants", object: "crm.contacts (one_email)", sql: `ALTER TABLE crm.contacts ADD CONSTRAINT one_email EXCLUDE (email WITH =)`},
}

// A table of the customer's, behind the wall but for the type of its tenant column.
const textTenantSQL = `
	CREATE TABLE crm.labels (tenant_id text NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id));
	ALTER TABLE crm.labels OWNER TO nself_owner;
	ALTER TABLE crm.labels ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY owner_all ON crm.labels TO nself_owner USING (true) WITH CHECK (true);
	CREATE POLICY server_all ON crm.labels TO nself_server USING (true) WITH CHECK (true);
	CREATE POLICY active_tenant ON crm.labels TO nself_tenant, nself_app
	  USING (tenant_id = (SELECT tenants.active_tenant_id())::text) WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id())::text);
	CREATE POLICY hasura_session ON crm.labels TO nself_hasura
	  USING ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id())::text)
	  WITH CHECK ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id())::text);
	GRANT SELECT ON crm.labels TO nself_server, nself_tenant;
	GRANT SELECT, INSERT, UPDATE, DELETE ON crm.labels TO nself_app, nself_hasura;
	CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE ON crm.labels
	  FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION nself.refuse_tenant_change();`
