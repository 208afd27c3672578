-- Whether a tenant's places outside the database let in, and the steps of a purge that
-- reach rows of tables the server may not write.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795442400000, 'resources') THEN RETURN; END IF;

  ALTER TABLE tenants.tenant_resources ADD COLUMN open boolean NOT NULL DEFAULT false;
  COMMENT ON COLUMN tenants.tenant_resources.open IS 'whether the credentials let in, as it was made last: those of a tenant out of service do not';

  -- Every minute somebody looks: what is as it is wanted is out of sight.
  ALTER TABLE tenants.tenant_resources ALTER COLUMN next_at DROP NOT NULL;
  COMMENT ON COLUMN tenants.tenant_resources.next_at IS 'when it is looked after next; null: it is as it is wanted';
  DROP INDEX tenants.tenant_resources_due;
  CREATE INDEX tenant_resources_due ON tenants.tenant_resources (next_at) WHERE next_at IS NOT NULL;

  ALTER TABLE nself.purges ADD COLUMN tried_at timestamptz;
  COMMENT ON COLUMN nself.purges.tried_at IS 'when it was gone on with last';

  -- What has begun to be purged is not whole, and does not come back.
  CREATE FUNCTION nself.refuse_purged() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF EXISTS (SELECT FROM nself.purges p WHERE p.id = OLD.id) THEN
      RAISE EXCEPTION 'tenant % is being purged and cannot be restored', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_purged', SCHEMA = 'tenants', TABLE = 'tenants';
    END IF;
    RETURN NEW;
  END
  $function$;
  CREATE TRIGGER refuse_purged BEFORE UPDATE OF status, purge_after ON tenants.tenants
    FOR EACH ROW WHEN (OLD.status = 'deleted' AND (NEW.status <> 'deleted' OR NEW.purge_after IS DISTINCT FROM OLD.purge_after))
    EXECUTE FUNCTION nself.refuse_purged();

  -- The tables of tenants' rows as they are declared, with the column that names the
  -- tenant; those whose rows outlive the tenant are left out.
  CREATE FUNCTION nself.purged_tables() RETURNS TABLE (relation regclass, named text)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT c.oid::regclass, coalesce(t.declaration ->> 'column', 'tenant_id')
    FROM nself.tenant_tables t
    JOIN pg_namespace n ON n.nspname = t.schema_name JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.table_name
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = coalesce(t.declaration ->> 'column', 'tenant_id') AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND coalesce(t.declaration ->> 'rows', 'tenant') <> 'shared' AND NOT t.declaration ? 'outlives'
    ORDER BY 1
  $function$;

  -- What a tenant that is due has to be rid of first, by somebody who decides it.
  CREATE FUNCTION nself.purge_obstacles(tenant uuid) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    found   text[] := '{}';
    link    record;
    strange boolean;
  BEGIN
    -- Its triggers and its gate stand on tables of all tenants, and only it knows to take them off.
    IF EXISTS (SELECT FROM nself.moves m WHERE m.tenant_id = tenant AND m.state IN ('copying', 'cut')) THEN
      found := found || 'a move of it is open: end it with nself tenant move --undo or --confirm'::text;
    END IF;
    IF EXISTS (SELECT FROM billing.subscriptions s WHERE s.tenant_id = tenant AND s.main AND s.ended_at IS NULL AND s.cancel_at IS NULL
               AND NOT s.cancel_at_period_end AND s.status NOT IN ('canceled', 'incomplete_expired')) THEN
      found := found || 'its subscription goes on: cancel it'::text;
    END IF;
    -- Rows of other tenants would go with this one's.
    FOR link IN
      SELECT p.relation, p.named, a.attname FROM nself.purged_tables() p
      JOIN pg_constraint k ON k.conrelid = p.relation AND k.contype = 'f' AND k.confrelid = 'tenants.tenants'::regclass AND k.confdeltype = 'c' AND cardinality(k.conkey) = 1
      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE a.attname <> p.named
    LOOP
      EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I = $1 AND %I <> $1)', link.relation, link.attname, link.named) INTO strange USING tenant;
      IF strange THEN
        found := found || format('rows of other tenants in %s refer to it by %I, and would go with it: change them first, or make the reference ON DELETE SET NULL', link.relation, link.attname);
      END IF;
    END LOOP;
    RETURN found;
  END
  $function$;

  -- The same for the server, which asks before it begins.
  CREATE FUNCTION tenants.purge_obstacles(tenant uuid) RETURNS text[]
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    SELECT nself.purge_obstacles(tenant)
  $function$;

  -- Locks the tenant until the transaction ends, and refuses one that is not due, whoever
  -- asks. False: there is no such tenant.
  CREATE FUNCTION nself.lock_purged(tenant uuid) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    due      boolean;
    obstacle text;
  BEGIN
    SELECT t.status = 'deleted' AND t.purge_after <= now() INTO due FROM tenants.tenants t WHERE t.id = tenant FOR UPDATE;
    IF NOT FOUND THEN RETURN false; END IF;
    IF NOT due OR NOT EXISTS (SELECT FROM nself.purges p WHERE p.id = tenant) THEN
      RAISE EXCEPTION 'tenant % is not due to be purged', tenant USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOREACH obstacle IN ARRAY nself.purge_obstacles(tenant) LOOP
      RAISE EXCEPTION 'tenant % cannot be purged: %', tenant, obstacle USING ERRCODE = 'object_not_in_prerequisite_state';
    END LOOP;
    RETURN true;
  END
  $function$;

  -- Drops the schema of a tenant that is being purged, with its row; false where there is
  -- none. Its row is locked first, as by whoever migrates it.
  CREATE FUNCTION tenants.purge_tenant_schema(tenant uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF nself.lock_tenant_schema(tenant) IS NULL OR NOT nself.lock_purged(tenant) THEN RETURN false; END IF;
    RETURN tenants.drop_tenant_schema(tenant);
  END
  $function$;

  -- Deletes up to so many rows of each table and tells of how many; none where all that is
  -- left goes with the tenant's own row. Tables whose rows are recorded one by one when they
  -- go are among those: the log keeps what was in them. A table that others still refer to
  -- waits for its turn.
  CREATE FUNCTION tenants.purge_rows(tenant uuid, most integer) RETURNS TABLE (place text, removed bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    t    record;
    leaf record;
    n    bigint;
  BEGIN
    IF NOT nself.lock_purged(tenant) THEN RETURN; END IF;
    FOR t IN SELECT p.relation, p.named FROM nself.purged_tables() p
      WHERE p.relation NOT IN ('tenants.tenant_schemas'::regclass, 'tenants.tenant_resources'::regclass, 'nself.moves'::regclass)
        AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = p.relation AND g.tgname = 'record_row_change')
    LOOP
      place := t.relation::text; removed := 0;
      -- Partitions are reached through their parent alone.
      FOR leaf IN EXECUTE format('SELECT part, array_agg(row_at) AS rows FROM (SELECT tableoid AS part, ctid AS row_at FROM %s WHERE %I = $1 LIMIT $2) AS b GROUP BY part', t.relation, t.named)
        USING tenant, most
      LOOP
        BEGIN
          EXECUTE format('DELETE FROM %s WHERE tableoid = $1 AND ctid = ANY ($2) AND %I = $3', t.relation, t.named) USING leaf.part, leaf.rows, tenant;
          GET DIAGNOSTICS n = ROW_COUNT;
          removed := removed + n;
        EXCEPTION WHEN foreign_key_violation THEN
          NULL; -- in a later round, or with the tenant
        END;
      END LOOP;
      IF removed > 0 THEN RETURN NEXT; END IF;
    END LOOP;
  END
  $function$;

  -- Ends the tenant: its row, with all that hangs on it. What is outside the tables has to
  -- be gone by then. False: it was done before.
  CREATE FUNCTION tenants.purge_tenant(tenant uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF NOT nself.lock_purged(tenant) THEN RETURN false; END IF;
    IF EXISTS (SELECT FROM tenants.tenant_schemas s WHERE s.tenant_id = tenant)
      OR EXISTS (SELECT FROM tenants.tenant_resources r WHERE r.tenant_id = tenant AND r.removed_at IS NULL) THEN
      RAISE EXCEPTION 'tenant % still has a schema or a resource', tenant USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    DELETE FROM tenants.tenants t WHERE t.id = tenant;
    RETURN true;
  END
  $function$;

  -- Every table that was looked at for rows of the tenant, and whether there are any.
  CREATE FUNCTION tenants.purge_remains(tenant uuid) RETURNS TABLE (place text, remains boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    t record;
  BEGIN
    FOR t IN SELECT p.relation, p.named FROM nself.purged_tables() p LOOP
      place := t.relation::text;
      EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I = $1)', t.relation, t.named) INTO remains USING tenant;
      RETURN NEXT;
    END LOOP;
  END
  $function$;

  REVOKE ALL ON FUNCTION nself.refuse_purged(), nself.lock_purged(uuid), nself.purged_tables(), nself.purge_obstacles(uuid), tenants.purge_obstacles(uuid),
    tenants.purge_tenant_schema(uuid), tenants.purge_rows(uuid, integer), tenants.purge_tenant(uuid), tenants.purge_remains(uuid) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION tenants.purge_obstacles(uuid), tenants.purge_tenant_schema(uuid), tenants.purge_rows(uuid, integer), tenants.purge_tenant(uuid), tenants.purge_remains(uuid) TO nself_server;
END
$migration$;
