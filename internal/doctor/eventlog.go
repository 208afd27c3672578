package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// writers write to tables that may have event triggers. Hasura's trigger functions run
// with the writer's own rights, so each needs its event log.
var writers = []string{"nself_owner", "nself_server", "nself_tenant", "nself_app"}

const installedSQL = `
	SELECT n.nspname AS schema, c.relname AS "table", t.tgname AS "trigger"
	FROM pg_catalog.pg_trigger t
	JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgname LIKE 'notify\_hasura\_%'`

type installed struct {
	Schema  string `db:"schema"`
	Table   string `db:"table"`
	Trigger string `db:"trigger"`
}

func (i installed) String() string { return i.Trigger + " on " + i.Schema + "." + i.Table }

func (x *examination) eventTriggers(ctx context.Context) (string, error) {
	ours, err := x.metadata()
	if err != nil {
		return "", err
	}
	found, err := pg.All[installed](ctx, x.conn, installedSQL, nil)
	if err != nil {
		return "", err
	}
	var missing []string
	wanted := triggersOf(ours)
	for _, trigger := range wanted {
		if !slices.Contains(found, trigger) {
			missing = append(missing, trigger.String())
		}
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("not installed: %s", some(missing))
	}
	return fmt.Sprintf("%d of %d installed", len(wanted), len(wanted)), nil
}

// triggersOf lists the Postgres triggers that Hasura makes for our event triggers, by name.
func triggersOf(ours *metadata.Metadata) []installed {
	var wanted []installed
	for _, table := range ours.Tables {
		for _, trigger := range table.EventTriggers {
			for op, fields := range map[string]*metadata.EventTriggerFields{
				"INSERT": trigger.Definition.Insert, "UPDATE": trigger.Definition.Update, "DELETE": trigger.Definition.Delete} {
				if fields != nil {
					wanted = append(wanted, installed{table.Table.Schema, table.Table.Name, "notify_hasura_" + trigger.Name + "_" + op})
				}
			}
		}
	}
	slices.SortFunc(wanted, func(a, b installed) int { return strings.Compare(a.String(), b.String()) })
	return wanted
}

const eventLogRightsSQL = `
	SELECT r.rolname AS role,
	       has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'INSERT') AS may,
	       EXISTS (SELECT FROM pg_catalog.pg_trigger t
	               WHERE t.tgname LIKE 'notify\_hasura\_%' AND has_table_privilege(r.oid, t.tgrelid, 'INSERT, UPDATE, DELETE')) AS must
	FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = 'event_log',
	     pg_catalog.pg_roles r
	WHERE n.nspname = 'hdb_catalog' AND r.rolname = ANY (@roles::text[])
	ORDER BY array_position(@roles::text[], r.rolname::text)`

// EventLogState is how Hasura's event log stands to the roles that must write to it.
type EventLogState struct {
	Present bool     // Hasura has made it in this database
	Lacking []string // the roles that may not write to it yet
	Failing []string // those among them that write to a triggered table, and so cannot
}

// EventLog looks at Hasura's event log.
func EventLog(ctx context.Context, db pg.DB) (EventLogState, error) {
	type right struct {
		Role string `db:"role"`
		May  bool   `db:"may"`
		Must bool   `db:"must"`
	}
	rights, err := pg.All[right](ctx, db, eventLogRightsSQL, pgx.NamedArgs{"roles": writers})
	if err != nil {
		return EventLogState{}, fmt.Errorf("look at Hasura's event log: %w", err)
	}
	state := EventLogState{Present: len(rights) > 0}
	for _, right := range rights {
		if !right.May {
			state.Lacking = append(state.Lacking, right.Role)
		}
		if right.Must && !right.May {
			state.Failing = append(state.Failing, right.Role)
		}
	}
	return state, nil
}

// GrantEventLog lets the writers use Hasura's event log. db belongs to nself_owner, to
// nself_hasura or to a superuser, and Hasura has run on this database.
func GrantEventLog(ctx context.Context, db pg.DB) error {
	to := " TO " + strings.Join(writers, ", ")
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		for _, grant := range []string{"GRANT USAGE ON SCHEMA hdb_catalog", "GRANT INSERT ON hdb_catalog.event_log"} {
			if _, err := tx.Exec(ctx, grant+to); err != nil {
				return fmt.Errorf("%s: %w (connect as nself_owner or a superuser in DATABASE_URL)", grant+to, err)
			}
		}
		// Postgres only warns where the grantor has no right to grant.
		state, err := EventLog(ctx, tx)
		if err == nil && len(state.Lacking) > 0 {
			return fmt.Errorf("this role may not open Hasura's event log to %s (connect as nself_owner or a superuser in DATABASE_URL)", strings.Join(state.Lacking, ", "))
		}
		return err
	})
}

func (x *examination) eventLog(ctx context.Context) (string, error) {
	state, err := EventLog(ctx, x.conn)
	switch {
	case err != nil:
		return "", err
	case !state.Present:
		return "", &finding{"Hasura has made none in this database", "give Hasura's source default the database of DATABASE_URL, then run nself tenant init"}
	case len(state.Failing) > 0:
		return "", fmt.Errorf("may not be written by %s, so their changes of triggered tables fail", strings.Join(state.Failing, ", "))
	}
	return "open to every role that changes triggered tables", nil
}
