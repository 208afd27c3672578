-- The walls around the tables of billing, as `nself tenant protect --write` renders them
-- from hasura/tenant_tables.yaml, and the declarations that it changed.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795417200000, 'billing_walls') THEN RETURN; END IF;
  SET LOCAL lock_timeout = '5s';

  ALTER TABLE "billing"."customers" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."customers" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."payment_methods" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."payment_methods" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."subscriptions" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."subscriptions" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."subscription_items" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."subscription_items" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."subscription_items" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  ALTER TABLE "billing"."invoices" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."invoices" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."payments" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."payments" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."accounts" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."accounts" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."tenant_addons" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."tenant_addons" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."operations" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."operations" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."effects" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."effects" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."overages" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."overages" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."overages" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  ALTER TABLE "billing"."drift" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."drift" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."usage_terms" ALTER COLUMN "tenant_id" SET DEFAULT tenants.current_tenant_id();
  ALTER TABLE "billing"."usage_terms" ALTER COLUMN "tenant_id" SET NOT NULL;
  ALTER TABLE "billing"."usage_terms" ADD FOREIGN KEY ("tenant_id") REFERENCES tenants.tenants ON DELETE CASCADE;
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."customers"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."customers" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."customers" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."customers" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."customers" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."customers" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."customers" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."customers" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."customers" TO nself_server;
  GRANT SELECT ON "billing"."customers" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.customers","global":{"customers_stripe_id_key":"Stripe''s id, which is random, and one customer is one tenant''s"},"grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","email","currency","balance_minor","delinquent","default_payment_method","clock_at","deleted_at","created_at","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."payment_methods"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."payment_methods" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."payment_methods" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."payment_methods" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."payment_methods" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."payment_methods" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."payment_methods" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."payment_methods" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."payment_methods" TO nself_server;
  GRANT SELECT ON "billing"."payment_methods" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.payment_methods","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","stripe_id","kind","brand","last4","exp_month","exp_year","created_at","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."subscriptions"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."subscriptions" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."subscriptions" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."subscriptions" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."subscriptions" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."subscriptions" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."subscriptions" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."subscriptions" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."subscriptions" TO nself_server;
  GRANT SELECT ON "billing"."subscriptions" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.subscriptions","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","stripe_id","status","plan","quantity","amount_minor","currency","current_period_start","current_period_end","trial_end","cancel_at_period_end","cancel_at","canceled_at","ended_at","keeps_plan","keeps_until","main","created_at","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."subscription_items"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."subscription_items" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."subscription_items" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."subscription_items" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."subscription_items" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."subscription_items" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."subscription_items" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."subscription_items" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."subscription_items" TO nself_server;
  GRANT SELECT ON "billing"."subscription_items" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.subscription_items","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","subscription_id","stripe_id","price_id","quantity","addon"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."invoices"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."invoices" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."invoices" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."invoices" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."invoices" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."invoices" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."invoices" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."invoices" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."invoices" TO nself_server;
  GRANT SELECT ON "billing"."invoices" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.invoices","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","stripe_id","subscription_id","number","status","reason","currency","subtotal_minor","tax_minor","total_minor","due_minor","paid_minor","remaining_minor","attempts","next_attempt_at","period_start","period_end","finalized_at","paid_at","hosted_url","pdf_url","created_at","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."payments"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."payments" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."payments" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."payments" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."payments" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."payments" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."payments" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."payments" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."payments" TO nself_server;
  GRANT SELECT ON "billing"."payments" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.payments","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","stripe_id","invoice_id","status","amount_minor","refunded_minor","currency","brand","last4","failure_code","failure_message","created_at","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."accounts"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."accounts" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."accounts" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."accounts" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."accounts" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."accounts" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."accounts" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."accounts" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."accounts" TO nself_server;
  GRANT SELECT ON "billing"."accounts" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.accounts","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","state","since","grace_until","reminders","due_at","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."tenant_addons"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."tenant_addons" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."tenant_addons" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."tenant_addons" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."tenant_addons" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."tenant_addons" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."tenant_addons" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."tenant_addons" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."tenant_addons" TO nself_server;
  GRANT SELECT ON "billing"."tenant_addons" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.tenant_addons","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","addon","quantity","updated_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."operations"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."operations" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."operations" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."operations" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."operations" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."operations" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."operations" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."operations" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."operations" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "billing"."operations" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.operations","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","id","kind","state","failure","created_at","updated_at","ended_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."effects"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."effects" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."effects" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."effects" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."effects" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."effects" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."effects" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."effects" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."effects" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"billing.effects","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"]}}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."overages"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."overages" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."overages" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."overages" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."overages" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."overages" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."overages" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."overages" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."overages" TO nself_server;
  GRANT SELECT ON "billing"."overages" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.overages","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner"],"select":["tenant_id","meter","period_start","billable","limit","units","amount_minor","currency","reported_at","created_at"],"aggregations":true}]}');
  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."drift"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."drift" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."drift" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."drift" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."drift" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."drift" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."drift" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."drift" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."drift" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"billing.drift","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"]}}');

  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "billing"."usage_terms"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "billing"."usage_terms" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "billing"."usage_terms" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "billing"."usage_terms" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "billing"."usage_terms" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "billing"."usage_terms" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "billing"."usage_terms" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."usage_terms" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."usage_terms" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"billing.usage_terms","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"]}}');
  REVOKE ALL ON "billing"."addons" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."addons" TO nself_app;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."addons" TO nself_hasura;
  GRANT SELECT ON "billing"."addons" TO nself_server;
  GRANT SELECT ON "billing"."addons" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.addons","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["code","name","price_minor","currency","position"],"aggregations":true}]}');
  REVOKE ALL ON "billing"."addon_limits" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "billing"."addon_limits" TO nself_app;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "billing"."addon_limits" TO nself_hasura;
  GRANT SELECT ON "billing"."addon_limits" TO nself_server;
  GRANT SELECT ON "billing"."addon_limits" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"billing.addon_limits","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["addon","meter","amount"],"aggregations":true}]}');

  PERFORM nself.declare_tenant_table('{"table":"billing.plans","rows":"shared","grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select"],"nself_tenant":["select"]},"permissions":[{"roles":["user","tenant_owner","tenant_admin","tenant_member","tenant_guest"],"select":["code","name","price_minor","currency","position","per_seat","trial_days"],"aggregations":true}]}');
END
$migration$;
