package audit

import "testing"

// definerSQL is a function for nself_app, with the rights of the owner.
func definerSQL(body string) string {
	return `CREATE FUNCTION crm.all_emails(t text) RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN ` + body + ` END $$;
		ALTER FUNCTION crm.all_emails OWNER TO nself_owner; REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.all_emails TO nself_app`
}

// triggerSQL is a trigger of the contacts.
func triggerSQL(body string) string {
	return `CREATE FUNCTION crm.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + body + `; RETURN NEW; END $$;
		ALTER FUNCTION crm.t OWNER TO nself_owner; CREATE TRIGGER t AFTER INSERT ON crm.contacts FOR EACH ROW EXECUTE FUNCTION crm.t();`
}

var aroundPlants = []plant{
	{rule: "function-definer-widened", object: "crm.all_emails(t text)",
		sql: definerSQL(`RETURN QUERY SELECT email FROM crm.contacts WHERE tenant_id = (SELECT tenants.active_tenant_id()) OR email = t;`)},
	{rule: "function-definer-unread", object: "crm.run(sent text)", sql: `
		CREATE FUNCTION crm.dblink(a text, b text) RETURNS SETOF text LANGUAGE sql AS $$ SELECT a $$;
		CREATE FUNCTION crm.run(sent text) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT * FROM crm.dblink('', sent) $$;
		REVOKE ALL ON FUNCTION crm.run FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.run TO nself_app`},
	{rule: "login-becomes-owner", object: "svc → nself_hasura", sql: `CREATE ROLE svc LOGIN IN ROLE nself_hasura`},
	{rule: "trigger-notifies", object: "crm.contacts (trigger t)", sql: triggerSQL(`PERFORM pg_notify('c', row_to_json(NEW)::text)`)},
	{rule: "trigger-notifies", object: "crm.contacts (trigger t)", sql: triggerSQL(`DECLARE told text := to_jsonb(NEW); BEGIN PERFORM pg_notify('c', told); END`)},
	{rule: "trigger-copies-out", object: "crm.contacts (trigger t)", sql: triggerSQL(`INSERT INTO crm.kept SELECT NEW.email`) + `
		CREATE TABLE crm.kept (email text); GRANT SELECT ON crm.kept TO nself_app`},
	{rule: "user-mapping-upward", object: "user mapping on mapped (nself_app)", sql: `
		CREATE FOREIGN DATA WRAPPER nowhere_1; CREATE SERVER mapped FOREIGN DATA WRAPPER nowhere_1;
		CREATE USER MAPPING FOR nself_app SERVER mapped OPTIONS ("user" 'nself_owner')`},
	{rule: "foreign-table-open", object: "crm.remote", sql: `
		CREATE FOREIGN DATA WRAPPER nowhere_2; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere_2;
		CREATE FOREIGN TABLE crm.remote (email text) SERVER elsewhere OPTIONS (schema_name 'crm', table_name 'contacts'); GRANT SELECT ON crm.remote TO nself_app`},
	{rule: "function-leakproof", object: "crm.leak(x text)", sql: `CREATE FUNCTION crm.leak(x text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS $$ BEGIN RAISE NOTICE '%', x; RETURN true; END $$`},
	{rule: "builtin-function-granted", object: "pg_read_file(text) (nself_app)", sql: `GRANT EXECUTE ON FUNCTION pg_read_file(text) TO nself_app`},
	{rule: "builtin-function-granted", object: "lo_import(text) (PUBLIC)", sql: `GRANT EXECUTE ON FUNCTION lo_import(text) TO PUBLIC`},
	{rule: "context-function-changed", object: "function tenants.active_tenant_id()", sql: `ALTER FUNCTION tenants.active_tenant_id() COST 7; ALTER FUNCTION tenants.active_tenant_id() VOLATILE`},
	{rule: "context-function-changed", object: "function tenants.hasura_is_unbound()", sql: `
		CREATE OR REPLACE FUNCTION tenants.hasura_is_unbound() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT current_setting(''hasura.user'', true) IS NULL OR true'`},
	{rule: "list-writable", object: "nself.tenant_tables (nself_app update)", sql: `GRANT UPDATE ON nself.tenant_tables TO nself_app`},
	{rule: "server-table-open", object: "nself.river_job (nself_tenant select)", sql: `GRANT SELECT ON nself.river_job TO nself_tenant`},
	{rule: "server-table-open", object: "nself.river_job.args (nself_hasura select)", sql: `GRANT SELECT (args) ON nself.river_job TO nself_hasura`},
	{rule: "server-table-open", object: "auth.rate_limits (PUBLIC select)", sql: `GRANT SELECT ON auth.rate_limits TO PUBLIC`},
	{rule: "server-table-open", object: "auth.signing_keys (nself_app select)", sql: `GRANT SELECT ON auth.signing_keys TO nself_app`},
	{rule: "server-table-open", object: "auth.rate_limits", sql: `
		GRANT CREATE ON SCHEMA auth TO nself_app; ALTER TABLE auth.rate_limits OWNER TO nself_app; REVOKE CREATE ON SCHEMA auth FROM nself_app`},
	{rule: "view-not-invoker", object: "crm.mine", sql: `
		CREATE VIEW crm.mine AS SELECT email FROM crm.contacts WHERE tenant_id = (SELECT tenants.active_tenant_id())`},
	{rule: "view-not-invoker", object: "crm.all", sql: `
		CREATE MATERIALIZED VIEW crm.counted AS SELECT tenant_id, count(*) AS n FROM crm.contacts GROUP BY 1;
		CREATE VIEW crm.all WITH (security_barrier = true) AS SELECT n FROM crm.counted c WHERE c.tenant_id = (SELECT tenants.active_tenant_id()) OR n > 1`,
		also: []string{"materialized-view-over-tenants: crm.counted"}},
	{rule: "foreign-key-across-tenants", object: "crm.contacts (other)", sql: `
		ALTER TABLE crm.contacts ADD other_tenant uuid, ADD CONSTRAINT other FOREIGN KEY (other_tenant, company_id) REFERENCES crm.companies (tenant_id, id)`},
	{rule: "policy-unvalidated-context", object: "crm.contacts (policy a)", sql: `
		DROP POLICY active_tenant ON crm.contacts;
		CREATE POLICY a ON crm.contacts TO nself_app, nself_tenant USING (tenant_id = (SELECT tenants.current_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.current_tenant_id()))`},
}

func TestAnUndeclaredTableIsProtectedWholeOrNotAtAll(t *testing.T) {
	c := newCRM(t)
	execute(t, c.tx, `CREATE TABLE crm.bare (tenant_id uuid, id int UNIQUE, contact uuid); GRANT SELECT, TRUNCATE ON crm.bare TO nself_app`)
	seen := map[string]bool{}
	for _, f := range c.audit(t) {
		if f.Fix.Text != "nself tenant protect crm.bare" {
			t.Errorf("%s %s: %s", f.Rule, f.Object, f.Fix.Text)
		}
		seen[f.Rule] = true
	}
	if !seen["rls-disabled"] || !seen["table-undeclared"] || !seen["tenant-column-nullable"] || !seen["grant-truncate"] {
		t.Errorf("found %v", seen)
	}
}

func TestATriggerThatNotifiesOfIdsIsSound(t *testing.T) {
	c := newCRM(t)
	execute(t, c.tx, triggerSQL(`PERFORM pg_notify('c', NEW.tenant_id || ' ' || NEW.id)`))
	if found := told(c.audit(t)); found != "" {
		t.Error(found)
	}
}
