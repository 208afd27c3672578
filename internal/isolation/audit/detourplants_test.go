package audit

import "github.com/nself/tenancy/internal/isolation"

var detourPlants = []plant{
	{rule: "view-not-invoker", object: "crm.emails", sql: `CREATE VIEW crm.emails AS SELECT email FROM crm.contacts`},
	{rule: "view-not-invoker", object: "crm.outer_emails", sql: `
		CREATE VIEW crm.emails WITH (security_invoker = true) AS SELECT email FROM crm.contacts;
		CREATE VIEW crm.outer_emails AS SELECT * FROM crm.emails`},
	{rule: "materialized-view-open", object: "crm.counted", sql: `
		CREATE MATERIALIZED VIEW crm.counted AS SELECT tenant_id, count(*) FROM crm.contacts GROUP BY 1; GRANT SELECT ON crm.counted TO nself_app`,
		leaves: []string{"materialized-view-over-tenants: crm.counted"}},
	{rule: "materialized-view-over-tenants", object: "crm.counted", sql: `
		CREATE MATERIALIZED VIEW crm.counted AS SELECT tenant_id, count(*) FROM crm.contacts GROUP BY 1`},
	{rule: "function-search-path", object: "crm.now_()", sql: `
		CREATE FUNCTION crm.now_() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER RETURN now(); REVOKE ALL ON FUNCTION crm.now_ FROM PUBLIC`},
	{rule: "function-search-path", object: "crm.now_()", sql: `
		CREATE FUNCTION crm.now_() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER SET search_path = "$user", public RETURN now(); REVOKE ALL ON FUNCTION crm.now_ FROM PUBLIC`},
	{rule: "function-search-path-temp", object: "crm.now_()", sql: `
		CREATE FUNCTION crm.now_() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, crm RETURN now(); REVOKE ALL ON FUNCTION crm.now_ FROM PUBLIC`},
	{rule: "function-public-definer", object: "crm.now_()", sql: `
		CREATE FUNCTION crm.now_() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp RETURN now()`},
	{rule: "function-definer-above", object: "crm.all_emails()", sql: `
		CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
		  $$ BEGIN RETURN QUERY SELECT c.email FROM "crm".contacts c; END $$;
		REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC`},
	{rule: "function-definer-unbound", object: "crm.all_emails()", sql: `
		CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = crm, pg_temp AS $$ SELECT email FROM contacts $$;
		ALTER FUNCTION crm.all_emails OWNER TO nself_owner;
		REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.all_emails TO nself_app`},
	{rule: "function-definer-unbound", object: "crm.all_emails()", sql: `
		CREATE VIEW crm.emails WITH (security_invoker = true) AS SELECT email FROM crm.contacts; ALTER VIEW crm.emails OWNER TO nself_owner;
		CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT email FROM crm.emails -- current_setting
		$$;
		ALTER FUNCTION crm.all_emails OWNER TO nself_owner; REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.all_emails TO nself_app`},
	{rule: "function-definer-stray", object: "crm.all_emails()", sql: `
		CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
		  $$ BEGIN PERFORM tenants.active_tenant_id(); RETURN QUERY SELECT email FROM crm.contacts; END $$;
		ALTER FUNCTION crm.all_emails OWNER TO nself_owner; REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.all_emails TO nself_app`},
	{rule: "function-definer-stray", object: "crm.all_emails()", sql: `
		CREATE FUNCTION crm.emails_of() RETURNS SETOF text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN QUERY SELECT email FROM crm.contacts; END $$;
		CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = crm, tenants, pg_temp AS
		  $$ DECLARE tenant uuid := active_tenant_id(); BEGIN
		     PERFORM FROM companies WHERE tenant_id = tenant; RETURN QUERY SELECT * FROM emails_of(); END $$;
		ALTER FUNCTION crm.all_emails OWNER TO nself_owner; REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.all_emails TO nself_app`},
	{rule: "function-definer-unread", object: "crm.all_emails()", sql: `
		CREATE FUNCTION crm.all_emails() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
		  $$ BEGIN RETURN QUERY EXECUTE 'SELECT email FROM crm.contacts'; END $$;
		ALTER FUNCTION crm.all_emails OWNER TO nself_owner; REVOKE ALL ON FUNCTION crm.all_emails FROM PUBLIC; GRANT EXECUTE ON FUNCTION crm.all_emails TO nself_app`},
	{rule: "rule-on-tenant-table", object: "crm.contacts (rule also)", sql: `
		CREATE RULE also AS ON INSERT TO crm.contacts DO ALSO UPDATE crm.companies SET name = name`},
	{rule: "trigger-function-untrusted", object: "crm.contacts (trigger t)", sql: `
		CREATE FUNCTION crm.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
		CREATE TRIGGER t BEFORE INSERT ON crm.contacts FOR EACH ROW EXECUTE FUNCTION crm.t();
		GRANT CREATE ON SCHEMA crm TO nself_app; ALTER FUNCTION crm.t OWNER TO nself_app; REVOKE CREATE ON SCHEMA crm FROM nself_app`},
	{rule: "trigger-reads-on-cascade", object: "crm.contacts (trigger t)", sql: `
		CREATE FUNCTION crm.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM crm.companies WHERE name = OLD.email; RETURN NEW; END $$;
		ALTER FUNCTION crm.t OWNER TO nself_owner;
		CREATE TRIGGER t AFTER UPDATE ON crm.contacts FOR EACH ROW EXECUTE FUNCTION crm.t()`},
	{rule: "event-trigger-untrusted", object: "event trigger e", sql: `
		CREATE FUNCTION crm.e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
		CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION crm.e();
		GRANT CREATE ON SCHEMA crm TO nself_app; ALTER FUNCTION crm.e OWNER TO nself_app; REVOKE CREATE ON SCHEMA crm FROM nself_app`},
	{rule: "partition-unprotected", object: "crm.events_2026", sql: partitionedSQL, change: declareEvents},
	{rule: "inheritance-child-unprotected", object: "crm.old_contacts", sql: `
		CREATE TABLE crm.old_contacts () INHERITS (crm.contacts); GRANT SELECT ON crm.old_contacts TO nself_app`},
	{rule: "inheritance-parent-open", object: "crm.contacts", sql: `
		CREATE TABLE crm.everything (email text); ALTER TABLE crm.contacts INHERIT crm.everything`},
	{rule: "grant-truncate", object: "crm.old_contacts (nself_app truncate)", sql: `
		CREATE TABLE crm.old_contacts () INHERITS (crm.contacts); ALTER TABLE crm.old_contacts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		GRANT TRUNCATE ON crm.old_contacts TO nself_app`},
	{rule: "foreign-table-open", object: "crm.remote", sql: `
		CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
		CREATE FOREIGN TABLE crm.remote (tenant_id uuid, email text) SERVER elsewhere; GRANT SELECT ON crm.remote TO nself_app`},
	{rule: "sequence-shared", object: "crm.contacts.number", sql: `
		ALTER TABLE crm.contacts ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY`},
	{rule: "sequence-readable", object: "crm.contacts_number_seq", sql: `
		ALTER TABLE crm.contacts ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY; GRANT SELECT ON SEQUENCE crm.contacts_number_seq TO nself_app`,
		also: []string{"sequence-shared: crm.contacts.number"}},
	{rule: "publication-carries-tenants", object: "publication p", sql: `CREATE PUBLICATION p FOR TABLE crm.contacts, billing.plans`},
	{rule: "publication-carries-tenants", object: "publication p", sql: `CREATE PUBLICATION p FOR ALL TABLES`},
	{rule: "event-log-readable", object: "hdb_catalog.event_log", sql: `
		CREATE SCHEMA hdb_catalog AUTHORIZATION nself_hasura; CREATE TABLE hdb_catalog.event_log (id text, payload jsonb); ALTER TABLE hdb_catalog.event_log OWNER TO nself_hasura;
		GRANT INSERT ON hdb_catalog.event_log TO nself_server; GRANT INSERT, SELECT ON hdb_catalog.event_log TO nself_app`},
}

func declareEvents(c *crm) {
	c.list = append(c.list, isolation.Table{Name: isolation.Name{Schema: c.schema, Name: "events"}, Grants: isolation.Grants{"nself_app": {"select"}}})
}

const partitionedSQL = `
	CREATE TABLE crm.events (tenant_id uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE, at date NOT NULL, PRIMARY KEY (tenant_id, at)) PARTITION BY RANGE (at);
	CREATE TABLE crm.events_2026 PARTITION OF crm.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
	CREATE TABLE crm.events_2027 PARTITION OF crm.events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
	ALTER TABLE crm.events OWNER TO nself_owner;
	ALTER TABLE crm.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY owner_all ON crm.events TO nself_owner USING (true) WITH CHECK (true);
	CREATE POLICY active_tenant ON crm.events FOR SELECT TO nself_app USING (tenant_id = (SELECT tenants.active_tenant_id()));
	CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON crm.events
	  FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
	GRANT SELECT ON crm.events, crm.events_2026 TO nself_app;`
