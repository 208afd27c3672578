-- Plans, users, tenants, members, invitations and settings.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795392002000, 'tenants') THEN RETURN; END IF;

  CREATE TABLE billing.plans (
    code        text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_-]{0,62}$'),
    name        text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    text NOT NULL DEFAULT 'usd' CHECK (currency ~ '^[a-z]{3}$'),
    position    integer NOT NULL DEFAULT 0
  );
  COMMENT ON COLUMN billing.plans.price_minor IS 'price per month in minor units of currency (cents)';

  CREATE TABLE billing.plan_limits (
    plan        text NOT NULL REFERENCES billing.plans ON UPDATE CASCADE ON DELETE CASCADE,
    meter       text NOT NULL CHECK (meter ~ '^[a-z][a-z0-9_]{0,62}$'),
    "limit"     bigint NOT NULL CHECK ("limit" >= -1),
    enforcement text NOT NULL DEFAULT 'hard' CHECK (enforcement IN ('soft', 'hard')),
    PRIMARY KEY (plan, meter)
  );
  COMMENT ON COLUMN billing.plan_limits."limit" IS 'in the meter''s own unit (storage: bytes); -1 is unlimited';

  INSERT INTO billing.plans (code, name, price_minor, position) VALUES
    ('free', 'Free', 0, 1), ('starter', 'Starter', 2900, 2),
    ('pro', 'Pro', 9900, 3), ('enterprise', 'Enterprise', 49900, 4);
  INSERT INTO billing.plan_limits (plan, meter, "limit") VALUES
    ('free', 'users', 5),        ('free', 'storage', 1::bigint << 30),          ('free', 'api_requests', 10000),     ('free', 'compute_hours', 10),
    ('starter', 'users', 10),    ('starter', 'storage', 10::bigint << 30),      ('starter', 'api_requests', 50000),  ('starter', 'compute_hours', 10),
    ('pro', 'users', 50),        ('pro', 'storage', 100::bigint << 30),         ('pro', 'api_requests', 100000),     ('pro', 'compute_hours', -1),
    ('enterprise', 'users', -1), ('enterprise', 'storage', -1),                 ('enterprise', 'api_requests', -1),  ('enterprise', 'compute_hours', -1);

  CREATE TABLE auth.users (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id  uuid,
    email      text NOT NULL CHECK (email = lower(email) AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$' AND length(email) <= 254),
    name       text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_key UNIQUE NULLS NOT DISTINCT (tenant_id, email)
  );
  COMMENT ON COLUMN auth.users.tenant_id IS 'null: a shared identity, member of any number of tenants; set: an identity local to that tenant';

  CREATE TABLE tenants.tenants (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug           text NOT NULL CONSTRAINT tenants_slug_key UNIQUE
                   CONSTRAINT tenants_slug_check CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$' AND slug !~ '^xn--'
                     AND slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'), -- named by id or slug: never both
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'deleted')),
    strategy       text NOT NULL DEFAULT 'rls' CHECK (strategy IN ('rls', 'schema')),
    plan           text NOT NULL DEFAULT 'free' REFERENCES billing.plans ON UPDATE CASCADE,
    owner_user_id  uuid NOT NULL REFERENCES auth.users,
    metadata       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object' AND length(metadata::text) <= 65536),
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    suspended_at   timestamptz,
    suspend_reason text,
    deleted_at     timestamptz,
    purge_after    timestamptz,
    -- A tenant deleted while suspended comes back suspended, so deletion keeps suspended_at.
    CONSTRAINT tenants_status_dates CHECK (CASE status
      WHEN 'active'    THEN suspended_at IS NULL AND deleted_at IS NULL AND purge_after IS NULL
      WHEN 'suspended' THEN suspended_at IS NOT NULL AND deleted_at IS NULL AND purge_after IS NULL
      ELSE deleted_at IS NOT NULL AND purge_after IS NOT NULL END)
  );
  CREATE INDEX ON tenants.tenants (owner_user_id);
  CREATE INDEX ON tenants.tenants (plan);
  ALTER TABLE auth.users ADD CONSTRAINT users_tenant_fkey FOREIGN KEY (tenant_id) REFERENCES tenants.tenants ON DELETE CASCADE;

  CREATE TABLE tenants.tenant_schemas (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants.tenants ON DELETE CASCADE,
    schema_name text NOT NULL CONSTRAINT tenant_schemas_schema_name_key UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
  );

  CREATE TABLE tenants.tenant_members (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'guest')),
    joined_at  timestamptz NOT NULL DEFAULT now(),
    invited_by uuid REFERENCES auth.users ON DELETE SET NULL,
    PRIMARY KEY (tenant_id, user_id)
  );
  CREATE INDEX ON tenants.tenant_members (user_id);
  CREATE INDEX ON tenants.tenant_members (invited_by);
  -- The owner a tenant names is one of its members; checked at commit, so that both
  -- rows can be written in one transaction.
  ALTER TABLE tenants.tenants ADD CONSTRAINT tenants_owner_is_member
    FOREIGN KEY (id, owner_user_id) REFERENCES tenants.tenant_members (tenant_id, user_id) DEFERRABLE INITIALLY DEFERRED;

  CREATE TABLE tenants.tenant_invitations (
    tenant_id   uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    email       text NOT NULL CHECK (email = lower(email) AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$' AND length(email) <= 254),
    role        text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'guest')),
    token_hash  bytea NOT NULL CONSTRAINT tenant_invitations_token_key UNIQUE,
    invited_by  uuid REFERENCES auth.users ON DELETE SET NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    accepted_at timestamptz,
    accepted_by uuid REFERENCES auth.users ON DELETE SET NULL,
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
  );
  COMMENT ON COLUMN tenants.tenant_invitations.token_hash IS 'SHA-256 of the token, which is shown once and kept nowhere';
  CREATE UNIQUE INDEX tenant_invitations_open_key ON tenants.tenant_invitations (tenant_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;

  CREATE TABLE tenants.tenant_settings (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    key        text NOT NULL CHECK (key ~ '^[a-z][a-z0-9_.-]{0,127}$'),
    value      jsonb NOT NULL CHECK (length(value::text) <= 65536),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
  );

  -- Always at least one owner, whichever door wrote the row. The tenant's row is the
  -- lock: two owners who leave at once are taken one after the other, and one who is
  -- just leaving (the row is locked) is no heir. The owner the tenant names moves to
  -- another owner where it has to. Writers lock members first, then the tenant.
  CREATE FUNCTION tenants.keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    named uuid;
    heir  uuid;
  BEGIN
    SELECT owner_user_id INTO named FROM tenants.tenants WHERE id = OLD.tenant_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN NULL; END IF; -- the tenant itself is going
    SELECT user_id INTO heir FROM tenants.tenant_members
      WHERE tenant_id = OLD.tenant_id AND role = 'owner'
      ORDER BY (user_id = named) DESC, joined_at, user_id LIMIT 1
      FOR KEY SHARE SKIP LOCKED;
    IF heir IS NULL THEN
      RAISE EXCEPTION 'tenant % would be left without an owner', OLD.tenant_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_members_keep_an_owner', SCHEMA = 'tenants', TABLE = 'tenant_members';
    END IF;
    IF heir <> named THEN
      UPDATE tenants.tenants SET owner_user_id = heir WHERE id = OLD.tenant_id;
    END IF;
    RETURN NULL;
  END
  $function$;
  CREATE TRIGGER keep_an_owner_on_delete AFTER DELETE ON tenants.tenant_members
    FOR EACH ROW WHEN (OLD.role = 'owner') EXECUTE FUNCTION tenants.keep_an_owner();
  CREATE TRIGGER keep_an_owner_on_update AFTER UPDATE OF role ON tenants.tenant_members
    FOR EACH ROW WHEN (OLD.role = 'owner' AND NEW.role <> 'owner') EXECUTE FUNCTION tenants.keep_an_owner();

  -- The owner a tenant names is one of its owners, once the transaction is done.
  CREATE FUNCTION tenants.refuse_unowned() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF NOT EXISTS (SELECT FROM tenants.tenants t JOIN tenants.tenant_members m ON m.tenant_id = t.id AND m.user_id = t.owner_user_id
                   WHERE t.id = NEW.id AND m.role = 'owner') THEN
      RAISE EXCEPTION 'the owner that tenant % names is no owner of it', NEW.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenants_name_an_owner', SCHEMA = 'tenants', TABLE = 'tenants';
    END IF;
    RETURN NULL;
  END
  $function$;
  CREATE CONSTRAINT TRIGGER name_an_owner AFTER INSERT OR UPDATE OF owner_user_id ON tenants.tenants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenants.refuse_unowned();

  -- An identity local to one tenant joins no other.
  CREATE FUNCTION tenants.refuse_foreign_identity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF EXISTS (SELECT FROM auth.users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id) THEN
      RAISE EXCEPTION 'user % belongs to another tenant', NEW.user_id
        USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'tenant_members_local_identity', SCHEMA = 'tenants', TABLE = 'tenant_members';
    END IF;
    RETURN NEW;
  END
  $function$;
  CREATE TRIGGER refuse_foreign_identity BEFORE INSERT OR UPDATE OF user_id ON tenants.tenant_members
    FOR EACH ROW EXECUTE FUNCTION tenants.refuse_foreign_identity();

  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON auth.users FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();
  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON tenants.tenants FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();
  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON tenants.tenant_settings FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();

  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON tenants.tenant_members
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON tenants.tenant_invitations
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON tenants.tenant_settings
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON tenants.tenant_schemas
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER tenant_id_is_immutable BEFORE UPDATE OF tenant_id ON auth.users
    FOR EACH ROW WHEN (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id) EXECUTE FUNCTION nself.refuse_tenant_change();
  CREATE TRIGGER id_is_immutable BEFORE UPDATE OF id ON tenants.tenants
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id) EXECUTE FUNCTION nself.refuse_tenant_change();
END
$migration$;
