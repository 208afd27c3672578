-- The second wall: row-level security, grants and the audit of foreign writers.
DO $migration$
DECLARE
  wall record;
BEGIN
  IF NOT nself.begin_migration(1795392004000, 'isolation') THEN RETURN; END IF;

  -- The session's tenant while it may still act there: the tenant is active and the
  -- user, where the session names one, is a member in the very role the session claims.
  -- Null otherwise. Policies ask it once per statement.
  CREATE FUNCTION tenants.active_tenant_id() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    session jsonb := tenants.current_session();
    claimed uuid  := (session ->> 'x-hasura-tenant-id')::uuid;
  BEGIN
    PERFORM FROM tenants.tenants WHERE id = claimed AND status = 'active';
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF session ? 'x-hasura-user-id' THEN
      PERFORM FROM tenants.tenant_members
        WHERE tenant_id = claimed AND user_id = (session ->> 'x-hasura-user-id')::uuid
          AND coalesce(session ->> 'x-hasura-role' = 'tenant_' || role, true);
      IF NOT FOUND THEN RETURN NULL; END IF;
    END IF;
    RETURN claimed;
  END
  $function$;

  -- Whether the user is a member of the tenant, as far as the caller may see members.
  CREATE FUNCTION tenants.is_tenant_member(tenant uuid, "user" uuid) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN EXISTS (SELECT FROM tenants.tenant_members m
                   WHERE m.tenant_id = is_tenant_member.tenant AND m.user_id = is_tenant_member."user");

  -- The first of the candidates no tenant has; null where all are taken. Whoever may
  -- choose a slug learns from a refusal what this tells.
  CREATE FUNCTION tenants.free_slug(candidates text[]) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    RETURN (SELECT candidate FROM unnest(candidates) WITH ORDINALITY AS c (candidate, n)
            WHERE NOT EXISTS (SELECT FROM tenants.tenants WHERE slug = candidate) ORDER BY n LIMIT 1);

  -- A schema of its own for a tenant: <prefix><first 8 hex of the id>, more digits where
  -- that is taken. Returns its name. No role but the owner has any right in it yet.
  CREATE FUNCTION tenants.create_tenant_schema(tenant uuid, prefix text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    hex    text := replace(tenant::text, '-', '');
    digits integer := 8;
    chosen text;
  BEGIN
    LOOP
      chosen := prefix || left(hex, digits);
      EXIT WHEN to_regnamespace(quote_ident(chosen)) IS NULL;
      digits := digits + 1;
    END LOOP;
    EXECUTE format('CREATE SCHEMA %I', chosen);
    INSERT INTO tenants.tenant_schemas (tenant_id, schema_name) VALUES (tenant, chosen);
    RETURN chosen;
  END
  $function$;

  -- Tenant tables, the column that names the tenant, and who may do what beyond the
  -- owner. The policies are the same for all; the grants are not.
  FOR wall IN
    SELECT * FROM (VALUES
      ('tenants.tenants',            'id',        'SELECT, INSERT, UPDATE',         'SELECT, UPDATE',                 'SELECT', 'SELECT, INSERT, UPDATE, DELETE'),
      ('tenants.tenant_schemas',     'tenant_id', 'SELECT',                         'SELECT',                         NULL,     'SELECT'),
      ('tenants.tenant_members',     'tenant_id', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE'),
      ('tenants.tenant_invitations', 'tenant_id', 'SELECT, INSERT, UPDATE',         'SELECT, INSERT, UPDATE',         NULL,     'SELECT, INSERT, UPDATE, DELETE'),
      ('tenants.tenant_settings',    'tenant_id', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT', 'SELECT, INSERT, UPDATE, DELETE'),
      ('auth.sessions',              'tenant_id', 'SELECT, INSERT, UPDATE',         'SELECT',                         NULL,     'SELECT')
    ) AS declared (relation, tenant_column, server, tenant, app, hasura)
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', wall.relation);
    EXECUTE format('CREATE POLICY owner_all ON %s TO nself_owner USING (true) WITH CHECK (true)', wall.relation);
    EXECUTE format('CREATE POLICY server_all ON %s TO nself_server USING (true) WITH CHECK (true)', wall.relation);
    EXECUTE format('CREATE POLICY active_tenant ON %1$s TO nself_tenant, nself_app
      USING (%2$I = (SELECT tenants.active_tenant_id())) WITH CHECK (%2$I = (SELECT tenants.active_tenant_id()))',
      wall.relation, wall.tenant_column);
    EXECUTE format('CREATE POLICY hasura_session ON %1$s TO nself_hasura
      USING ((SELECT tenants.hasura_is_unbound()) OR %2$I = (SELECT tenants.active_tenant_id()))
      WITH CHECK ((SELECT tenants.hasura_is_unbound()) OR %2$I = (SELECT tenants.active_tenant_id()))',
      wall.relation, wall.tenant_column);
    EXECUTE format('GRANT %s ON %s TO nself_server', wall.server, wall.relation);
    IF wall.tenant IS NOT NULL THEN EXECUTE format('GRANT %s ON %s TO nself_tenant', wall.tenant, wall.relation); END IF;
    IF wall.app    IS NOT NULL THEN EXECUTE format('GRANT %s ON %s TO nself_app',    wall.app,    wall.relation); END IF;
    EXECUTE format('GRANT %s ON %s TO nself_hasura', wall.hasura, wall.relation);
  END LOOP;
  GRANT TRIGGER ON tenants.tenants TO nself_hasura; -- its event trigger

  -- Users are shared between tenants: a tenant sees those who are its members, and the
  -- identities local to it.
  ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY owner_all ON auth.users TO nself_owner USING (true) WITH CHECK (true);
  CREATE POLICY server_all ON auth.users TO nself_server USING (true) WITH CHECK (true);
  CREATE POLICY active_tenant ON auth.users FOR SELECT TO nself_tenant, nself_app
    USING (tenant_id = (SELECT tenants.active_tenant_id())
           OR EXISTS (SELECT FROM tenants.tenant_members m
                      WHERE m.user_id = users.id AND m.tenant_id = (SELECT tenants.active_tenant_id())));
  CREATE POLICY hasura_session ON auth.users FOR SELECT TO nself_hasura
    USING ((SELECT tenants.hasura_is_unbound())
           OR tenant_id = (SELECT tenants.active_tenant_id())
           OR EXISTS (SELECT FROM tenants.tenant_members m
                      WHERE m.user_id = users.id AND m.tenant_id = (SELECT tenants.active_tenant_id())));
  -- A tenant writes its own identities at most; a shared one belongs to its other tenants too.
  CREATE POLICY hasura_insert ON auth.users FOR INSERT TO nself_hasura
    WITH CHECK ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()));
  CREATE POLICY hasura_update ON auth.users FOR UPDATE TO nself_hasura
    USING ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()))
    WITH CHECK ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()));
  CREATE POLICY hasura_delete ON auth.users FOR DELETE TO nself_hasura
    USING ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()));
  GRANT SELECT, INSERT, UPDATE ON auth.users TO nself_server;
  GRANT SELECT ON auth.users TO nself_tenant, nself_app;
  GRANT SELECT, INSERT, UPDATE, DELETE ON auth.users TO nself_hasura;

  -- The audit log: everyone who acts appends, nobody changes. Appending looks at the
  -- tenant the session names, not at whether it is still active: the act that ends a
  -- membership is recorded after it.
  ALTER TABLE audit.log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY owner_append ON audit.log FOR INSERT TO nself_owner WITH CHECK (true);
  CREATE POLICY owner_read ON audit.log FOR SELECT TO nself_owner USING (true);
  CREATE POLICY server_append ON audit.log FOR INSERT TO nself_server WITH CHECK (true);
  CREATE POLICY server_read ON audit.log FOR SELECT TO nself_server USING (true);
  CREATE POLICY tenant_append ON audit.log FOR INSERT TO nself_tenant WITH CHECK (tenant_id = (SELECT tenants.current_tenant_id()));
  CREATE POLICY active_tenant ON audit.log FOR SELECT TO nself_tenant USING (tenant_id = (SELECT tenants.active_tenant_id()));
  CREATE POLICY hasura_session ON audit.log FOR SELECT TO nself_hasura
    USING ((SELECT tenants.hasura_is_unbound()) OR tenant_id = (SELECT tenants.active_tenant_id()));
  GRANT SELECT, INSERT ON audit.log TO nself_server, nself_tenant;
  GRANT SELECT ON audit.log TO nself_hasura;
  REVOKE UPDATE, DELETE, TRUNCATE ON audit.log FROM nself_owner;

  GRANT SELECT ON billing.plans, billing.plan_limits TO nself_server, nself_tenant, nself_app;
  GRANT SELECT, INSERT, UPDATE, DELETE ON billing.plans, billing.plan_limits TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE ON auth.signing_keys TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON nself.inbox TO nself_server;

  -- Kept replies are read again after the act that may have ended the membership.
  ALTER TABLE nself.idempotency_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY owner_all ON nself.idempotency_keys TO nself_owner USING (true) WITH CHECK (true);
  CREATE POLICY server_all ON nself.idempotency_keys TO nself_server USING (true) WITH CHECK (true);
  CREATE POLICY claimed_tenant ON nself.idempotency_keys TO nself_tenant
    USING (tenant_id = (SELECT tenants.current_tenant_id())) WITH CHECK (tenant_id = (SELECT tenants.current_tenant_id()));
  GRANT SELECT, INSERT, UPDATE ON nself.idempotency_keys TO nself_server, nself_tenant;
  GRANT USAGE ON SCHEMA nself TO nself_tenant;

  -- Rows that change by themselves behind a statement (a cascade, an owner who moves) are
  -- part of what the server records itself, and rows of their own for everyone else.
  FOR wall IN
    SELECT unnest(ARRAY['tenants.tenants', 'tenants.tenant_members', 'tenants.tenant_invitations', 'tenants.tenant_settings',
                        'auth.users', 'billing.plans', 'billing.plan_limits']) AS relation
  LOOP
    EXECUTE format('CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW
      WHEN (current_user NOT IN (''nself_server'', ''nself_tenant'')
            AND NOT (pg_trigger_depth() > 0 AND session_user = ''nself_server''))
      EXECUTE FUNCTION audit.record_row_change()', wall.relation);
  END LOOP;

  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenants, audit, nself FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION tenants.current_session(), tenants.current_tenant_id(), tenants.current_user_id(),
    tenants.active_tenant_id(), tenants.is_tenant_member(uuid, uuid) TO nself_server, nself_tenant, nself_app, nself_hasura;
  GRANT EXECUTE ON FUNCTION tenants.hasura_is_unbound() TO nself_hasura;
  GRANT EXECUTE ON FUNCTION tenants.create_tenant_schema(uuid, text) TO nself_server;
  GRANT EXECUTE ON FUNCTION tenants.free_slug(text[]) TO nself_server, nself_tenant;
END
$migration$;
