-- The walls around the tables of places, as `nself tenant protect --write` renders them
-- from hasura/tenant_tables.yaml, and the declaration that it changed.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795424400000, 'places_walls') THEN RETURN; END IF;

  ALTER TABLE "tenants"."tenant_schema_migrations" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "tenants"."tenant_schema_migrations" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "tenants"."tenant_schema_migrations" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  ALTER TABLE "tenants"."tenant_resources" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "tenants"."tenant_resources" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "tenants"."tenant_budgets" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "tenants"."tenant_budgets" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "nself"."moves" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "nself"."moves" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "nself"."move_changes" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "nself"."move_changes" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "nself"."move_changes" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "tenants"."tenant_schemas"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "tenants"."tenant_schemas" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  DROP POLICY "active_tenant" ON "tenants"."tenant_schemas";
  DROP POLICY "hasura_session" ON "tenants"."tenant_schemas";
  DROP POLICY "owner_all" ON "tenants"."tenant_schemas";
  DROP POLICY "server_all" ON "tenants"."tenant_schemas";
  CREATE POLICY "owner_all" ON "tenants"."tenant_schemas" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "tenants"."tenant_schemas" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "tenants"."tenant_schemas" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "tenants"."tenant_schemas" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "tenants"."tenant_schemas" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "tenants"."tenant_schemas" TO nself_hasura;
  GRANT SELECT, UPDATE ON "tenants"."tenant_schemas" TO nself_server;
  GRANT SELECT ON "tenants"."tenant_schemas" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_schemas","global":{"tenant_schemas_schema_name_key":"a database has one schema of each name"},"grants":{"nself_hasura":["select"],"nself_server":["select","update"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","schema_name","created_at","changed_at","tracked_at"],"aggregations":true},{"roles":["tenant_member","tenant_guest"],"select":["tenant_id","schema_name","created_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "tenants"."tenant_schema_migrations"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "tenants"."tenant_schema_migrations" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "tenants"."tenant_schema_migrations" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "tenants"."tenant_schema_migrations" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "tenants"."tenant_schema_migrations" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "tenants"."tenant_schema_migrations" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "tenants"."tenant_schema_migrations" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "tenants"."tenant_schema_migrations" TO nself_hasura;
  GRANT SELECT ON "tenants"."tenant_schema_migrations" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_schema_migrations","grants":{"nself_hasura":["select"],"nself_server":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","version","applied_at","took_ms"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "tenants"."tenant_resources"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "tenants"."tenant_resources" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "tenants"."tenant_resources" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "tenants"."tenant_resources" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "tenants"."tenant_resources" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "tenants"."tenant_resources" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "tenants"."tenant_resources" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "tenants"."tenant_resources" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "tenants"."tenant_resources" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_resources","global":{"tenant_resources_name_key":"a Redis has one user of each name, and a store one bucket"},"grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","kind","name","wanted","generation","made","made_at","created_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "tenants"."tenant_budgets"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "tenants"."tenant_budgets" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "tenants"."tenant_budgets" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "tenants"."tenant_budgets" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "tenants"."tenant_budgets" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "tenants"."tenant_budgets" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "tenants"."tenant_budgets" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "tenants"."tenant_budgets" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "tenants"."tenant_budgets" TO nself_server;
  GRANT SELECT ON "tenants"."tenant_budgets" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_budgets","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","statement_timeout_ms","connections","rows","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "nself"."moves"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "nself"."moves" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "nself"."moves" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "nself"."moves" TO nself_server
      USING (true)
      WITH CHECK (true);
  REVOKE ALL ON "nself"."moves" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "nself"."moves" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"nself.moves","grants":{"nself_server":["select"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "nself"."move_changes"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "nself"."move_changes" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "nself"."move_changes" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "nself"."move_changes" TO nself_server
      USING (true)
      WITH CHECK (true);
  REVOKE ALL ON "nself"."move_changes" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "nself"."move_changes" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"nself.move_changes","grants":{"nself_server":["select"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"}]}');
END
$migration$;
