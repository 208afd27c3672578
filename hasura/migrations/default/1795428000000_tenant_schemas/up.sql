-- Schemas of tenants: made with every registered migration, migrated later, walled, dropped.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795428000000, 'tenant_schemas') THEN RETURN; END IF;

  -- The name of the tenant's schema, its row locked until the transaction ends. A name
  -- that does not end in the tenant's id was not made here, and nothing is done to it.
  CREATE FUNCTION nself.lock_tenant_schema(tenant uuid) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    place text;
    hex   text := replace(tenant::text, '-', '');
  BEGIN
    SELECT s.schema_name INTO place FROM tenants.tenant_schemas s WHERE s.tenant_id = tenant FOR UPDATE;
    IF place IS NOT NULL AND NOT EXISTS (SELECT FROM generate_series(8, 32) AS n WHERE right(place, n) = left(hex, n)) THEN
      RAISE EXCEPTION 'schema % does not carry the id of tenant %', place, tenant USING ERRCODE = 'check_violation';
    END IF;
    RETURN place;
  END
  $function$;

  -- One file of tenant_migrations/ in a schema. The comment in front names the file in the
  -- context of every error, and takes one line. As definer even of the owner, since no file
  -- can change the role then.
  CREATE FUNCTION nself.run_tenant_migration(place text, version bigint, name text, body text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    path    text := format('%I, pg_catalog, pg_temp', place);
    session text := coalesce(current_setting('hasura.user', true), '');
    had     regnamespace := to_regnamespace(quote_ident(place));
  BEGIN
    PERFORM set_config('search_path', path, true);
    EXECUTE format(E'-- %s_%s.sql\n%s', version, name, body);
    IF to_regnamespace(quote_ident(place)) IS DISTINCT FROM had THEN
      RAISE EXCEPTION '%_%.sql drops or renames the schema it runs in', version, name
        USING ERRCODE = 'feature_not_supported', HINT = 'The schema is the tenant''s: change what is in it.';
    END IF;
    IF current_setting('search_path') <> path OR coalesce(current_setting('hasura.user', true), '') <> session THEN
      RAISE EXCEPTION '%_%.sql changes search_path or hasura.user, which are not its own', version, name
        USING ERRCODE = 'feature_not_supported', HINT = 'Take the SET out: the file runs with search_path on the tenant''s schema.';
    END IF;
  END
  $function$;

  -- The objects of a schema, found by what depends on it: no catalog has an index by schema,
  -- and to read all of one would take the longer the more tenants there are. Plpgsql keeps
  -- the plan, here and below, for the next tenant. The search_path is the caller's: setting
  -- it anew for each of many small calls would cost more than they do.
  CREATE FUNCTION nself.objects_in(place text, class regclass) RETURNS SETOF oid
    LANGUAGE plpgsql STABLE ROWS 10 AS $function$
  BEGIN
    RETURN QUERY SELECT d.objid FROM pg_depend d
      WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = place)
        AND d.refobjsubid = 0 AND d.classid = class;
  END
  $function$;

  -- What no policy holds, in the words of the refusal; no row where all is well.
  CREATE FUNCTION nself.past_the_wall(place text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE ROWS 1 AS $function$
  DECLARE
    namespace oid   := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = place);
    relations oid[] := ARRAY(SELECT nself.objects_in(place, 'pg_class'));
    routines  oid[] := ARRAY(SELECT nself.objects_in(place, 'pg_proc'));
  BEGIN
    RETURN QUERY
    SELECT CASE c.relkind WHEN 'm' THEN format('the materialized view %I keeps rows outside row-level security: make it a table or a view', c.relname)
                          ELSE format('the foreign table %I reaches outside the schema', c.relname) END
    FROM pg_class c WHERE c.oid = ANY (relations) AND c.relkind IN ('m', 'f')
    UNION ALL
    SELECT format('the function %s is SECURITY DEFINER and acts as the owner of every tenant: make it SECURITY INVOKER', p.oid::regprocedure)
    FROM pg_proc p WHERE p.oid = ANY (routines) AND p.prosecdef
    UNION ALL
    SELECT format('the rule %I of %s acts as the owner of every tenant: make it a trigger', w.rulename, w.ev_class::regclass)
    FROM pg_rewrite w WHERE w.ev_class = ANY (relations) AND w.rulename <> '_RETURN'
    UNION ALL
    SELECT format('the foreign key %I of %s refers to %s: a tenant''s schema stands by itself', k.conname, k.conrelid::regclass, k.confrelid::regclass)
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.confrelid
    WHERE k.conrelid = ANY (relations) AND k.contype = 'f' AND t.relnamespace <> namespace
    UNION ALL
    SELECT format('%s inherits from %s across schemas', child.oid::regclass, parent.oid::regclass)
    FROM (SELECT i.inhrelid, i.inhparent FROM pg_inherits i WHERE i.inhrelid = ANY (relations)
          UNION SELECT i.inhrelid, i.inhparent FROM pg_inherits i WHERE i.inhparent = ANY (relations)) AS i
    JOIN pg_class child ON child.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
    WHERE child.relnamespace <> parent.relnamespace;
  END
  $function$;

  -- Who may do what with an object, as an ordered list; the owner's own rights are left out.
  CREATE FUNCTION nself.rights(acl aclitem[], owner oid) RETURNS text[]
    LANGUAGE plpgsql STABLE AS $function$
  BEGIN
    RETURN ARRAY(SELECT format('%s %s%s', g.grantee::regrole, lower(g.privilege_type), CASE WHEN g.is_grantable THEN ' *' END) COLLATE "C"
                 FROM aclexplode(acl) AS g WHERE g.grantee <> owner ORDER BY 1);
  END
  $function$;

  -- REVOKE of everything from everyone but the owner, for an object that has grants.
  CREATE FUNCTION nself.revoke_all(object text, acl aclitem[], owner oid) RETURNS text
    LANGUAGE sql STABLE AS $function$
    SELECT coalesce(string_agg(format('REVOKE ALL ON %s FROM %s CASCADE;', object,
      CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END), ' '), '')
    FROM (SELECT DISTINCT g.grantee FROM aclexplode(acl) AS g WHERE g.grantee <> owner) AS held
  $function$;

  CREATE FUNCTION nself.wall_tenant_table(relation regclass, tenant uuid) RETURNS void
    LANGUAGE plpgsql AS $function$
  DECLARE
    held   pg_class;
    other  record;
    bound  text := format('(SELECT tenants.active_tenant_id()) = %L::uuid', tenant);
    opened text := '(SELECT tenants.hasura_is_unbound()) OR ' || bound;
  BEGIN
    SELECT * INTO held FROM pg_class WHERE oid = relation;
    IF pg_get_userbyid(held.relowner) <> 'nself_owner' THEN
      EXECUTE format('ALTER TABLE %s OWNER TO nself_owner', relation);
      SELECT * INTO held FROM pg_class WHERE oid = relation;
    END IF;
    IF NOT (held.relrowsecurity AND held.relforcerowsecurity) THEN
      EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
    END IF;
    -- Permissive policies add up, so one that stayed would be a hole; the others only narrow.
    FOR other IN SELECT polname FROM pg_policy WHERE polrelid = relation
                 AND (polpermissive OR polname IN ('owner_all', 'server_all', 'active_tenant', 'hasura_session')) LOOP
      EXECUTE format('DROP POLICY %I ON %s', other.polname, relation);
    END LOOP;
    EXECUTE nself.revoke_all(relation::text, held.relacl, held.relowner);
    FOR other IN SELECT attname, attacl FROM pg_attribute WHERE attrelid = relation AND attacl IS NOT NULL LOOP
      EXECUTE nself.revoke_all(relation::text, other.attacl, held.relowner);
    END LOOP;
    EXECUTE format('CREATE POLICY owner_all ON %s TO nself_owner USING (true) WITH CHECK (true)', relation);
    IF held.relispartition THEN RETURN; END IF; -- the way to its rows is the table it is a part of
    EXECUTE format('CREATE POLICY server_all ON %1$s TO nself_server USING (true) WITH CHECK (true);
      CREATE POLICY active_tenant ON %1$s TO nself_app, nself_tenant USING (%2$s) WITH CHECK (%2$s);
      CREATE POLICY hasura_session ON %1$s TO nself_hasura USING (%3$s) WITH CHECK (%3$s);
      GRANT SELECT, INSERT, UPDATE, DELETE ON %1$s TO nself_app, nself_hasura;
      GRANT SELECT ON %1$s TO nself_tenant, nself_server', relation, bound, opened);
    IF to_regprocedure('tenants.keep_row_budget(regclass)') IS NOT NULL THEN
      EXECUTE format('SELECT tenants.keep_row_budget(%L::regclass)', relation);
    END IF;
  END
  $function$;

  -- The tables of the schema whose wall is not as it should be.
  CREATE FUNCTION nself.unwalled_tenant_tables(place text, tenant uuid) RETURNS SETOF regclass
    LANGUAGE plpgsql STABLE ROWS 1 AS $function$
  DECLARE
    -- As pg_get_expr spells them.
    bound   text   := format('(( SELECT tenants.active_tenant_id() AS active_tenant_id) = %L::uuid)', tenant);
    opened  text   := format('(( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR %s)', bound);
    owned   text   := 'owner_all {nself_owner} true true';
    walls   text[] := ARRAY[format('active_tenant {nself_app,nself_tenant} %1$s %1$s', bound), format('hasura_session {nself_hasura} %1$s %1$s', opened),
                            owned, 'server_all {nself_server} true true'];
    granted text[] := ARRAY['nself_app delete', 'nself_app insert', 'nself_app select', 'nself_app update',
                            'nself_hasura delete', 'nself_hasura insert', 'nself_hasura select', 'nself_hasura update',
                            'nself_server select', 'nself_tenant select'];
    owner   oid    := to_regrole('nself_owner');
  BEGIN
    RETURN QUERY
    SELECT c.oid::regclass FROM pg_class c
    WHERE c.oid = ANY (ARRAY(SELECT nself.objects_in(place, 'pg_class'))) AND c.relkind IN ('r', 'p')
      AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity OR c.relowner <> owner
        OR EXISTS (SELECT FROM pg_attribute a, aclexplode(a.attacl) AS g WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND g.grantee <> owner)
        OR nself.rights(c.relacl, c.relowner) <> CASE WHEN c.relispartition THEN '{}' ELSE granted END
        OR ARRAY(SELECT format('%s %s %s %s', p.polname,
                   ARRAY(SELECT pg_get_userbyid(r) FROM unnest(p.polroles) AS r ORDER BY 1),
                   pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
                 FROM pg_policy p WHERE p.polrelid = c.oid
                   AND (p.polpermissive OR p.polname IN ('owner_all', 'server_all', 'active_tenant', 'hasura_session')) ORDER BY p.polname)
           <> CASE WHEN c.relispartition THEN ARRAY[owned] ELSE walls END);
  END
  $function$;

  -- Views, sequences, functions: the statements that are missing, one string.
  CREATE FUNCTION nself.unwalled_tenant_objects(place text) RETURNS text
    LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    relations oid[] := ARRAY(SELECT nself.objects_in(place, 'pg_class'));
    functions oid[] := ARRAY(SELECT nself.objects_in(place, 'pg_proc'));
    owner     oid   := to_regrole('nself_owner');
  BEGIN
    RETURN (WITH schemas AS (
      SELECT nself.revoke_all('SCHEMA ' || quote_ident(place), nspacl, nspowner)
             || format('GRANT USAGE ON SCHEMA %I TO nself_app, nself_hasura, nself_tenant, nself_server', place) AS statement
      FROM pg_namespace WHERE nspname = place AND nself.rights(nspacl, nspowner) <> '{"nself_app usage","nself_hasura usage","nself_server usage","nself_tenant usage"}'
    ), views AS (
      SELECT format('ALTER VIEW %s OWNER TO nself_owner; ALTER VIEW %1$s SET (security_invoker = true); %s '
                    'GRANT SELECT ON %1$s TO nself_app, nself_hasura, nself_tenant, nself_server',
                    c.oid::regclass, nself.revoke_all(c.oid::regclass::text, c.relacl, c.relowner))
      FROM pg_class c WHERE c.oid = ANY (relations) AND c.relkind = 'v'
        AND (c.relowner <> owner
         OR NOT coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'security_invoker'), false)
         OR nself.rights(c.relacl, c.relowner) <> '{"nself_app select","nself_hasura select","nself_server select","nself_tenant select"}')
    ), sequences AS (
      -- An identity column draws its numbers without anyone's right to the sequence.
      SELECT CASE WHEN own.deptype IS NULL THEN format('ALTER SEQUENCE %s OWNER TO nself_owner; ', s.oid::regclass) ELSE '' END
             || nself.revoke_all('SEQUENCE ' || s.oid::regclass, s.relacl, s.relowner)
             || CASE WHEN own.deptype = 'i' THEN '' ELSE format('GRANT USAGE ON SEQUENCE %s TO nself_app, nself_hasura', s.oid::regclass) END
      FROM pg_class s
      LEFT JOIN pg_depend own ON own.classid = 'pg_class'::regclass AND own.objid = s.oid AND own.refclassid = 'pg_class'::regclass AND own.deptype IN ('a', 'i')
      WHERE s.oid = ANY (relations) AND s.relkind = 'S'
        AND (own.deptype IS NULL AND s.relowner <> owner
         OR nself.rights(s.relacl, s.relowner) <> CASE WHEN own.deptype = 'i' THEN '{}' ELSE '{"nself_app usage","nself_hasura usage"}' END::text[])
    ), routines AS (
      SELECT format('ALTER ROUTINE %s OWNER TO nself_owner; %s GRANT EXECUTE ON ROUTINE %1$s TO nself_app, nself_hasura, nself_tenant, nself_server',
                    p.oid::regprocedure, nself.revoke_all('ROUTINE ' || p.oid::regprocedure, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner))
      FROM pg_proc p
      WHERE p.oid = ANY (functions) AND (p.proowner <> owner
         OR nself.rights(coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner)
            <> '{"nself_app execute","nself_hasura execute","nself_server execute","nself_tenant execute"}')
    ), paths AS (
      -- Whoever calls, Hasura above all, has another search_path than the file had.
      SELECT format('ALTER ROUTINE %s SET search_path = %I, pg_catalog, pg_temp', p.oid::regprocedure, place)
      FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
      WHERE p.oid = ANY (functions) AND p.prokind IN ('f', 'p') AND l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL
        AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS c WHERE c LIKE 'search\_path=%')
    )
    SELECT string_agg(statement, '; ') FROM (
      TABLE schemas UNION ALL TABLE views UNION ALL TABLE sequences UNION ALL TABLE routines UNION ALL TABLE paths) AS missing (statement));
  END
  $function$;

  -- The wall of every object of a schema that is this tenant's. The plans serve every tenant
  -- alike, and making one anew takes longer than to run it.
  CREATE FUNCTION nself.wall_schema(place text, tenant uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $function$
  DECLARE
    refused text := (SELECT string_agg(reason, '; ') FROM nself.past_the_wall(place) AS reason);
    missing text;
  BEGIN
    IF refused IS NOT NULL THEN
      RAISE EXCEPTION '%', refused USING ERRCODE = 'feature_not_supported';
    END IF;
    PERFORM nself.wall_tenant_table(relation, tenant) FROM nself.unwalled_tenant_tables(place, tenant) AS relation;
    missing := nself.unwalled_tenant_objects(place);
    IF missing IS NOT NULL THEN EXECUTE missing; END IF;
  END
  $function$;

  CREATE FUNCTION tenants.wall_tenant_schema(tenant uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    place text := nself.lock_tenant_schema(tenant);
  BEGIN
    IF place IS NULL THEN
      RAISE EXCEPTION 'tenant % has no schema of its own', tenant USING ERRCODE = 'no_data_found';
    END IF;
    PERFORM nself.wall_schema(place, tenant);
  END
  $function$;

  -- Applies what is registered and was not applied, in order; how many that was.
  CREATE FUNCTION tenants.apply_tenant_migrations(tenant uuid) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    place   text := nself.lock_tenant_schema(tenant);
    file    nself.tenant_migrations;
    began   timestamptz;
    applied integer := 0;
  BEGIN
    IF place IS NULL THEN
      RAISE EXCEPTION 'tenant % has no schema of its own', tenant USING ERRCODE = 'no_data_found';
    ELSIF to_regnamespace(quote_ident(place)) IS NULL THEN
      RAISE EXCEPTION 'schema % of tenant % is not there', place, tenant USING ERRCODE = 'invalid_schema_name', HINT = 'Somebody dropped it: restore it from a backup.';
    END IF;
    FOR file IN SELECT m.* FROM nself.tenant_migrations m
                WHERE NOT EXISTS (SELECT FROM tenants.tenant_schema_migrations d WHERE d.tenant_id = tenant AND d.version = m.version)
                ORDER BY m.version LOOP
      began := clock_timestamp();
      PERFORM nself.run_tenant_migration(place, file.version, file.name, file.body);
      INSERT INTO tenants.tenant_schema_migrations (tenant_id, version, took_ms)
      VALUES (tenant, file.version, extract(epoch FROM clock_timestamp() - began) * 1000);
      applied := applied + 1;
    END LOOP;
    PERFORM nself.wall_schema(place, tenant);
    -- Not now(): of two transactions the one that began earlier may come second.
    UPDATE tenants.tenant_schemas s
    SET changed_at = CASE WHEN applied > 0 THEN clock_timestamp() ELSE s.changed_at END, failed_version = NULL, failure = NULL, failed_at = NULL
    WHERE s.tenant_id = tenant AND (applied > 0 OR s.failed_at IS NOT NULL);
    RETURN applied;
  END
  $function$;

  -- As before, and complete: every registered migration and the wall, in the caller's
  -- transaction. Registering excludes it (see nself tenant migrate), so that a migration is
  -- either read here, or is given to this tenant by the run that registered it.
  CREATE OR REPLACE FUNCTION tenants.create_tenant_schema(tenant uuid, prefix text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    hex    text := replace(tenant::text, '-', '');
    digits integer := 8;
    chosen text;
  BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
      RAISE EXCEPTION 'a tenant''s schema is made at READ COMMITTED: a snapshot may lack the newest migration'
        USING ERRCODE = 'active_sql_transaction';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('nself.tenant_migrations', 0));
    LOOP
      chosen := prefix || left(hex, digits);
      EXIT WHEN to_regnamespace(quote_ident(chosen)) IS NULL;
      IF digits = 32 THEN
        RAISE EXCEPTION 'schema % is there already', chosen USING ERRCODE = 'duplicate_schema';
      END IF;
      digits := digits + 1;
    END LOOP;
    EXECUTE format('CREATE SCHEMA %I', chosen);
    INSERT INTO tenants.tenant_schemas (tenant_id, schema_name) VALUES (tenant, chosen);
    PERFORM tenants.apply_tenant_migrations(tenant);
    RETURN chosen;
  END
  $function$;

  -- The schema with all that is in it, and its row. False where there is none. For the owner
  -- alone: the server drops what is due to be purged.
  CREATE FUNCTION tenants.drop_tenant_schema(tenant uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    place text := nself.lock_tenant_schema(tenant);
  BEGIN
    IF place IS NULL THEN RETURN false; END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', place);
    DELETE FROM tenants.tenant_schemas s WHERE s.tenant_id = tenant;
    RETURN true;
  END
  $function$;

  -- The schema of the session's active tenant, while the tenant lives there; null otherwise.
  CREATE FUNCTION tenants.tenant_schema() RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    RETURN (SELECT s.schema_name FROM tenants.tenant_schemas s JOIN tenants.tenants t ON t.id = s.tenant_id
            WHERE s.tenant_id = tenants.active_tenant_id() AND t.strategy = 'schema');
  END
  $function$;

  REVOKE ALL ON FUNCTION nself.lock_tenant_schema(uuid), nself.run_tenant_migration(text, bigint, text, text), nself.objects_in(text, regclass), nself.past_the_wall(text),
    nself.rights(aclitem[], oid), nself.revoke_all(text, aclitem[], oid), nself.wall_tenant_table(regclass, uuid),
    nself.unwalled_tenant_tables(text, uuid), nself.unwalled_tenant_objects(text), nself.wall_schema(text, uuid),
    tenants.wall_tenant_schema(uuid), tenants.apply_tenant_migrations(uuid), tenants.drop_tenant_schema(uuid), tenants.tenant_schema() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION tenants.wall_tenant_schema(uuid), tenants.apply_tenant_migrations(uuid) TO nself_server;
  GRANT EXECUTE ON FUNCTION tenants.tenant_schema() TO nself_app, nself_tenant, nself_hasura, nself_server;
END
$migration$;
