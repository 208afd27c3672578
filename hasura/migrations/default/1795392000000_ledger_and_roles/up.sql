-- The ledger every runner of these migrations shares, and the database roles.
-- Each later file is one DO block that first asks nself.begin_migration whether it is
-- still to be done. So it does not matter who runs a file, or how often: `server
-- migrate`, `nself tenant init` and Hasura's CLI agree through nself.schema_migrations.
DO $migration$
DECLARE
  wanted record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nself.schema_migrations', 0));

  -- Whoever may not act as the owner, such as Hasura running its CLI's files, finds it done.
  IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'nself' AND c.relname = 'schema_migrations') THEN
    IF NOT pg_has_role(current_user, 'nself_owner', 'MEMBER') THEN RETURN; END IF;
  END IF;

  FOR wanted IN
    SELECT * FROM (VALUES
      ('nself_owner',  'LOGIN'),            -- owns every object, runs migrations
      ('nself_server', 'LOGIN NOINHERIT'),  -- the webhook server
      ('nself_tenant', 'NOLOGIN'),          -- the webhook server on behalf of one tenant
      ('nself_app',    'LOGIN'),            -- the customer's own services
      ('nself_hasura', 'LOGIN')             -- Hasura
    ) AS role (name, options)
  LOOP
    IF to_regrole(wanted.name) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.options);
      EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this cluster was quicker
        WHEN insufficient_privilege THEN
          RAISE EXCEPTION 'the role % is missing and % may not create it', wanted.name, current_user
            USING HINT = 'Run the first migration once as a superuser, or as a role with CREATEROLE that owns the database.';
      END;
    END IF;
  END LOOP;

  -- The server becomes nself_tenant per transaction; the owner may grant on Hasura's
  -- catalog, which nself_hasura owns; whoever runs this may act as the owner.
  IF NOT pg_has_role('nself_server', 'nself_tenant', 'MEMBER') THEN
    GRANT nself_tenant TO nself_server;
  END IF;
  IF NOT pg_has_role('nself_owner', 'nself_hasura', 'MEMBER') THEN
    GRANT nself_hasura TO nself_owner;
  END IF;
  IF current_user <> 'nself_owner' AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    BEGIN
      -- Also where it created the role: since Postgres 16 that alone lets nobody act as it.
      EXECUTE format('GRANT nself_owner TO %I', current_user);
    EXCEPTION
      WHEN insufficient_privilege THEN NULL; -- a member by other means, or set_config says so below
    END;
  END IF;

  IF NOT has_database_privilege('nself_owner', current_database(), 'CREATE') THEN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO nself_owner', current_database());
  END IF;
  -- Hasura keeps its own catalog (hdb_catalog) in this database.
  IF NOT has_database_privilege('nself_hasura', current_database(), 'CREATE') THEN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO nself_hasura', current_database());
  END IF;
  CREATE EXTENSION IF NOT EXISTS pgcrypto; -- Hasura's event triggers ask for it

  PERFORM set_config('role', 'nself_owner', true);
  IF to_regclass('nself.schema_migrations') IS NOT NULL THEN
    RETURN;
  END IF;

  CREATE SCHEMA nself;
  CREATE TABLE nself.schema_migrations (
    version    bigint PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  );
  INSERT INTO nself.schema_migrations (version, name) VALUES (1795392000000, 'ledger_and_roles');

  -- True exactly once per version; until the transaction ends nobody else gets an
  -- answer, and what follows belongs to nself_owner whoever connected.
  CREATE FUNCTION nself.begin_migration(version bigint, name text) RETURNS boolean
    LANGUAGE plpgsql AS $function$
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('nself.schema_migrations', 0));
    IF EXISTS (SELECT FROM nself.schema_migrations m WHERE m.version = begin_migration.version) THEN
      RETURN false;
    END IF;
    PERFORM set_config('role', 'nself_owner', true);
    INSERT INTO nself.schema_migrations VALUES (begin_migration.version, begin_migration.name);
    RETURN true;
  END
  $function$;
  REVOKE ALL ON FUNCTION nself.begin_migration(bigint, text) FROM PUBLIC;

  GRANT EXECUTE ON FUNCTION nself.begin_migration(bigint, text) TO nself_hasura;
  GRANT USAGE ON SCHEMA nself TO nself_server, nself_hasura;
  GRANT SELECT ON nself.schema_migrations TO nself_server, nself_hasura;
END
$migration$;
