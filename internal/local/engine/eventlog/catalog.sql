-- The part of Hasura's catalog that event triggers and stored metadata need. Every
-- statement may run again on a database that has it.
CREATE SCHEMA IF NOT EXISTS hdb_catalog;

-- One row, of id 1. json and not jsonb: what was put is what is exported.
CREATE TABLE IF NOT EXISTS hdb_catalog.hdb_metadata (
    id               integer PRIMARY KEY,
    metadata         json NOT NULL,
    resource_version integer NOT NULL DEFAULT 1 UNIQUE
);

-- created_at and next_retry_at are without zone, in the time zone of the session that
-- writes them: so it is in Hasura, and so created_at is sent.
CREATE TABLE IF NOT EXISTS hdb_catalog.event_log (
    id            text PRIMARY KEY DEFAULT gen_random_uuid(),
    schema_name   text NOT NULL,
    table_name    text NOT NULL,
    trigger_name  text NOT NULL,
    payload       jsonb NOT NULL,
    delivered     boolean NOT NULL DEFAULT false,
    error         boolean NOT NULL DEFAULT false,
    tries         integer NOT NULL DEFAULT 0,
    created_at    timestamp without time zone DEFAULT now(),
    locked        timestamp with time zone,
    next_retry_at timestamp without time zone,
    archived      boolean NOT NULL DEFAULT false
);
CREATE INDEX IF NOT EXISTS event_log_trigger_name ON hdb_catalog.event_log (trigger_name);
CREATE INDEX IF NOT EXISTS event_log_fetch_events
    ON hdb_catalog.event_log (locked NULLS FIRST, next_retry_at NULLS FIRST, created_at)
    WHERE NOT delivered AND NOT error AND NOT archived;

-- One row per attempt. status is null where no answer came.
CREATE TABLE IF NOT EXISTS hdb_catalog.event_invocation_logs (
    id           text PRIMARY KEY DEFAULT gen_random_uuid(),
    trigger_name text,
    event_id     text,
    status       integer,
    request      json,
    response     json,
    created_at   timestamp without time zone DEFAULT now()
);
CREATE INDEX IF NOT EXISTS event_invocation_logs_event_id ON hdb_catalog.event_invocation_logs (event_id);

-- Runs with the writer's rights, as Hasura's does: a writer needs USAGE on the schema and
-- INSERT on the log. The settings read back as '' after a SET LOCAL of an earlier
-- transaction, hence NULLIF.
CREATE OR REPLACE FUNCTION hdb_catalog.insert_event_log(
    schema_name text, table_name text, trigger_name text, op text, row_data json
) RETURNS text
LANGUAGE plpgsql AS $function$
DECLARE
    event_id text := gen_random_uuid();
BEGIN
    INSERT INTO hdb_catalog.event_log (id, schema_name, table_name, trigger_name, payload)
    VALUES (event_id, schema_name, table_name, trigger_name, json_build_object(
        'op', op,
        'data', row_data,
        'session_variables', NULLIF(current_setting('hasura.user', true), '')::json,
        'trace_context', NULLIF(current_setting('hasura.tracecontext', true), '')::json));
    RETURN event_id;
END
$function$;
