-- Signing in: links by mail, identities of providers, refresh tokens, API keys; sessions
-- that both walls ask; transfers that the receiver confirms; the user quota.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795399200000, 'sign_in') THEN RETURN; END IF;
  -- Whoever waits for a lock holds up all that come after; better to stop here, with
  -- nothing done, and to be run again. What others read all the time is altered last.
  SET LOCAL lock_timeout = '5s';

  CREATE TABLE auth.identities (
    tenant_id  uuid REFERENCES tenants.tenants ON DELETE CASCADE,
    issuer     text NOT NULL CHECK (length(issuer) <= 500),
    subject    text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id    uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT identities_key UNIQUE NULLS NOT DISTINCT (tenant_id, issuer, subject)
  );
  CREATE INDEX ON auth.identities (user_id);
  COMMENT ON TABLE auth.identities IS 'who a subject of an identity provider is here';
  COMMENT ON COLUMN auth.identities.tenant_id IS 'null: a provider of the installation; set: a provider that speaks for that tenant alone';

  CREATE TABLE auth.sign_in_links (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id    uuid REFERENCES tenants.tenants ON DELETE CASCADE,
    email        text NOT NULL,
    token_hash   bytea NOT NULL CONSTRAINT sign_in_links_token_key UNIQUE,
    browser_hash bytea NOT NULL,
    code_hash    bytea NOT NULL,
    redirect_to  text NOT NULL DEFAULT '',
    wrong_codes  integer NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
  );
  CREATE INDEX ON auth.sign_in_links (tenant_id);
  CREATE INDEX ON auth.sign_in_links (expires_at);
  COMMENT ON COLUMN auth.sign_in_links.browser_hash IS 'SHA-256 of the cookie of the browser that asked';
  COMMENT ON COLUMN auth.sign_in_links.code_hash IS 'of the code that another browser has to be told';

  CREATE UNLOGGED TABLE auth.rate_limits (
    key          text NOT NULL,
    window_start timestamptz NOT NULL,
    count        integer NOT NULL,
    PRIMARY KEY (key, window_start)
  );
  COMMENT ON COLUMN auth.rate_limits.key IS 'what is counted, and the SHA-256 of whose';

  CREATE TABLE auth.api_keys (
    tenant_id    uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    prefix       text NOT NULL,
    key_hash     bytea NOT NULL CONSTRAINT api_keys_key_hash_key UNIQUE,
    role         text NOT NULL CHECK (role IN ('admin', 'member', 'guest')),
    user_id      uuid NOT NULL CONSTRAINT api_keys_user_key UNIQUE REFERENCES auth.users ON DELETE CASCADE,
    created_by   uuid REFERENCES auth.users ON DELETE SET NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant_id, id)
  );
  CREATE INDEX ON auth.api_keys (created_by);
  COMMENT ON COLUMN auth.api_keys.key_hash IS 'SHA-256 of the key, which is shown once and kept nowhere';
  COMMENT ON COLUMN auth.api_keys.user_id IS 'the identity it acts as: local to the tenant, a member in its role';
  COMMENT ON COLUMN auth.api_keys.last_used_at IS 'to the minute';

  CREATE TABLE tenants.ownership_transfers (
    tenant_id    uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    from_user_id uuid NOT NULL,
    to_user_id   uuid NOT NULL,
    offered_by   uuid REFERENCES auth.users ON DELETE SET NULL,
    by_operator  boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    accepted_at  timestamptz,
    ended_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, from_user_id) REFERENCES tenants.tenant_members ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, to_user_id) REFERENCES tenants.tenant_members ON DELETE CASCADE,
    CHECK (from_user_id <> to_user_id),
    CHECK (accepted_at IS NULL OR ended_at IS NULL)
  );
  CREATE INDEX ON tenants.ownership_transfers (tenant_id, from_user_id);
  CREATE INDEX ON tenants.ownership_transfers (tenant_id, to_user_id);
  CREATE INDEX ON tenants.ownership_transfers (offered_by);
  CREATE UNIQUE INDEX ownership_transfers_open_key ON tenants.ownership_transfers (tenant_id)
    WHERE accepted_at IS NULL AND ended_at IS NULL;
  COMMENT ON COLUMN tenants.ownership_transfers.ended_at IS 'declined by the receiver or taken back';

  -- No more people than the plan's hard limit, whichever door wrote the row. The tenant's
  -- row is the lock: two who join at once are counted one after the other.
  CREATE FUNCTION tenants.keep_user_quota() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    most    bigint;
    present bigint;
  BEGIN
    IF EXISTS (SELECT FROM auth.users WHERE id = NEW.user_id AND kind = 'service') THEN RETURN NULL; END IF;
    SELECT l."limit" INTO most
      FROM tenants.tenants t JOIN billing.plan_limits l ON l.plan = t.plan AND l.meter = 'users' AND l.enforcement = 'hard'
      WHERE t.id = NEW.tenant_id FOR NO KEY UPDATE OF t;
    IF coalesce(most, -1) = -1 THEN RETURN NULL; END IF;
    SELECT count(*) INTO present
      FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id AND u.kind = 'person'
      WHERE m.tenant_id = NEW.tenant_id;
    IF present > most THEN
      RAISE EXCEPTION 'tenant % may have % users', NEW.tenant_id, most
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_members_user_quota', SCHEMA = 'tenants', TABLE = 'tenant_members',
              DETAIL = json_build_object('limit', most, 'current', present - 1)::text;
    END IF;
    RETURN NULL;
  END
  $function$;
  CREATE TRIGGER keep_user_quota AFTER INSERT ON tenants.tenant_members
    FOR EACH ROW EXECUTE FUNCTION tenants.keep_user_quota();

  -- A machine owns no tenant.
  CREATE FUNCTION tenants.refuse_service_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF EXISTS (SELECT FROM auth.users WHERE id = NEW.user_id AND kind = 'service') THEN
      RAISE EXCEPTION 'user % is the identity of an API key and owns no tenant', NEW.user_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_members_service_role', SCHEMA = 'tenants', TABLE = 'tenant_members';
    END IF;
    RETURN NEW;
  END
  $function$;
  CREATE TRIGGER refuse_service_owner BEFORE INSERT OR UPDATE OF role ON tenants.tenant_members
    FOR EACH ROW WHEN (NEW.role = 'owner') EXECUTE FUNCTION tenants.refuse_service_owner();

  -- A key stands while whoever made it may make such a one: who is put out keeps no way in.
  CREATE FUNCTION tenants.end_keys_of_maker() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    gone  jsonb := to_jsonb(OLD);
    maker uuid  := (CASE TG_TABLE_NAME WHEN 'users' THEN gone ->> 'id' ELSE gone ->> 'user_id' END)::uuid;
    place uuid  := CASE TG_TABLE_NAME WHEN 'users' THEN NULL ELSE (gone ->> 'tenant_id')::uuid END; -- null: everywhere
  BEGIN
    UPDATE auth.api_keys SET revoked_at = now()
      WHERE created_by = maker AND (place IS NULL OR tenant_id = place) AND revoked_at IS NULL;
    DELETE FROM tenants.tenant_members m USING auth.api_keys k
      WHERE k.created_by = maker AND (place IS NULL OR k.tenant_id = place) AND m.tenant_id = k.tenant_id AND m.user_id = k.user_id;
    RETURN OLD;
  END
  $function$;
  CREATE TRIGGER end_keys_on_delete AFTER DELETE ON tenants.tenant_members
    FOR EACH ROW WHEN (OLD.role IN ('owner', 'admin')) EXECUTE FUNCTION tenants.end_keys_of_maker();
  CREATE TRIGGER end_keys_on_update AFTER UPDATE OF role ON tenants.tenant_members
    FOR EACH ROW WHEN (OLD.role IN ('owner', 'admin') AND NEW.role NOT IN ('owner', 'admin')) EXECUTE FUNCTION tenants.end_keys_of_maker();

  -- What every server keeps in memory of who may do what it forgets within a second, by
  -- these notifications on the channel nself_access; whichever door wrote.
  CREATE FUNCTION nself.notify_tenant_access() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    IF TG_TABLE_NAME = 'tenants' THEN
      PERFORM pg_notify('nself_access', 'tenant:' || OLD.id);
    ELSE
      PERFORM pg_notify('nself_access', 'tenant:' || OLD.tenant_id);
    END IF;
    RETURN NULL;
  END
  $function$;
  CREATE TRIGGER notify_access AFTER DELETE OR UPDATE OF status ON tenants.tenants
    FOR EACH ROW EXECUTE FUNCTION nself.notify_tenant_access();
  CREATE TRIGGER notify_access AFTER DELETE OR UPDATE OF role ON tenants.tenant_members
    FOR EACH ROW EXECUTE FUNCTION nself.notify_tenant_access();

  -- Of sessions that ended, and of running ones that went with their membership or user.
  CREATE FUNCTION nself.notify_session_access() RETURNS trigger LANGUAGE plpgsql AS $function$
  DECLARE
    gone uuid[] := ARRAY(SELECT id FROM changed
      WHERE CASE TG_OP WHEN 'DELETE' THEN ended_at IS NULL AND expires_at > now() ELSE ended_at IS NOT NULL END LIMIT 101);
  BEGIN
    IF cardinality(gone) > 100 THEN
      PERFORM pg_notify('nself_access', '*');
    ELSE
      PERFORM pg_notify('nself_access', 'session:' || one) FROM unnest(gone) AS one;
    END IF;
    RETURN NULL;
  END
  $function$;

  CREATE FUNCTION nself.notify_keys_access() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    PERFORM pg_notify('nself_access', 'keys');
    RETURN NULL;
  END
  $function$;

  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON tenants.ownership_transfers FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();
  CREATE TRIGGER record_row_change AFTER INSERT OR UPDATE OR DELETE ON auth.api_keys FOR EACH ROW
    WHEN (current_user NOT IN ('nself_server', 'nself_tenant') AND NOT (pg_trigger_depth() > 0 AND session_user = 'nself_server'))
    EXECUTE FUNCTION audit.record_row_change();

  ALTER TABLE tenants.tenant_invitations
    ADD COLUMN any_address boolean NOT NULL DEFAULT false,
    ADD COLUMN by_operator boolean NOT NULL DEFAULT false;
  UPDATE tenants.tenant_invitations SET by_operator = true WHERE invited_by IS NULL AND accepted_at IS NULL AND revoked_at IS NULL;
  COMMENT ON COLUMN tenants.tenant_invitations.by_operator IS 'nobody''s leave or removal ends it; where it is false and invited_by null, whoever sent it is gone';
  COMMENT ON COLUMN tenants.tenant_invitations.any_address IS 'an owner''s choice: whoever has the token may accept, whatever the address';

  ALTER TABLE auth.signing_keys ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now();
  UPDATE auth.signing_keys SET signs_from = created_at;
  COMMENT ON COLUMN auth.signing_keys.signs_from IS 'published before it signs, so that verifiers know it by then; the newest that has begun signs';
  COMMENT ON COLUMN auth.signing_keys.retired_at IS 'until then it is published, for the tokens it signed';
  CREATE TRIGGER notify_access AFTER INSERT OR UPDATE OR DELETE ON auth.signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION nself.notify_keys_access();

  -- A session is one sign-in in one tenant, and a part of the membership it rests on:
  -- both go together. Choosing another tenant opens another session of the same family.
  -- The sessions of before go: no token names them, and none of those is taken any more.
  TRUNCATE auth.sessions;
  -- The defaults are for servers of the version before, which go on minting while they
  -- are replaced: such a session is a family of its own, as the operator's tokens are.
  ALTER TABLE auth.sessions
    ADD COLUMN family_id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN method text NOT NULL DEFAULT 'operator'
      CHECK (method IN ('link', 'exchange', 'api_key', 'operator', 'impersonation')),
    ADD COLUMN reason text CHECK (length(reason) <= 500),
    ADD COLUMN user_agent text NOT NULL DEFAULT '' CHECK (length(user_agent) <= 300),
    ADD COLUMN refreshed_at timestamptz,
    ADD CONSTRAINT sessions_tenant_key UNIQUE (tenant_id, id),
    ADD CONSTRAINT sessions_member_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES tenants.tenant_members ON DELETE CASCADE,
    ADD CONSTRAINT sessions_impersonation_has_a_reason CHECK (method <> 'impersonation' OR reason IS NOT NULL);
  COMMENT ON COLUMN auth.sessions.family_id IS 'the session that was signed in to; a session of another tenant chosen from it is of its family';
  COMMENT ON COLUMN auth.sessions.expires_at IS 'no token of the session is good past it';
  CREATE INDEX ON auth.sessions (tenant_id, user_id);
  CREATE INDEX ON auth.sessions (family_id);
  DROP INDEX auth.sessions_user_id_idx; -- of the running ones alone
  CREATE INDEX ON auth.sessions (user_id);

  CREATE TABLE auth.refresh_tokens (
    token_hash bytea PRIMARY KEY,
    tenant_id  uuid REFERENCES tenants.tenants ON DELETE CASCADE,
    session_id uuid NOT NULL,
    user_id    uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    spent_at   timestamptz,
    FOREIGN KEY (tenant_id, session_id) REFERENCES auth.sessions (tenant_id, id) ON DELETE CASCADE
  );
  CREATE INDEX ON auth.refresh_tokens (tenant_id, session_id);
  CREATE INDEX ON auth.refresh_tokens (session_id);
  CREATE INDEX ON auth.refresh_tokens (user_id);
  CREATE INDEX ON auth.refresh_tokens (expires_at);
  COMMENT ON COLUMN auth.refresh_tokens.token_hash IS 'SHA-256 of the token, which is kept nowhere';

  CREATE TRIGGER notify_access AFTER UPDATE ON auth.sessions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION nself.notify_session_access();
  CREATE TRIGGER notify_access_gone AFTER DELETE ON auth.sessions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION nself.notify_session_access();

  -- A session that is named and has ended is no session: at the next statement.
  CREATE OR REPLACE FUNCTION tenants.active_tenant_id() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    session jsonb := tenants.current_session();
    claimed uuid  := (session ->> 'x-hasura-tenant-id')::uuid;
    person  uuid  := (session ->> 'x-hasura-user-id')::uuid;
    named   uuid  := (session ->> 'x-hasura-session-id')::uuid;
  BEGIN
    PERFORM FROM tenants.tenants WHERE id = claimed AND status = 'active';
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF session ? 'x-hasura-user-id' THEN
      PERFORM FROM tenants.tenant_members
        WHERE tenant_id = claimed AND user_id = person
          AND coalesce(session ->> 'x-hasura-role' = 'tenant_' || role, true);
      IF NOT FOUND THEN RETURN NULL; END IF;
    END IF;
    IF session ? 'x-hasura-session-id' THEN
      PERFORM FROM auth.sessions WHERE id = named AND tenant_id = claimed AND user_id = person AND ended_at IS NULL;
      IF NOT FOUND THEN RETURN NULL; END IF;
    END IF;
    RETURN claimed;
  END
  $function$;

  -- The log tells by which session, and whether somebody else sat in the user's place.
  ALTER TABLE audit.log ADD COLUMN session_id uuid, ADD COLUMN impersonator text;
  COMMENT ON COLUMN audit.log.impersonator IS 'who acted as actor_user_id; null: the user';
  CREATE OR REPLACE FUNCTION audit.record_row_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'token_hash' - 'key_hash' END;
    now_ jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'token_hash' - 'key_hash' END;
    changed jsonb := coalesce(now_, was);
    session jsonb := tenants.current_session();
  BEGIN
    INSERT INTO audit.log (tenant_id, actor_user_id, actor_role, action, target, before, after, session_id, impersonator)
    VALUES (
      (CASE WHEN TG_TABLE_NAME = 'tenants' THEN changed ->> 'id' ELSE changed ->> 'tenant_id' END)::uuid,
      (session ->> 'x-hasura-user-id')::uuid,
      coalesce(session ->> 'x-hasura-role', session_user),
      lower(TG_OP) || '_' || TG_TABLE_NAME,
      concat_ws(':', TG_TABLE_NAME, coalesce(changed ->> 'id', changed ->> 'user_id', changed ->> 'key', changed ->> 'code', changed ->> 'plan')),
      was, now_,
      (session ->> 'x-hasura-session-id')::uuid,
      session ->> 'x-hasura-impersonator');
    RETURN NULL;
  END
  $function$;

  ALTER TABLE auth.users
    ADD COLUMN kind text NOT NULL DEFAULT 'person' CHECK (kind IN ('person', 'service')),
    ADD CONSTRAINT users_service_is_local CHECK (kind = 'person' OR tenant_id IS NOT NULL);
  COMMENT ON COLUMN auth.users.kind IS 'service: the identity of an API key, which cannot sign in by mail';
  -- Before, while the keys still name their maker.
  CREATE TRIGGER end_keys_on_delete BEFORE DELETE ON auth.users
    FOR EACH ROW WHEN (OLD.kind = 'person') EXECUTE FUNCTION tenants.end_keys_of_maker();

  REVOKE ALL ON FUNCTION tenants.keep_user_quota(), tenants.refuse_service_owner(), tenants.end_keys_of_maker(), nself.notify_tenant_access(),
    nself.notify_session_access(), nself.notify_keys_access() FROM PUBLIC;
  GRANT SELECT, INSERT, UPDATE, DELETE ON auth.rate_limits TO nself_server;
END
$migration$;
