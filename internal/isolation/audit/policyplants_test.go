package audit

// What a policy of the customer's contacts is called in findings.
const activeTenantPolicy = "crm.contacts (policy active_tenant)"

var policyPlants = []plant{
	{rule: "rls-disabled", object: "crm.contacts", sql: `ALTER TABLE crm.contacts DISABLE ROW LEVEL SECURITY`},
	{rule: "rls-not-forced", object: "crm.contacts", sql: `ALTER TABLE crm.contacts NO FORCE ROW LEVEL SECURITY`},
	{rule: "policy-missing", object: "crm.contacts (nself_app delete)", sql: `
		DROP POLICY active_tenant ON crm.contacts;
		CREATE POLICY s ON crm.contacts FOR SELECT TO nself_app, nself_tenant USING (tenant_id = (SELECT tenants.active_tenant_id()));
		CREATE POLICY i ON crm.contacts FOR INSERT TO nself_app WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id()));
		CREATE POLICY u ON crm.contacts FOR UPDATE TO nself_app USING (tenant_id = (SELECT tenants.active_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.active_tenant_id()))`},
	{rule: "policy-missing", object: "crm.contacts (nself_server select)", sql: `DROP POLICY server_all ON crm.contacts`},
	{rule: "policy-without-check", object: activeTenantPolicy, sql: `
		DROP POLICY active_tenant ON crm.contacts;
		CREATE POLICY active_tenant ON crm.contacts TO nself_app, nself_tenant USING (tenant_id = (SELECT tenants.active_tenant_id()))`},
	{rule: "policy-public", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts TO PUBLIC`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (true)`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id IS NULL OR tenant_id = (SELECT tenants.active_tenant_id()))`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING ((SELECT tenants.active_tenant_id()) IS NOT NULL)`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (NOT tenant_id = (SELECT tenants.active_tenant_id()))`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = (SELECT t.id FROM tenants.tenants t WHERE t.id = tenants.active_tenant_id()) OR id IS NOT NULL)`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = COALESCE((SELECT tenants.active_tenant_id()), tenant_id))`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING
		(tenant_id = CASE WHEN (SELECT tenants.active_tenant_id()) IS NULL THEN tenant_id ELSE (SELECT tenants.active_tenant_id()) END)`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = ANY (ARRAY[(SELECT tenants.active_tenant_id()), tenant_id]))`},
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id::text = COALESCE((SELECT tenants.active_tenant_id())::text, tenant_id::text))`},
	{rule: "policy-open", object: "auth.users (policy active_tenant)", sql: `ALTER POLICY active_tenant ON auth.users USING
		(EXISTS (SELECT FROM tenants.tenant_members m WHERE m.tenant_id = (SELECT tenants.active_tenant_id())))`},
	{rule: "policy-open", object: "crm.old_contacts (policy p)", sql: `
		CREATE TABLE crm.old_contacts () INHERITS (crm.contacts); ALTER TABLE crm.old_contacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		CREATE POLICY p ON crm.old_contacts FOR SELECT TO nself_app USING (true); GRANT SELECT ON crm.old_contacts TO nself_app`},
	{rule: "policy-open", object: "crm.events_2026 (policy p)", sql: partitionedSQL + `
		ALTER TABLE crm.events_2026 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		CREATE POLICY p ON crm.events_2026 FOR SELECT TO nself_app USING (true)`, change: declareEvents},
	// What Hasura needs while it sends no session opens the table to anyone else.
	{rule: "policy-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()))`},
	{rule: "policy-open", object: "crm.contacts (policy more)", sql: `CREATE POLICY more ON crm.contacts FOR SELECT TO nself_app USING (email = 'a@example.com')`},
	{rule: "policy-check-open", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts WITH CHECK (true)`},
	{rule: "policy-unvalidated-context", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = (SELECT tenants.current_tenant_id()))`},
	{rule: "policy-unvalidated-context", object: activeTenantPolicy, sql: `
		CREATE FUNCTION public.my_tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT (nullif(current_setting('hasura.user', true), '')::jsonb ->> 'x-hasura-tenant-id')::uuid $$;
		SET LOCAL search_path = public;
		ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = (SELECT my_tenant()))`},
	{rule: "policy-context-per-row", object: activeTenantPolicy, sql: `ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = tenants.active_tenant_id())`},
	{rule: "policy-recursion", object: activeTenantPolicy, sql: `
		CREATE FUNCTION crm.mine(tenant uuid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (SELECT FROM crm.contacts c WHERE c.tenant_id = tenant); END $$;
		ALTER FUNCTION crm.mine OWNER TO nself_owner;
		ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = (SELECT tenants.active_tenant_id()) AND crm.mine(tenant_id))`,
		leaves: []string{"function-definer-unbound: crm.mine(tenant uuid)"}},
	{rule: "policy-recursion", object: "crm.contacts (policy narrow)", sql: `
		CREATE POLICY narrow ON crm.contacts AS RESTRICTIVE FOR SELECT TO nself_app USING (EXISTS (SELECT FROM crm.contacts c WHERE c.tenant_id = contacts.tenant_id))`},
	{rule: "policy-other-setting", object: activeTenantPolicy, sql: `
		ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = (SELECT tenants.active_tenant_id()) AND email = (SELECT current_setting('app.email', true)))`},
	{rule: "policy-function-untrusted", object: activeTenantPolicy, sql: `
		CREATE FUNCTION crm.allowed() RETURNS boolean LANGUAGE sql STABLE RETURN true;
		GRANT CREATE ON SCHEMA crm TO nself_app;
		ALTER FUNCTION crm.allowed OWNER TO nself_app;
		REVOKE CREATE ON SCHEMA crm FROM nself_app;
		ALTER POLICY active_tenant ON crm.contacts USING (tenant_id = (SELECT tenants.active_tenant_id()) AND (SELECT crm.allowed()))`},
}
