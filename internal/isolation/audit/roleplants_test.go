package audit

var rolePlants = []plant{
	{rule: "role-superuser", object: "nself_server", sql: `ALTER ROLE nself_server SUPERUSER`},
	{rule: "role-bypassrls", object: "nself_hasura", sql: `ALTER ROLE nself_hasura BYPASSRLS`},
	{rule: "role-bypassrls", object: "auditor", sql: `CREATE ROLE auditor BYPASSRLS; GRANT SELECT ON crm.contacts TO auditor`,
		also: []string{"grant-undeclared: crm.contacts (auditor select)"}},
	{rule: "role-createrole", object: "nself_server", sql: `ALTER ROLE nself_server CREATEROLE`},
	{rule: "role-replication", object: "nself_app", sql: `ALTER ROLE nself_app REPLICATION`},
	{rule: "role-membership-upward", object: "nself_app → boss", sql: `CREATE ROLE middle; CREATE ROLE boss SUPERUSER; GRANT boss TO middle; GRANT middle TO nself_app`},
	{rule: "role-membership-upward", object: "nself_app → nself_server", sql: `GRANT nself_server TO nself_app`,
		also: []string{"role-membership-upward: nself_app → nself_tenant"}},
	{rule: "role-predefined", object: "nself_app → pg_read_all_data", sql: `GRANT pg_read_all_data TO nself_app`},
	{rule: "login-becomes-owner", object: "deploy → nself_owner", sql: `CREATE ROLE deploy LOGIN; GRANT nself_owner TO deploy`},
	{rule: "table-owned-elsewhere", object: "crm.contacts", sql: `ALTER TABLE crm.contacts OWNER TO postgres`},
	{rule: "schema-owned-elsewhere", object: "schema crm", sql: `ALTER SCHEMA crm OWNER TO nself_hasura`},
	{rule: "grant-truncate", object: "crm.contacts (nself_app truncate)", sql: `GRANT TRUNCATE ON crm.contacts TO nself_app`},
	{rule: "grant-references", object: "crm.contacts (nself_app references)", sql: `GRANT REFERENCES ON crm.contacts TO nself_app`},
	{rule: "grant-references", object: "crm.contacts.id (nself_app references)", sql: `GRANT REFERENCES (id) ON crm.contacts TO nself_app`},
	{rule: "grant-trigger", object: "crm.contacts (nself_hasura trigger)", sql: `GRANT TRIGGER ON crm.contacts TO nself_hasura`},
	{rule: "grant-public", object: "crm.contacts (PUBLIC select)", sql: `GRANT SELECT ON crm.contacts TO PUBLIC`},
	{rule: "grant-undeclared", object: "crm.contacts (nself_tenant delete)", sql: `GRANT DELETE ON crm.contacts TO nself_tenant`},
	{rule: "grant-undeclared", object: "crm.contacts.email (nself_tenant update)", sql: `GRANT UPDATE (email) ON crm.contacts TO nself_tenant`},
	{rule: "grant-option", object: "crm.contacts (nself_app select)", sql: `GRANT SELECT ON crm.contacts TO nself_app WITH GRANT OPTION`},
	{rule: "schema-create-public", object: "schema public", sql: `GRANT CREATE ON SCHEMA public TO PUBLIC`},
	{rule: "schema-create-role", object: "schema crm (nself_app)", sql: `GRANT CREATE ON SCHEMA crm TO nself_app`},
	{rule: "database-create-public", object: "database %database%", sql: `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO PUBLIC', current_database()); END $$`},
	{rule: "database-temp-open", object: "database %database% (PUBLIC temporary)", sql: `DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$`},
	{rule: "database-temp-open", object: "database %database% (nself_app temporary)", sql: `DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO nself_app', current_database()); END $$`},
	{rule: "default-privileges-open", object: "default privileges of nself_owner in schema crm (nself_app select)", sql: `
		ALTER DEFAULT PRIVILEGES FOR ROLE nself_owner IN SCHEMA crm GRANT SELECT ON TABLES TO nself_app`},
	{rule: "default-privileges-open", object: "default privileges of nself_owner in every schema (PUBLIC select)", sql: `
		ALTER DEFAULT PRIVILEGES FOR ROLE nself_owner GRANT SELECT ON TABLES TO PUBLIC`},
	{rule: "parameter-granted", object: "parameter session_replication_role (nself_app)", sql: `GRANT SET ON PARAMETER session_replication_role TO nself_app`},
	{rule: "setting-session-fixed", object: "role nself_app (hasura.user)", sql: `ALTER ROLE nself_app SET "hasura.user" = '{"x-hasura-role":"admin"}'`},
	{rule: "setting-session-fixed", object: "database %database% (hasura.user)", sql: `
		DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "hasura.user" = %L', current_database(), '{"x-hasura-role":"admin"}'); END $$`},
	{rule: "setting-row-security", object: "role nself_app (row_security)", sql: `ALTER ROLE nself_app SET row_security = off`},
	{rule: "setting-triggers-off", object: "role nself_app in database %database% (session_replication_role)", sql: `
		DO $$ BEGIN EXECUTE format('ALTER ROLE nself_app IN DATABASE %I SET session_replication_role = replica', current_database()); END $$`},
	{rule: "setting-role", object: "role nself_app (role)", sql: `ALTER ROLE nself_app SET role = 'nself_owner'`},
}
