-- Moving a tenant: what notes the rows that change meanwhile, and what refuses those who
-- write where the tenant does not live.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795438800000, 'moves') THEN RETURN; END IF;

  -- A writer at REPEATABLE READ may be older than the move whose changes it notes: the
  -- reference would not find the move's row and fail the writer.
  ALTER TABLE nself.move_changes DROP CONSTRAINT move_changes_tenant_id_move_id_fkey;

  -- Where a tenant that moves lives: 1 at the source, 2 at the target. It is the value of a
  -- sequence, which is the same for every snapshot: a writer at REPEATABLE READ that waited
  -- for the cut-over learns of it too. Whoever asks keeps the cut-over from coming until his
  -- transaction ends, and waits while one is under way.
  CREATE FUNCTION nself.pass_move_gate(gate text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    place text;
  BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('nself.' || gate, 0));
    EXECUTE format('SELECT last_value::text FROM nself.%I', gate) INTO place;
    RETURN place;
  END
  $function$;

  -- Before a statement: it waits before it has locked a row. Sessions of other tenants do
  -- not wait. Each row passes by itself all the same, for whom it is depends on nothing that
  -- the writer can set. Arguments: tenant, gate.
  CREATE FUNCTION nself.await_move() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF tenants.current_tenant_id() IS NULL OR tenants.current_tenant_id() = TG_ARGV[0]::uuid THEN
      PERFORM nself.pass_move_gate(TG_ARGV[1]);
    END IF;
    RETURN NULL;
  END
  $function$;

  -- Notes the key of a row that changed, in the very transaction that changes it: whoever
  -- sees the one sees the other. Where the tenant does not live only the move writes, and
  -- nothing is noted. Arguments: tenant, gate, which place this is, move, the table's name
  -- in the plan, the key's columns. A key reads back as it was whatever the writer's settings.
  CREATE FUNCTION nself.note_moved_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = 1 AS $function$
  DECLARE
    gone jsonb;
    come jsonb;
  BEGIN
    IF nself.pass_move_gate(TG_ARGV[1]) <> TG_ARGV[2] THEN
      RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
      gone := (SELECT jsonb_object_agg(k, r -> k) FROM to_jsonb(OLD) AS r, unnest(TG_ARGV[5:]) AS k);
    END IF;
    IF TG_OP <> 'DELETE' THEN
      come := (SELECT jsonb_object_agg(k, r -> k) FROM to_jsonb(NEW) AS r, unnest(TG_ARGV[5:]) AS k);
    END IF;
    -- Where the tenant itself is going there is nothing to note, and nobody to read it.
    INSERT INTO nself.move_changes (tenant_id, move_id, relation, key)
    SELECT t.id, TG_ARGV[3]::uuid, TG_ARGV[4], c.key
    FROM tenants.tenants t, (SELECT gone UNION SELECT come) AS c (key)
    WHERE t.id = TG_ARGV[0]::uuid AND c.key IS NOT NULL;
    RETURN NULL;
  END
  $function$;

  -- Refuses a row where the tenant does not live. Arguments: gate, which place this is, what
  -- to say, what to do.
  CREATE FUNCTION nself.refuse_moved_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF nself.pass_move_gate(TG_ARGV[0]) <> TG_ARGV[1] THEN
      -- Hasura tells its client the words of this SQLSTATE.
      RAISE EXCEPTION '%', TG_ARGV[2] USING ERRCODE = 'check_violation', HINT = TG_ARGV[3],
        CONSTRAINT = 'tenant_moved', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
  END
  $function$;

  CREATE FUNCTION nself.refuse_moved_truncate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    RAISE EXCEPTION '%.% cannot be truncated while a tenant is being moved', TG_TABLE_SCHEMA, TG_TABLE_NAME
      USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'tenant_moved', HINT = 'Use DELETE, or end the move with nself tenant move.';
  END
  $function$;

  -- An open move's triggers and its gate are taken away by its end alone, which reads the
  -- row: so the row stays until then, and the tenant's with it.
  CREATE FUNCTION nself.refuse_open_move() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    RAISE EXCEPTION 'a move of tenant % is open', OLD.tenant_id
      USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'move_open', HINT = 'End it with nself tenant move --confirm or --undo.';
  END
  $function$;
  CREATE TRIGGER refuse_open BEFORE DELETE ON nself.moves
    FOR EACH ROW WHEN (OLD.state IN ('copying', 'cut')) EXECUTE FUNCTION nself.refuse_open_move();

  REVOKE ALL ON FUNCTION nself.pass_move_gate(text), nself.await_move(), nself.note_moved_change(), nself.refuse_moved_write(),
    nself.refuse_moved_truncate(), nself.refuse_open_move() FROM PUBLIC;
END
$migration$;
