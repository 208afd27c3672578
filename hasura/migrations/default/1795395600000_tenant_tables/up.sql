-- The list of tenant tables in the database itself: what an installation has behind the
-- wall, its own and the customer's, told without any file at hand. `nself tenant protect`
-- writes migrations that record a table here when they put the wall around it.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795395600000, 'tenant_tables') THEN RETURN; END IF;

  CREATE TABLE nself.tenant_tables (
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    declaration jsonb NOT NULL CHECK (declaration ->> 'table' = schema_name || '.' || table_name),
    PRIMARY KEY (schema_name, table_name)
  );
  COMMENT ON COLUMN nself.tenant_tables.declaration IS 'an entry of hasura/tenant_tables.yaml';
  CREATE FUNCTION nself.declare_tenant_table(declaration jsonb) RETURNS void
    LANGUAGE sql AS $function$
    INSERT INTO nself.tenant_tables
    VALUES (split_part(declaration ->> 'table', '.', 1), split_part(declaration ->> 'table', '.', 2), declaration)
    ON CONFLICT (schema_name, table_name) DO UPDATE SET declaration = excluded.declaration
  $function$;
  REVOKE ALL ON FUNCTION nself.declare_tenant_table(jsonb) FROM PUBLIC;

  -- A table that still stands is not forgotten.
  CREATE FUNCTION nself.forget_tenant_table(name text) RETURNS void
    LANGUAGE sql AS $function$
    DELETE FROM nself.tenant_tables
    WHERE schema_name = split_part(name, '.', 1) AND table_name = split_part(name, '.', 2)
      AND to_regclass(format('%I.%I', schema_name, table_name)) IS NULL
  $function$;
  REVOKE ALL ON FUNCTION nself.forget_tenant_table(text) FROM PUBLIC;

  GRANT USAGE ON SCHEMA nself TO nself_app;
  GRANT SELECT ON nself.tenant_tables TO nself_server, nself_app, nself_hasura;

  -- As before, in plpgsql: a function in SQL with a subselect is never inlined and is
  -- planned anew in each transaction, which made it the dearest part of a point read.
  CREATE OR REPLACE FUNCTION tenants.current_session() RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $function$
  DECLARE
    session pg_catalog.jsonb := nullif(pg_catalog.current_setting('hasura.user', true), '');
  BEGIN
    IF pg_catalog.jsonb_typeof(session) OPERATOR(pg_catalog.<>) 'object' THEN
      RAISE EXCEPTION 'hasura.user is no JSON object: %', session USING ERRCODE = 'invalid_text_representation';
    END IF;
    RETURN session;
  END
  $function$;

  -- What the list demands of every table and these did not have.
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON auth.sessions
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON audit.log
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON nself.idempotency_keys
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  DROP INDEX auth.sessions_tenant_id_created_at_idx; -- of the running ones alone
  CREATE INDEX ON auth.sessions (tenant_id, created_at);

  PERFORM nself.declare_tenant_table('{"table":"tenants.tenants","column":"id","global":{"tenants_slug_key":"a slug is a host name, and there is one of each"},"grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete","trigger"],"nself_server":["select","insert","update"],"nself_tenant":["select","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["id","slug","name","status","strategy","plan","owner_user_id","metadata","created_at","updated_at","suspended_at","suspend_reason","deleted_at","purge_after"],"aggregations":true},{"roles":["tenant_member","tenant_guest"],"select":["id","slug","name","status","strategy","plan","created_at"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_members","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update","delete"]},"permissions":[{"roles":["tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["tenant_id","user_id","role","joined_at","invited_by"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_invitations","global":{"tenant_invitations_token_key":"whoever accepts has the token alone, which is random"},"grants":{"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","id","email","role","invited_by","created_at","expires_at","accepted_at","accepted_by","revoked_at"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_settings","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update","delete"]},"permissions":[{"roles":["tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["tenant_id","key","value","updated_at"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_schemas","global":{"tenant_schemas_schema_name_key":"a database has one schema of each name"},"grants":{"nself_hasura":["select"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","schema_name","created_at"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"auth.users","rows":"members","nullable":"a shared identity, member of any number of tenants","global":{"users_pkey":"a shared identity is one person in every tenant"},"grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update"],"nself_tenant":["select"]},"permissions":[{"roles":["user"],"select":["id","email","name","created_at","updated_at"],"where":{"id":{"_eq":"X-Hasura-User-Id"}}},{"roles":["tenant_owner","tenant_admin","tenant_member"],"select":["id","email","name","created_at"],"aggregations":true},{"roles":["tenant_guest"],"select":["id","name"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"auth.sessions","nullable":"a session of role user, which has chosen no tenant","global":{"sessions_pkey":"tokens name their session by this id alone, which is random"},"grants":{"nself_hasura":["select"],"nself_server":["select","insert","update"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["id","tenant_id","user_id","role","created_at","expires_at","ended_at","end_reason"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"audit.log","nullable":"what happened outside any tenant","outlives":"what a tenant did is on record after it is gone","global":{"log_pkey":"one log for all, numbered as it is written"},"grants":{"nself_hasura":["select"],"nself_server":["select","insert"],"nself_tenant":["select","insert"]},"policies":[{"name":"owner_append","for":"insert","to":["nself_owner"],"check":"everything"},{"name":"owner_read","for":"select","to":["nself_owner"],"using":"everything"},{"name":"server_append","for":"insert","to":["nself_server"],"check":"everything"},{"name":"server_read","for":"select","to":["nself_server"],"using":"everything"},{"name":"tenant_append","for":"insert","to":["nself_tenant"],"check":"claimed_tenant"},{"name":"active_tenant","for":"select","to":["nself_tenant"],"using":"active_tenant"},{"name":"hasura_session","for":"select","to":["nself_hasura"],"using":"hasura_session"}],"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["id","at","tenant_id","actor_user_id","actor_role","action","target","before","after","request_id"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"nself.idempotency_keys","nullable":"an action outside any tenant, such as createTenant","global":{"idempotency_keys_pkey":"an actor''s key is the actor''s, whatever the tenant; actors cannot name one another"},"grants":{"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"},{"name":"claimed_tenant","to":["nself_tenant"],"using":"claimed_tenant","check":"claimed_tenant"}]}');
  PERFORM nself.declare_tenant_table('{"table":"billing.plans","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["code","name","price_minor","currency","position"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"billing.plan_limits","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["plan","meter","limit","enforcement"],"aggregations":true}]}');
END
$migration$;
