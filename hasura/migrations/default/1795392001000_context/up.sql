-- Who is asking: the functions that read Hasura's session setting, and the small
-- trigger functions every tenant table shares.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795392001000, 'context') THEN RETURN; END IF;

  CREATE SCHEMA tenants;
  CREATE SCHEMA auth;
  CREATE SCHEMA billing;
  CREATE SCHEMA audit;
  GRANT USAGE ON SCHEMA tenants, auth, billing, audit TO nself_server, nself_tenant, nself_hasura;
  GRANT USAGE ON SCHEMA tenants, auth, billing TO nself_app;

  -- Hasura's session, null where there is none. After a SET LOCAL the setting reads back
  -- as '' in later transactions; anything else that is no JSON object is an error.
  CREATE FUNCTION tenants.current_session() RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT CASE WHEN s IS NULL OR jsonb_typeof(s) = 'object' THEN s
                        ELSE ('hasura.user is no JSON object: ' || s::text)::jsonb END
            FROM (SELECT nullif(current_setting('hasura.user', true), '')::jsonb) AS setting (s));

  -- The tenant the session claims; null without a session. A value that is no uuid is
  -- an error, never null.
  CREATE FUNCTION tenants.current_tenant_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (tenants.current_session() ->> 'x-hasura-tenant-id')::uuid;

  -- The user the session claims; null without one.
  CREATE FUNCTION tenants.current_user_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (tenants.current_session() ->> 'x-hasura-user-id')::uuid;

  -- Whether nself_hasura is unbound by a tenant: a query (Hasura sends its session for
  -- mutations only; its own permissions are the wall there), or the operator.
  CREATE FUNCTION tenants.hasura_is_unbound() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(tenants.current_session() ->> 'x-hasura-role' = 'admin', tenants.current_session() IS NULL);

  CREATE FUNCTION nself.touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    NEW.updated_at := now();
    RETURN NEW;
  END
  $function$;

  CREATE FUNCTION nself.refuse_tenant_change() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    RAISE EXCEPTION 'tenant_id of %.% is immutable', TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_id_is_immutable';
  END
  $function$;
END
$migration$;
