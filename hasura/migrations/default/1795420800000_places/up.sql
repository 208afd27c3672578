-- Where a tenant's data is: the migrations of tenants with a schema of their own and how
-- far each is, moves between the strategies, tables that are being adopted, the places
-- outside the database, what one tenant may take of the machine, and what was purged.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795420800000, 'places') THEN RETURN; END IF;

  -- The customer's own migrations of a tenant's schema, as `nself tenant migrate` took them
  -- in. What stands here never changes: a tenant made later gets the very same.
  CREATE TABLE nself.tenant_migrations (
    version       bigint PRIMARY KEY CHECK (version > 0),
    name          text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_]{0,79}$'),
    body          text NOT NULL,
    checksum      text NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    registered_at timestamptz NOT NULL DEFAULT now()
  );
  COMMENT ON COLUMN nself.tenant_migrations.checksum IS 'SHA-256 of the body, in hex';

  ALTER TABLE tenants.tenant_schemas
    ADD COLUMN changed_at     timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN tracked_at     timestamptz,
    ADD COLUMN failed_version bigint,
    ADD COLUMN failure        text CHECK (length(failure) <= 2000),
    ADD COLUMN failed_at      timestamptz,
    ADD CONSTRAINT tenant_schemas_failure CHECK ((failed_at IS NULL) = (failure IS NULL) AND (failed_at IS NULL) = (failed_version IS NULL));
  COMMENT ON COLUMN tenants.tenant_schemas.changed_at IS 'when its tables last changed';
  COMMENT ON COLUMN tenants.tenant_schemas.tracked_at IS 'the changed_at that Hasura knows; null: it knows none';
  CREATE INDEX tenant_schemas_untracked ON tenants.tenant_schemas (changed_at) WHERE tracked_at IS NULL OR tracked_at < changed_at;

  CREATE TABLE tenants.tenant_schema_migrations (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenant_schemas ON DELETE CASCADE,
    version    bigint NOT NULL REFERENCES nself.tenant_migrations,
    applied_at timestamptz NOT NULL DEFAULT now(),
    took_ms    integer NOT NULL CHECK (took_ms >= 0),
    PRIMARY KEY (tenant_id, version)
  );
  CREATE INDEX ON tenants.tenant_schema_migrations (version);

  -- One move of a tenant between the strategies; at most one is open.
  CREATE TABLE nself.moves (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    target     text NOT NULL CHECK (target IN ('rls', 'schema')),
    state      text NOT NULL DEFAULT 'copying' CHECK (state IN ('copying', 'cut', 'confirmed', 'undone')),
    plan       jsonb NOT NULL,
    progress   jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT now(),
    cut_at     timestamptz,
    ended_at   timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT moves_dates CHECK ((state IN ('confirmed', 'undone')) = (ended_at IS NOT NULL) AND (state <> 'copying' OR cut_at IS NULL))
  );
  CREATE UNIQUE INDEX moves_open_key ON nself.moves (tenant_id) WHERE state IN ('copying', 'cut');

  -- The rows that changed while a move copies, and after its cut-over until it is confirmed.
  CREATE TABLE nself.move_changes (
    tenant_id uuid NOT NULL,
    move_id   uuid NOT NULL,
    seq       bigint GENERATED ALWAYS AS IDENTITY,
    relation  text NOT NULL,
    key       jsonb NOT NULL,
    PRIMARY KEY (tenant_id, move_id, seq),
    FOREIGN KEY (tenant_id, move_id) REFERENCES nself.moves ON DELETE CASCADE
  );

  -- Tables of a live database on their way behind the wall, step by step.
  CREATE TABLE nself.adoptions (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tables     text[] NOT NULL CHECK (cardinality(tables) > 0),
    options    jsonb NOT NULL,
    state      text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'undoing', 'done', 'undone')),
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    CONSTRAINT adoptions_dates CHECK ((state IN ('done', 'undone')) = (ended_at IS NOT NULL))
  );
  CREATE TABLE nself.adoption_steps (
    adoption_id uuid NOT NULL REFERENCES nself.adoptions ON DELETE CASCADE,
    position    integer NOT NULL CHECK (position > 0),
    step        jsonb NOT NULL,
    progress    jsonb NOT NULL DEFAULT '{}',
    done_at     timestamptz,
    PRIMARY KEY (adoption_id, position)
  );

  -- A tenant's places outside the database: its user of Redis, its bucket. A job makes what
  -- is wanted so, until it is.
  CREATE TABLE tenants.tenant_resources (
    tenant_id  uuid NOT NULL REFERENCES tenants.tenants ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('redis', 'objects')),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    wanted     boolean NOT NULL DEFAULT true,
    generation integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    made       integer NOT NULL DEFAULT 0 CHECK (made BETWEEN 0 AND generation),
    secret     bytea,
    made_at    timestamptz,
    removed_at timestamptz,
    tries      integer NOT NULL DEFAULT 0,
    next_at    timestamptz NOT NULL DEFAULT now(),
    failure    text CHECK (length(failure) <= 500),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, kind),
    CONSTRAINT tenant_resources_name_key UNIQUE (kind, name)
  );
  COMMENT ON COLUMN tenants.tenant_resources.generation IS 'of the credentials that are wanted: rotating asks for the next';
  COMMENT ON COLUMN tenants.tenant_resources.made IS 'the generation that stands; 0: none';
  COMMENT ON COLUMN tenants.tenant_resources.secret IS 'the credentials of the newest generation, sealed with NSELF_ENCRYPTION_KEY';
  CREATE INDEX tenant_resources_due ON tenants.tenant_resources (next_at)
    WHERE CASE WHEN wanted THEN made < generation ELSE removed_at IS NULL END;

  -- What one tenant may take of the database at once; null: the default of the installation.
  CREATE TABLE tenants.tenant_budgets (
    tenant_id            uuid PRIMARY KEY REFERENCES tenants.tenants ON DELETE CASCADE,
    statement_timeout_ms integer CHECK (statement_timeout_ms > 0),
    connections          integer CHECK (connections BETWEEN 1 AND 1000),
    rows                 bigint CHECK (rows > 0),
    updated_at           timestamptz NOT NULL DEFAULT now()
  );
  COMMENT ON COLUMN tenants.tenant_budgets.connections IS 'transactions of the tenant at once';
  COMMENT ON COLUMN tenants.tenant_budgets.rows IS 'rows that one statement of the tenant may change';
  CREATE TRIGGER touch_updated_at BEFORE UPDATE ON tenants.tenant_budgets FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at();
  CREATE TABLE nself.default_budget (
    one                  boolean PRIMARY KEY DEFAULT true CHECK (one),
    statement_timeout_ms integer CHECK (statement_timeout_ms > 0),
    connections          integer CHECK (connections BETWEEN 1 AND 1000),
    rows                 bigint CHECK (rows > 0)
  );
  COMMENT ON TABLE nself.default_budget IS 'one row; null: no limit';
  INSERT INTO nself.default_budget (statement_timeout_ms, connections, rows) VALUES (30000, 20, NULL);

  -- What became of a purged tenant: its row is gone, this stays as the proof.
  CREATE TABLE nself.purges (
    id         uuid PRIMARY KEY,
    slug       text NOT NULL,
    steps      jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT now(),
    done_at    timestamptz
  );
  COMMENT ON COLUMN nself.purges.id IS 'the id that the tenant had';
  COMMENT ON COLUMN nself.purges.steps IS 'each place, when it was emptied, and what was looked for there in the end';

  GRANT SELECT ON nself.tenant_migrations, nself.default_budget TO nself_server;
  GRANT SELECT, INSERT, UPDATE ON nself.purges TO nself_server;
END
$migration$;
