package eventlog

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

//go:embed catalog.sql
var catalog string

// install brings the database to what the triggers declare. What is there as it is declared
// is not touched: making it again would wait for whoever writes, who may wait for it.
func install(ctx context.Context, tx pgx.Tx, triggers []trigger, grantees []string) error {
	if err := createCatalog(ctx, tx); err != nil {
		return err
	}
	found, err := installedTriggers(ctx, tx)
	if err != nil {
		return fmt.Errorf("list the installed triggers: %w", err)
	}
	if err := removeUndeclared(ctx, tx, triggers, found); err != nil {
		return err
	}
	if err := createTriggers(ctx, tx, triggers, found); err != nil {
		return err
	}
	return grant(ctx, tx, grantees)
}

func createCatalog(ctx context.Context, tx pgx.Tx) error {
	if err := lockCatalog(ctx, tx); err != nil {
		return err
	}
	var complete bool
	if err := tx.QueryRow(ctx, catalogCompleteSQL, pgx.NamedArgs{"body": logFunctionBody()}).Scan(&complete); err != nil {
		return fmt.Errorf("look for hdb_catalog: %w", err)
	}
	if complete {
		return nil
	}
	if _, err := tx.Exec(ctx, catalog); err != nil {
		return fmt.Errorf("install hdb_catalog (the role needs CREATE on the database, or to own the schema): %w", err)
	}
	return nil
}

// catalogCompleteSQL tells whether all that the catalog makes is there. To make an index
// that is there already locks its table all the same.
const catalogCompleteSQL = `
SELECT NOT EXISTS (
    SELECT FROM unnest('{hdb_metadata,event_log,event_log_trigger_name,event_log_fetch_events,event_invocation_logs,event_invocation_logs_event_id}'::text[]) AS made
    WHERE to_regclass('hdb_catalog.' || made) IS NULL)
  AND EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
              WHERE n.nspname = 'hdb_catalog' AND p.proname = 'insert_event_log' AND p.prosrc = @body)`

// logFunctionBody is what the catalog's one function does.
func logFunctionBody() string { return strings.Split(catalog, "$function$")[1] }

const lockCatalogSQL = `SELECT pg_advisory_xact_lock(hashtextextended('hdb_catalog', 0))`

// lockCatalog lets one process install at a time: CREATE … IF NOT EXISTS of two at once
// may fail in one of them.
func lockCatalog(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, lockCatalogSQL); err != nil {
		return fmt.Errorf("lock the catalog: %w", err)
	}
	return nil
}

// installed is a trigger of ours as the database has it. Schema and Table are empty where
// the function is there without a trigger. Body is what the function does, empty where it
// or the trigger is not of the form that createTriggers gives it.
type installed struct {
	Function string
	Schema   string
	Table    string
	Body     string
}

// A row trigger after the statement has a tgtype of 1 and the statement's own bit.
const installedTriggersSQL = `
SELECT p.proname, coalesce(n.nspname, ''), coalesce(c.relname, ''),
       CASE WHEN NOT p.prosecdef AND p.proconfig IS NULL AND t.tgname = p.proname AND t.tgenabled = 'O' AND t.tgqual IS NULL
             AND t.tgattr = '' AND t.tgtype = 1 + CASE substring(p.proname, '[A-Z]*$') WHEN 'INSERT' THEN 4 WHEN 'DELETE' THEN 8 ELSE 16 END
            THEN p.prosrc ELSE '' END
FROM pg_proc p
LEFT JOIN pg_trigger t ON t.tgfoid = p.oid AND NOT t.tgisinternal AND t.tgparentid = 0
LEFT JOIN pg_class c ON c.oid = t.tgrelid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.pronamespace = 'hdb_catalog'::regnamespace
  AND p.prorettype = 'trigger'::regtype
  AND p.proname ~ '^notify_hasura_.*_(INSERT|UPDATE|DELETE)$'`

func installedTriggers(ctx context.Context, tx pgx.Tx) ([]installed, error) {
	rows, err := tx.Query(ctx, installedTriggersSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[installed])
}

// removeUndeclared drops triggers that the metadata no longer has, or has on another table,
// and archives the events of those that are gone. It drops the function with all that hangs
// on it, since only a table's owner may drop a trigger by itself.
func removeUndeclared(ctx context.Context, tx pgx.Tx, triggers []trigger, found []installed) error {
	declared := make(map[installed]bool)
	names := make([]string, 0, len(triggers))
	for _, t := range triggers {
		names = append(names, t.name)
		for _, o := range t.operations {
			declared[installed{Function: functionName(t, o), Schema: t.table.Schema, Table: t.table.Name}] = true
		}
	}
	for _, f := range found {
		if declared[installed{Function: f.Function, Schema: f.Schema, Table: f.Table}] {
			continue
		}
		drop := "DROP FUNCTION IF EXISTS " + catalogName(f.Function) + "() CASCADE"
		if _, err := tx.Exec(ctx, drop); err != nil {
			return fmt.Errorf("remove trigger %s of %s.%s: %w", f.Function, f.Schema, f.Table, err)
		}
	}
	return archiveUndeclared(ctx, tx, names)
}

const archiveUndeclaredSQL = `
UPDATE hdb_catalog.event_log SET archived = true
WHERE NOT archived AND trigger_name <> ALL (@names::text[])`

func archiveUndeclared(ctx context.Context, tx pgx.Tx, names []string) error {
	if _, err := tx.Exec(ctx, archiveUndeclaredSQL, pgx.NamedArgs{"names": names}); err != nil {
		return fmt.Errorf("archive the events of removed triggers: %w", err)
	}
	return nil
}

const rolesWithoutSQL = `
SELECT rolname FROM pg_roles
WHERE rolname = ANY (@roles::text[])
  AND NOT (has_schema_privilege(oid, 'hdb_catalog', 'USAGE') AND has_table_privilege(oid, 'hdb_catalog.event_log', 'INSERT'))`

// grant lets the roles that exist, and may not yet, write tables with triggers.
func grant(ctx context.Context, tx pgx.Tx, grantees []string) error {
	rows, err := tx.Query(ctx, rolesWithoutSQL, pgx.NamedArgs{"roles": grantees})
	if err != nil {
		return fmt.Errorf("look up the roles to grant to: %w", err)
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look up the roles to grant to: %w", err)
	}
	for _, role := range roles {
		to := " TO " + pgx.Identifier{role}.Sanitize()
		grants := "GRANT USAGE ON SCHEMA hdb_catalog" + to + "; GRANT INSERT ON hdb_catalog.event_log" + to
		if _, err := tx.Exec(ctx, grants); err != nil {
			return fmt.Errorf("grant the event log to %s: %w", role, err)
		}
	}
	return nil
}
