-- The walls around the tables of usage and quota, as `nself tenant protect --write`
-- renders them from hasura/tenant_tables.yaml, and the declarations that it changed.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795410000000, 'usage_walls') THEN RETURN; END IF;
  SET LOCAL lock_timeout = '5s';

  ALTER TABLE "tenants"."storage_objects" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "tenants"."storage_objects" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "tenants"."storage_objects"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "tenants"."storage_objects" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "tenants"."storage_objects" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "tenants"."storage_objects" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "tenants"."storage_objects" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "tenants"."storage_objects" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "tenants"."storage_objects" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "tenants"."storage_objects" TO nself_app;
  GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER ON "tenants"."storage_objects" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "tenants"."storage_objects" TO nself_server;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "tenants"."storage_objects" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"tenants.storage_objects","grants":{"nself_app":["select","insert","update","delete"],"nself_hasura":["select","insert","update","delete","trigger"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update","delete"]},"permissions":[{"roles":["tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["tenant_id","id","name","size_bytes","content_type","created_at","updated_at"],"aggregations":true}]}');

  ALTER TABLE "billing"."tenant_limits" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."tenant_limits" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."tenant_limits"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."tenant_limits" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."tenant_limits" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."tenant_limits" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."tenant_limits" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."tenant_limits" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."tenant_limits" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."tenant_limits" TO nself_app;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."tenant_limits" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."tenant_limits" TO nself_server;
  GRANT SELECT ON "billing"."tenant_limits" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.tenant_limits","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","meter","limit","enforcement","expires_at","created_at","updated_at"],"aggregations":true}]}');

  ALTER TABLE "billing"."billing_cycles" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."billing_cycles" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."billing_cycles"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."billing_cycles" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."billing_cycles" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."billing_cycles" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."billing_cycles" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."billing_cycles" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."billing_cycles" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."billing_cycles" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."billing_cycles" TO nself_server;
  GRANT SELECT ON "billing"."billing_cycles" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.billing_cycles","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","anchor_at","updated_at"],"aggregations":true}]}');

  ALTER TABLE "billing"."usage_periods" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_periods" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_periods"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_periods" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_periods" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_periods" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_periods" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_periods" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_periods" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."usage_periods" TO nself_app;
  GRANT SELECT ON "billing"."usage_periods" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE ON "billing"."usage_periods" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "billing"."usage_periods" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_periods","grants":{"nself_app":["select"],"nself_hasura":["select"],"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","starts_at","ends_at","closed_at"],"aggregations":true}]}');

  ALTER TABLE "billing"."usage_totals" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_totals" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."usage_totals" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_totals"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_totals" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_totals" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_totals" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_totals" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_totals" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_totals" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."usage_totals" TO nself_app;
  GRANT SELECT, TRIGGER ON "billing"."usage_totals" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE ON "billing"."usage_totals" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "billing"."usage_totals" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_totals","grants":{"nself_app":["select"],"nself_hasura":["select","trigger"],"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","meter","period_start","used","held","events","reached","updated_at"],"aggregations":true}]}');

  ALTER TABLE "billing"."usage_records" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_records" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_records"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_records" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_records" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_records" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_records" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_records" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_records" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."usage_records" TO nself_hasura;
  GRANT SELECT, INSERT ON "billing"."usage_records" TO nself_server;
  GRANT SELECT, INSERT ON "billing"."usage_records" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_records","grants":{"nself_hasura":["select"],"nself_server":["select","insert"],"nself_tenant":["select","insert"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","meter","period_start","at","recorded_at","amount","value","idempotency_key","source"],"aggregations":true}]}');

  ALTER TABLE "billing"."usage_keys" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_keys" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_keys"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_keys" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_keys" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_keys" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_keys" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_keys" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_keys" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."usage_keys" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "billing"."usage_keys" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_keys","grants":{"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update"]}}');

  ALTER TABLE "billing"."usage_values" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_values" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."usage_values" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_values"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_values" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_values" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_values" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_values" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_values" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_values" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."usage_values" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "billing"."usage_values" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_values","grants":{"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update"]}}');

  ALTER TABLE "billing"."usage_daily" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_daily" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_daily"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_daily" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_daily" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_daily" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_daily" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_daily" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_daily" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."usage_daily" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."usage_daily" TO nself_server;
  GRANT SELECT ON "billing"."usage_daily" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_daily","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","meter","day","amount","events"],"aggregations":true}]}');

  ALTER TABLE "billing"."usage_drift" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_drift" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_drift"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_drift" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_drift" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_drift" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_drift" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_drift" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_drift" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."usage_drift" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."usage_drift" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_drift","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"]}}');

  ALTER TABLE "billing"."quota_reservations" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."quota_reservations" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."quota_reservations"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."quota_reservations" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."quota_reservations" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."quota_reservations" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."quota_reservations" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."quota_reservations" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."quota_reservations" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."quota_reservations" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."quota_reservations" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "billing"."quota_reservations" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.quota_reservations","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","id","meter","period_start","amount","state","settled","created_at","expires_at","ended_at"],"aggregations":true}]}');

  ALTER TABLE "billing"."quota_leases" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."quota_leases" ALTER COLUMN "tenant_id" SET NOT NULL;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."quota_leases"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."quota_leases" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."quota_leases" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."quota_leases" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."quota_leases" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."quota_leases" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."quota_leases" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."quota_leases" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."quota_leases" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"billing.quota_leases","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"]}}');

  ALTER TABLE "billing"."quota_notices" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."quota_notices" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."quota_notices" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."quota_notices"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."quota_notices" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."quota_notices" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."quota_notices" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."quota_notices" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."quota_notices" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."quota_notices" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."quota_notices" TO nself_hasura;
  GRANT SELECT, INSERT ON "billing"."quota_notices" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"billing.quota_notices","grants":{"nself_hasura":["select"],"nself_server":["select","insert"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","meter","period_start","threshold","used","limit","enforcement","noticed_at"],"aggregations":true}]}');

  REVOKE ALL ON "billing"."meters" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."meters" TO nself_app;
  GRANT SELECT ON "billing"."meters" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."meters" TO nself_server;
  GRANT SELECT ON "billing"."meters" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.meters","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["code","name","unit","aggregation","default_limit"],"aggregations":true}]}');

  GRANT TRIGGER ON tenants.tenant_members TO nself_hasura; -- Hasura's event trigger
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_members","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete","trigger"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update","delete"]},"permissions":[{"roles":["tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["tenant_id","user_id","role","joined_at","invited_by"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"nself.idempotency_keys","nullable":"an action outside any tenant, such as createTenant","global":{"idempotency_keys_pkey":"an actor''s key is the actor''s, whatever the tenant; actors cannot name one another"},"grants":{"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"},{"name":"claimed_tenant","to":["nself_tenant"],"using":"claimed_tenant","check":"claimed_tenant"}]}');
  PERFORM nself.declare_tenant_table('{"table":"billing.plan_limits","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["plan","meter","limit","enforcement","overage_minor","overage_unit"],"aggregations":true}]}');
END
$migration$;
