-- Reads under one name for every tenant with a schema of its own: an empty table for the
-- form of the rows, and a function that reads the table of the session's tenant. And what
-- Hasura was told of tenant schemas, so that what is gone can be taken back.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795431600000, 'tenant_reads') THEN RETURN; END IF;

  CREATE TABLE nself.tracked_schemas (
    schema_name text PRIMARY KEY,
    fingerprint text,
    tracked_at  timestamptz,
    tries       integer NOT NULL DEFAULT 0,
    failed      text,
    failure     text,
    next_at     timestamptz
  );
  COMMENT ON TABLE nself.tracked_schemas IS 'the schemas of which Hasura may track tables because nself asked it to';
  COMMENT ON COLUMN nself.tracked_schemas.fingerprint IS 'of the form of tenant_reads that Hasura was told of; null of every other schema';
  COMMENT ON COLUMN nself.tracked_schemas.tracked_at IS 'null: it was asked and has not said yet that it serves all of it';
  COMMENT ON COLUMN nself.tracked_schemas.failed IS 'of which change of the schema it could not serve something; that change waits until next_at';
  GRANT SELECT, INSERT, UPDATE, DELETE ON nself.tracked_schemas TO nself_server;

  CREATE SCHEMA tenant_reads;
  GRANT USAGE ON SCHEMA tenant_reads TO nself_hasura, nself_server;

  -- A type of the tenant's own schema would tie the table to that tenant: its base type,
  -- or its text, stands in for it. Null where there is none, and the column is left out.
  CREATE FUNCTION nself.plain_type(type oid, typmod integer, schema oid) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN (SELECT CASE
              WHEN t.typnamespace <> plain_type.schema THEN format_type(t.oid, plain_type.typmod)
              WHEN t.typtype = 'd' AND b.typnamespace <> plain_type.schema THEN format_type(t.typbasetype, t.typtypmod)
              WHEN t.typtype = 'e' OR t.typtype = 'd' AND b.typtype = 'e' THEN 'text'
              WHEN e.typtype = 'e' THEN 'text[]'
            END
            FROM pg_type t LEFT JOIN pg_type b ON b.oid = t.typbasetype LEFT JOIN pg_type e ON e.oid = t.typelem
            WHERE t.oid = plain_type.type);

  -- The tables of one tenant's schema, as those of every tenant are where all are current,
  -- with what GraphQL can name.
  CREATE FUNCTION nself.tenant_reads_form(place oid) RETURNS jsonb
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('name', c.relname, 'columns', (
                SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', nself.plain_type(a.atttypid, a.atttypmod, place),
                         'not_null', a.attnotnull) ORDER BY a.attnum)
                FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND nself.plain_type(a.atttypid, a.atttypmod, place) IS NOT NULL
                  AND a.attname ~ '^[_A-Za-z][_0-9A-Za-z]*$'))
              ORDER BY c.relname), '[]')
            FROM pg_class c
            WHERE c.relnamespace = place AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND c.relname ~ '^[_A-Za-z][_0-9A-Za-z]*$' AND octet_length(c.relname) <= 50);

  -- Makes tenant_reads anew where the tenants' schemas have another form than it has, and
  -- tells which tables it had to leave out, and why. While a tenant lacks a migration it
  -- stays as it is: the form of all is not one.
  CREATE FUNCTION tenants.build_tenant_reads() RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    left_out text[] := '{}';
    place    oid;
    form     jsonb;
    made     record;
  BEGIN
    PERFORM set_config('lock_timeout', '3s', true); -- whoever reads meanwhile is not to queue behind this
    PERFORM pg_advisory_xact_lock(hashtextextended('nself.tenant_reads', 0));
    IF EXISTS (SELECT FROM tenants.tenant_schemas s CROSS JOIN nself.tenant_migrations m
               WHERE NOT EXISTS (SELECT FROM tenants.tenant_schema_migrations a WHERE a.tenant_id = s.tenant_id AND a.version = m.version)) THEN
      RETURN left_out;
    END IF;
    SELECT n.oid INTO place FROM tenants.tenant_schemas s JOIN pg_namespace n ON n.nspname = s.schema_name ORDER BY s.created_at, s.tenant_id LIMIT 1;
    IF place IS NULL THEN RETURN left_out; END IF;
    form := nself.tenant_reads_form(place);
    IF obj_description('tenant_reads'::regnamespace, 'pg_namespace') IS NOT DISTINCT FROM md5(form::text) THEN RETURN left_out; END IF;

    FOR made IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = 'tenant_reads'::regnamespace AND c.relkind = 'r' LOOP
      EXECUTE format('DROP TABLE %s CASCADE', made.name);
    END LOOP;
    FOR made IN SELECT t.name, t.columns FROM jsonb_to_recordset(form) AS t (name text, columns jsonb) WHERE jsonb_array_length(t.columns) > 0 LOOP
      BEGIN
        PERFORM nself.make_tenant_read(made.name, made.columns);
      EXCEPTION WHEN OTHERS THEN
        left_out := left_out || (made.name || ': ' || SQLERRM);
      END;
    END LOOP;
    EXECUTE format('COMMENT ON SCHEMA tenant_reads IS %L', md5(form::text));
    RETURN left_out;
  END
  $function$;

  -- One table of tenant_reads, which never has a row, and its function. The function has
  -- the caller's rights. A tenant that is out of service has no rows, and neither has one
  -- whose rows are in the shared tables, whatever schema is being prepared for it.
  CREATE FUNCTION nself.make_tenant_read(name text, columns jsonb) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    read     text := make_tenant_read.name || '_of_tenant';
    defined  text;
    selected text;
    body     text;
  BEGIN
    SELECT string_agg(format('%I %s%s', c.name, c.type, CASE WHEN c.not_null THEN ' NOT NULL' ELSE '' END), ', '),
           string_agg(format('%I::%s', c.name, c.type), ', ')
      INTO defined, selected FROM jsonb_to_recordset(make_tenant_read.columns) AS c (name text, type text, not_null boolean);
    EXECUTE format('CREATE TABLE tenant_reads.%I (%s, CHECK (false))', make_tenant_read.name, defined);
    EXECUTE format('COMMENT ON TABLE tenant_reads.%I IS %L', make_tenant_read.name, 'The form of the rows that ' || read || ' reads.');
    EXECUTE format('GRANT SELECT ON tenant_reads.%I TO nself_hasura', make_tenant_read.name);
    body := format($body$
      DECLARE
        place text;
      BEGIN
        SELECT s.schema_name INTO place FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
          WHERE s.tenant_id = (hasura_session ->> 'x-hasura-tenant-id')::uuid AND t.strategy = 'schema' AND t.status = 'active';
        IF place IS NOT NULL THEN
          RETURN QUERY EXECUTE format(%L, place);
        END IF;
      END
      $body$, 'SELECT ' || replace(selected, '%', '%%') || format(' FROM %%I.%I', make_tenant_read.name));
    EXECUTE format('CREATE FUNCTION tenant_reads.%I(hasura_session json) RETURNS SETOF tenant_reads.%I
      LANGUAGE plpgsql STABLE ROWS 1000 SET search_path = pg_catalog, pg_temp AS %L', read, make_tenant_read.name, body);
    EXECUTE format('REVOKE ALL ON FUNCTION tenant_reads.%I(json) FROM PUBLIC', read);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenant_reads.%I(json) TO nself_hasura', read);
  END
  $function$;

  REVOKE ALL ON FUNCTION nself.plain_type(oid, integer, oid), nself.tenant_reads_form(oid), nself.make_tenant_read(text, jsonb),
    tenants.build_tenant_reads() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION tenants.build_tenant_reads() TO nself_server;

  -- The doctor, who may come as nself_server, asks them what of a wall is missing.
  GRANT EXECUTE ON FUNCTION nself.past_the_wall(text), nself.rights(aclitem[], oid), nself.revoke_all(text, aclitem[], oid),
    nself.unwalled_tenant_tables(text, uuid), nself.unwalled_tenant_objects(text) TO nself_server;
END
$migration$;
