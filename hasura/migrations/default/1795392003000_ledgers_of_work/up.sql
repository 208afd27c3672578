-- Sessions, signing keys, the audit log, the event inbox and idempotency keys.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795392003000, 'ledgers_of_work') THEN RETURN; END IF;

  CREATE TABLE auth.sessions (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id  uuid REFERENCES tenants.tenants ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    role       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz,
    end_reason text,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
  );
  COMMENT ON COLUMN auth.sessions.tenant_id IS 'null: signed in, no tenant chosen (role user)';
  CREATE INDEX ON auth.sessions (tenant_id, created_at) WHERE ended_at IS NULL;
  CREATE INDEX ON auth.sessions (user_id) WHERE ended_at IS NULL;

  CREATE TABLE auth.signing_keys (
    kid         text PRIMARY KEY,
    algorithm   text NOT NULL CHECK (algorithm IN ('ES256', 'RS256')),
    public_jwk  jsonb NOT NULL,
    private_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    retired_at  timestamptz
  );
  COMMENT ON COLUMN auth.signing_keys.private_key IS 'PKCS #8, sealed with AES-256-GCM under NSELF_ENCRYPTION_KEY';

  CREATE TABLE audit.log (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    tenant_id     uuid,
    actor_user_id uuid,
    actor_role    text NOT NULL,
    action        text NOT NULL,
    target        text NOT NULL,
    before        jsonb,
    after         jsonb,
    request_id    text
  );
  CREATE INDEX ON audit.log (tenant_id, id);
  CREATE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $function$
  BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
  END
  $function$;
  CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.log
    FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();

  -- What the server does it records itself, with the action's name. Every other writer
  -- (the operator through Hasura, a maintenance session) is recorded here, by row.
  CREATE FUNCTION audit.record_row_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'token_hash' END;
    now_ jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'token_hash' END;
    changed jsonb := coalesce(now_, was);
    session jsonb := tenants.current_session();
  BEGIN
    INSERT INTO audit.log (tenant_id, actor_user_id, actor_role, action, target, before, after)
    VALUES (
      (CASE WHEN TG_TABLE_NAME = 'tenants' THEN changed ->> 'id' ELSE changed ->> 'tenant_id' END)::uuid,
      (session ->> 'x-hasura-user-id')::uuid,
      coalesce(session ->> 'x-hasura-role', session_user),
      lower(TG_OP) || '_' || TG_TABLE_NAME,
      concat_ws(':', TG_TABLE_NAME, coalesce(changed ->> 'id', changed ->> 'user_id', changed ->> 'key', changed ->> 'code', changed ->> 'plan')),
      was, now_);
    RETURN NULL;
  END
  $function$;

  CREATE TABLE nself.inbox (
    source      text NOT NULL,
    event_id    text NOT NULL,
    trigger     text NOT NULL,
    state       text NOT NULL CHECK (state IN ('done', 'parked')),
    reason      text,
    deliveries  integer NOT NULL DEFAULT 1,
    payload     jsonb,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, event_id),
    CHECK ((state = 'parked') = (reason IS NOT NULL))
  );
  COMMENT ON TABLE nself.inbox IS 'one row per delivered event: its effect and this row are one transaction, so a second delivery finds it done';

  CREATE TABLE nself.idempotency_keys (
    actor        text NOT NULL,
    action       text NOT NULL,
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    tenant_id    uuid REFERENCES tenants.tenants ON DELETE CASCADE,
    request_hash bytea NOT NULL,
    reply        jsonb,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor, action, key)
  );
  COMMENT ON COLUMN nself.idempotency_keys.tenant_id IS 'null: an action outside any tenant, such as createTenant';
  CREATE INDEX ON nself.idempotency_keys (tenant_id);
END
$migration$;
