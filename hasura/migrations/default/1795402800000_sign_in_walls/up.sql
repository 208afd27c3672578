-- The walls around the tables of sign_in, as `nself tenant protect --write` renders them
-- from hasura/tenant_tables.yaml, and the declarations that it changed.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795402800000, 'sign_in_walls') THEN RETURN; END IF;

  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "auth"."identities"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "auth"."identities" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "auth"."identities" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "auth"."identities" TO nself_server
      USING (true)
      WITH CHECK (true);
  REVOKE ALL ON "auth"."identities" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT, INSERT ON "auth"."identities" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"auth.identities","nullable":"a provider that speaks for the installation''s shared identities","grants":{"nself_server":["select","insert"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"}]}');

  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "auth"."refresh_tokens"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "auth"."refresh_tokens" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "auth"."refresh_tokens" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "auth"."refresh_tokens" TO nself_server
      USING (true)
      WITH CHECK (true);
  REVOKE ALL ON "auth"."refresh_tokens" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "auth"."refresh_tokens" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"auth.refresh_tokens","nullable":"of a session of role user","global":{"refresh_tokens_pkey":"whoever refreshes has the token alone, which is random"},"grants":{"nself_server":["select","insert","update","delete"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"}]}');

  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "auth"."sign_in_links"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "auth"."sign_in_links" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "auth"."sign_in_links" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "auth"."sign_in_links" TO nself_server
      USING (true)
      WITH CHECK (true);
  REVOKE ALL ON "auth"."sign_in_links" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT, INSERT, UPDATE, DELETE ON "auth"."sign_in_links" TO nself_server;
  PERFORM nself.declare_tenant_table('{"table":"auth.sign_in_links","nullable":"a sign-in that names no tenant","global":{"sign_in_links_pkey":"named by the mail''s job alone, and random","sign_in_links_token_key":"whoever signs in has the token alone, which is random"},"grants":{"nself_server":["select","insert","update","delete"]},"policies":[{"name":"owner_all","to":["nself_owner"],"using":"everything","check":"everything"},{"name":"server_all","to":["nself_server"],"using":"everything","check":"everything"}]}');

  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "auth"."api_keys"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "auth"."api_keys" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "auth"."api_keys" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "auth"."api_keys" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "auth"."api_keys" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "auth"."api_keys" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "auth"."api_keys" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "auth"."api_keys" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE ON "auth"."api_keys" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "auth"."api_keys" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"auth.api_keys","global":{"api_keys_key_hash_key":"whoever shows a key has it alone, and it is random","api_keys_user_key":"the identity of a key is the key''s own, made with it"},"grants":{"nself_hasura":["select"],"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","id","name","prefix","role","user_id","created_by","created_at","expires_at","last_used_at","revoked_at"],"aggregations":true}]}');

  CREATE OR REPLACE TRIGGER "tenant_id_is_immutable" BEFORE UPDATE OF "tenant_id" ON "tenants"."ownership_transfers"
      FOR EACH ROW WHEN (OLD."tenant_id" IS DISTINCT FROM NEW."tenant_id") EXECUTE FUNCTION nself.refuse_tenant_change();
  ALTER TABLE "tenants"."ownership_transfers" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY "owner_all" ON "tenants"."ownership_transfers" TO nself_owner
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "server_all" ON "tenants"."ownership_transfers" TO nself_server
      USING (true)
      WITH CHECK (true);
  CREATE POLICY "active_tenant" ON "tenants"."ownership_transfers" TO nself_app, nself_tenant
      USING (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)))
      WITH CHECK (("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id)));
  CREATE POLICY "hasura_session" ON "tenants"."ownership_transfers" TO nself_hasura
      USING ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))))
      WITH CHECK ((( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR ("tenant_id" = ( SELECT tenants.active_tenant_id() AS active_tenant_id))));
  REVOKE ALL ON "tenants"."ownership_transfers" FROM PUBLIC, nself_app, nself_hasura, nself_server, nself_tenant;
  GRANT SELECT ON "tenants"."ownership_transfers" TO nself_hasura;
  GRANT SELECT, INSERT, UPDATE ON "tenants"."ownership_transfers" TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON "tenants"."ownership_transfers" TO nself_tenant;
  PERFORM nself.declare_tenant_table('{"table":"tenants.ownership_transfers","grants":{"nself_hasura":["select"],"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","id","from_user_id","to_user_id","offered_by","created_at","expires_at","accepted_at","ended_at"],"aggregations":true},{"roles":["tenant_member","tenant_guest"],"select":["tenant_id","id","from_user_id","to_user_id","offered_by","created_at","expires_at","accepted_at","ended_at"],"aggregations":true,"where":{"to_user_id":{"_eq":"X-Hasura-User-Id"}}}]}');

  GRANT DELETE ON auth.sessions TO nself_server; -- of those that ended long ago
  PERFORM nself.declare_tenant_table('{"table":"tenants.tenant_invitations","global":{"tenant_invitations_token_key":"whoever accepts has the token alone, which is random"},"grants":{"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update"],"nself_tenant":["select","insert","update"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["tenant_id","id","email","role","any_address","invited_by","created_at","expires_at","accepted_at","accepted_by","revoked_at"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"auth.users","rows":"members","nullable":"a shared identity, member of any number of tenants","global":{"users_pkey":"a shared identity is one person in every tenant"},"grants":{"nself_app":["select"],"nself_hasura":["select","insert","update","delete"],"nself_server":["select","insert","update"],"nself_tenant":["select"]},"permissions":[{"roles":["user"],"select":["id","email","name","kind","created_at","updated_at"],"where":{"id":{"_eq":"X-Hasura-User-Id"}}},{"roles":["tenant_owner","tenant_admin","tenant_member"],"select":["id","email","name","kind","created_at"],"aggregations":true},{"roles":["tenant_guest"],"select":["id","name","kind"],"aggregations":true}]}');
  PERFORM nself.declare_tenant_table('{"table":"auth.sessions","nullable":"a session of role user, which has chosen no tenant","global":{"sessions_pkey":"tokens name their session by this id alone, which is random"},"grants":{"nself_hasura":["select"],"nself_server":["select","insert","update","delete"],"nself_tenant":["select"]},"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["id","tenant_id","user_id","role","family_id","method","reason","user_agent","created_at","refreshed_at","expires_at","ended_at","end_reason"],"aggregations":true},{"roles":["tenant_member","tenant_guest"],"select":["id","tenant_id","user_id","role","family_id","method","reason","user_agent","created_at","refreshed_at","expires_at","ended_at","end_reason"],"aggregations":true,"where":{"user_id":{"_eq":"X-Hasura-User-Id"}}},{"roles":["user"],"select":["id","tenant_id","user_id","role","family_id","method","reason","user_agent","created_at","refreshed_at","expires_at","ended_at","end_reason"],"aggregations":true,"where":{"user_id":{"_eq":"X-Hasura-User-Id"}}}]}');
  PERFORM nself.declare_tenant_table('{"table":"audit.log","nullable":"what happened outside any tenant","global":{"log_pkey":"one log for all, numbered as it is written"},"outlives":"what a tenant did is on record after it is gone","grants":{"nself_hasura":["select"],"nself_server":["select","insert"],"nself_tenant":["select","insert"]},"policies":[{"name":"owner_append","for":"insert","to":["nself_owner"],"check":"everything"},{"name":"owner_read","for":"select","to":["nself_owner"],"using":"everything"},{"name":"server_append","for":"insert","to":["nself_server"],"check":"everything"},{"name":"server_read","for":"select","to":["nself_server"],"using":"everything"},{"name":"tenant_append","for":"insert","to":["nself_tenant"],"check":"claimed_tenant"},{"name":"active_tenant","for":"select","to":["nself_tenant"],"using":"active_tenant"},{"name":"hasura_session","for":"select","to":["nself_hasura"],"using":"hasura_session"}],"permissions":[{"roles":["tenant_owner","tenant_admin"],"select":["id","at","tenant_id","actor_user_id","actor_role","action","target","before","after","request_id","session_id","impersonator"],"aggregations":true}]}');
END
$migration$;
