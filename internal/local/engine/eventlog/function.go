package eventlog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// functionName is the name of an operation's trigger and of its function. It fits into 63
// bytes since a trigger's name has at most 42.
func functionName(t trigger, o operation) string {
	return "notify_hasura_" + t.name + "_" + o.op
}

func catalogName(name string) string {
	return pgx.Identifier{"hdb_catalog", name}.Sanitize()
}

// createTriggers creates or replaces the function and the row trigger of each operation
// that is not as declared. Replacing needs only TRIGGER on the table, where dropping would
// need its ownership.
func createTriggers(ctx context.Context, tx pgx.Tx, triggers []trigger, found []installed) error {
	for _, t := range triggers {
		for _, o := range t.operations {
			body := functionBody(t, o)
			if slices.Contains(found, installed{functionName(t, o), t.table.Schema, t.table.Name, body}) {
				continue
			}
			if _, err := tx.Exec(ctx, functionDDL(t, o, body)); err != nil {
				return fmt.Errorf("create the function of event trigger %s: %w", t.name, err)
			}
			if _, err := tx.Exec(ctx, triggerDDL(t, o)); err != nil {
				return fmt.Errorf("create event trigger %s on %s.%s (the role needs TRIGGER on the table): %w",
					t.name, t.table.Schema, t.table.Name, err)
			}
		}
	}
	return nil
}

func triggerDDL(t trigger, o operation) string {
	name := functionName(t, o)
	return fmt.Sprintf("CREATE OR REPLACE TRIGGER %s AFTER %s ON %s FOR EACH ROW EXECUTE FUNCTION %s()",
		pgx.Identifier{name}.Sanitize(), o.op, pgx.Identifier{t.table.Schema, t.table.Name}.Sanitize(), catalogName(name))
}

// functionDDL is the trigger's function: with the writer's rights, as in Hasura.
func functionDDL(t trigger, o operation, body string) string {
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS %s",
		catalogName(functionName(t, o)), literal(body))
}

func functionBody(t trigger, o operation) string {
	if o.op == "UPDATE" {
		return updateBody(t, o)
	}
	return insertBody(t, o)
}

func insertBody(t trigger, o operation) string {
	return "BEGIN\n" + logEvent(t, o) + "  RETURN NULL;\nEND"
}

// updateBody logs the event only where a listened column changed. A column of a type that
// has no equality, such as json, is compared by its stored bytes.
func updateBody(t trigger, o operation) string {
	return fmt.Sprintf(`DECLARE
  listened_old record;
  listened_new record;
  changed boolean;
BEGIN
  SELECT %s INTO listened_old;
  SELECT %s INTO listened_new;
  BEGIN
    changed := listened_old IS DISTINCT FROM listened_new;
  EXCEPTION WHEN undefined_function THEN
    changed := listened_old *<> listened_new;
  END;
  IF NOT changed THEN
    RETURN NULL;
  END IF;
%s  RETURN NULL;
END`, columnsOf("OLD", o.listen), columnsOf("NEW", o.listen), logEvent(t, o))
}

func logEvent(t trigger, o operation) string {
	before, after := "NULL", "NULL"
	if o.op != "INSERT" {
		before = rowJSON("OLD", o.payload)
	}
	if o.op != "DELETE" {
		after = rowJSON("NEW", o.payload)
	}
	return fmt.Sprintf(`  PERFORM hdb_catalog.insert_event_log(
    TG_TABLE_SCHEMA::text, TG_TABLE_NAME::text, %s, TG_OP,
    json_build_object('old', %s, 'new', %s));
`, literal(t.name), before, after)
}

func rowJSON(record string, columns []string) string {
	return "(SELECT row_to_json(r.*) FROM (SELECT " + columnsOf(record, columns) + ") AS r)"
}

func columnsOf(record string, columns []string) string {
	quoted := make([]string, len(columns))
	for i, column := range columns {
		name := pgx.Identifier{column}.Sanitize()
		quoted[i] = record + "." + name + " AS " + name
	}
	return strings.Join(quoted, ", ")
}

// literal quotes a string constant; a backslash must not depend on the session's
// standard_conforming_strings.
func literal(s string) string {
	quoted := strings.ReplaceAll(s, "'", "''")
	if !strings.Contains(s, `\`) {
		return "'" + quoted + "'"
	}
	return " E'" + strings.ReplaceAll(quoted, `\`, `\\`) + "'"
}
