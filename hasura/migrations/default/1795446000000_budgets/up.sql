-- What one tenant may take of the database at once is held to: how long a statement runs,
-- how many transactions are open, how many rows one statement changes.
DO $migration$
BEGIN
  IF NOT nself.begin_migration(1795446000000, 'budgets') THEN RETURN; END IF;

  -- Half of the connections that one server has where nothing else is said.
  UPDATE nself.default_budget SET connections = 10;

  -- Holds the rest of the transaction to the budget of the session's tenant: its
  -- statement timeout, where none that is shorter holds already, and one of its seats. A
  -- seat is an advisory lock of the transaction, so commit, rollback and a crash give it
  -- back alike, and servers and poolers share the count. A second call in the same
  -- transaction keeps the seat, or takes one more where a nearer one came free. It runs
  -- with the caller's rights, for each action of the server does: that is half the price.
  CREATE FUNCTION nself.take_seat(session jsonb) RETURNS void
    LANGUAGE plpgsql AS $function$
  DECLARE
    claimed uuid := (session ->> 'x-hasura-tenant-id')::uuid;
    most_ms integer;
    seats   integer;
    present text;
    seat    bigint := pg_catalog.hashtextextended('nself.seat:' || claimed::text, 0) << 10;
  BEGIN
    IF claimed IS NULL THEN RETURN; END IF;
    SELECT coalesce(own.statement_timeout_ms, usual.statement_timeout_ms), coalesce(own.connections, usual.connections)
      INTO most_ms, seats
      FROM nself.default_budget usual LEFT JOIN tenants.tenant_budgets own ON own.tenant_id = claimed;

    IF most_ms IS NOT NULL THEN
      present := pg_catalog.current_setting('statement_timeout');
      IF present = '0' OR present::interval > pg_catalog.make_interval(secs => most_ms / 1000.0) THEN
        PERFORM pg_catalog.set_config('statement_timeout', most_ms::text, true);
      END IF;
    END IF;

    IF seats IS NULL THEN RETURN; END IF;
    FOR n IN pg_catalog.pg_backend_pid() .. pg_catalog.pg_backend_pid() + seats - 1 LOOP -- apart, so that the first try does mostly
      IF pg_catalog.pg_try_advisory_xact_lock(seat + n % seats) THEN RETURN; END IF;
    END LOOP;
    RAISE EXCEPTION 'the tenant has % transactions open, as many as its budget lets it', seats
      USING ERRCODE = 'too_many_connections', CONSTRAINT = 'tenant_budget_connections',
            HINT = 'Try again when one of them has ended.';
  END
  $function$;

  -- The same for whoever may not read budgets.
  CREATE FUNCTION tenants.take_seat(session jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    PERFORM nself.take_seat(session);
  END
  $function$;

  -- What a service of the customer's calls first in a transaction: the session's tenant,
  -- which must be active and the session good, its budget, and its schema where it has one.
  -- It runs with the caller's rights; the path of before counts for the whole transaction,
  -- however often it is called.
  CREATE FUNCTION tenants.enter(session jsonb) RETURNS void
    LANGUAGE plpgsql AS $function$
  DECLARE
    place text;
    usual text := coalesce(nullif(pg_catalog.current_setting('nself.search_path', true), ''), pg_catalog.current_setting('search_path'));
  BEGIN
    PERFORM pg_catalog.set_config('hasura.user', coalesce(session::text, ''), true);
    IF tenants.active_tenant_id() IS NULL THEN
      RAISE EXCEPTION 'the session has no tenant to act in: none is named, it is out of service, or the session or the membership has ended'
        USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'tenant_not_active';
    END IF;
    PERFORM tenants.take_seat(session);
    place := tenants.tenant_schema();
    PERFORM pg_catalog.set_config('nself.search_path', usual, true);
    PERFORM pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', pg_catalog.quote_ident(place), nullif(usual, '')), true);
  END
  $function$;

  -- Refuses a statement that changed more rows than the budget of the session's tenant lets
  -- it, with those that followed by ON DELETE CASCADE. A session without a tenant, the
  -- operator's and the server's own have no such budget.
  CREATE FUNCTION nself.refuse_rows_past_budget() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  DECLARE
    session jsonb := tenants.current_session();
    most    bigint;
  BEGIN
    IF session ->> 'x-hasura-tenant-id' IS NULL OR session ->> 'x-hasura-role' IN ('admin', 'server') THEN RETURN NULL; END IF;
    SELECT coalesce(own.rows, usual.rows) INTO most
      FROM nself.default_budget usual
      LEFT JOIN tenants.tenant_budgets own ON own.tenant_id = (session ->> 'x-hasura-tenant-id')::uuid;
    IF most IS NULL THEN RETURN NULL; END IF;
    IF (SELECT count(*) FROM (SELECT FROM changed LIMIT most + 1) AS found) > most THEN
      RAISE EXCEPTION 'one statement may change % rows of %.% at most, as the budget of the tenant says', most, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tenant_budget_rows', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME,
              HINT = 'Change fewer at a time.';
    END IF;
    RETURN NULL;
  END
  $function$;

  -- Whether a budget of rows is set at all: keeping one has its price, for each row that
  -- changes is set aside until the statement ends.
  CREATE FUNCTION nself.row_budgets_are_set() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM nself.default_budget WHERE rows IS NOT NULL)
        OR EXISTS (SELECT FROM tenants.tenant_budgets WHERE rows IS NOT NULL);

  -- Makes a table hold its tenants to their budgets of rows, and tells whether it does now:
  -- it does not where none has such a budget. For the owner of the table.
  CREATE FUNCTION tenants.keep_row_budget(kept regclass) RETURNS boolean
    LANGUAGE plpgsql AS $function$
  DECLARE
    change record;
  BEGIN
    IF NOT nself.row_budgets_are_set() THEN RETURN false; END IF;
    FOR change IN SELECT * FROM (VALUES ('insert', 'NEW'), ('update', 'NEW'), ('delete', 'OLD')) AS c (op, side) LOOP
      CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = kept AND t.tgname = 'row_budget_' || change.op);
      EXECUTE format('CREATE TRIGGER row_budget_%1$s AFTER %1$s ON %2$s REFERENCING %3$s TABLE AS changed
        FOR EACH STATEMENT EXECUTE FUNCTION nself.refuse_rows_past_budget()', change.op, kept, change.side);
    END LOOP;
    RETURN true;
  END
  $function$;

  -- The customer's tables of tenants that do not hold to budgets of rows: of those that are
  -- registered, and of those in the schemas of tenants. What is ours has quotas.
  CREATE FUNCTION nself.tables_without_row_budget() RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND (EXISTS (SELECT FROM tenants.tenant_schemas s WHERE s.schema_name = n.nspname)
           OR n.nspname NOT IN ('tenants', 'auth', 'billing', 'audit', 'nself')
              AND EXISTS (SELECT FROM nself.tenant_tables t WHERE t.schema_name = n.nspname AND t.table_name = c.relname))
      AND (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid
           AND t.tgname IN ('row_budget_insert', 'row_budget_update', 'row_budget_delete')) < 3
    ORDER BY n.nspname, c.relname
  $function$;

  -- The tables that Citus has, as distributed, reference or schema; none where there is no
  -- Citus. For whoever plans how tables are spread.
  CREATE FUNCTION nself.citus_tables() RETURNS TABLE (relation oid, method text)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN RETURN; END IF;
    RETURN QUERY EXECUTE 'SELECT logicalrelid::oid,
      CASE WHEN partmethod <> ''n'' THEN ''distributed'' WHEN repmodel = ''t'' THEN ''reference'' ELSE ''schema'' END
      FROM pg_catalog.pg_dist_partition WHERE partmethod <> ''n'' OR repmodel = ''t'' OR colocationid <> 0';
  END
  $function$;

  REVOKE ALL ON FUNCTION nself.take_seat(jsonb), tenants.take_seat(jsonb), tenants.enter(jsonb), nself.refuse_rows_past_budget(), nself.row_budgets_are_set(),
    tenants.keep_row_budget(regclass), nself.tables_without_row_budget(), nself.citus_tables() FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION nself.take_seat(jsonb) TO nself_server;
  GRANT EXECUTE ON FUNCTION tenants.take_seat(jsonb), tenants.enter(jsonb) TO nself_app;
  GRANT EXECUTE ON FUNCTION nself.tables_without_row_budget() TO nself_server;
  GRANT UPDATE ON nself.default_budget TO nself_server;
END
$migration$;
