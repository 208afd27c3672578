package fuzz

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/local/pgbouncer"
)

// What a session of Postgres can do by itself, whatever the policies say. The random programs model these limits; here
// they are shown one by one, with what narrows them.

// send runs statements on a connection of the login and returns the rows of the last one.
func send(t *testing.T, address, sql string) [][]string {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	found, err := conn.Exec(t.Context(), sql).ReadAll()
	if err != nil || len(found) == 0 {
		return nil
	}
	var rows [][]string
	for _, row := range found[len(found)-1].Rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = string(cell)
		}
		rows = append(rows, cells)
	}
	return rows
}

func (w *world) as(tenant int, sql string) string {
	return `BEGIN; SET LOCAL "hasura.user" = '{"x-hasura-tenant-id":"` + w.tenants[tenant].id + `"}'; ` + sql
}

func TestAStatementOfTheServersCanLeaveTheBoundRoleAndOneOfAnAppCannot(t *testing.T) {
	w := newWorld(t)
	s := schemas().Example(1)
	defer w.make(t, &s)()
	count := "SELECT count(DISTINCT mark) FROM " + s.table(0)
	for _, back := range []string{"RESET ROLE", "SET LOCAL ROLE NONE", "SELECT set_config('role', 'none', true)", "SET SESSION AUTHORIZATION DEFAULT"} {
		if got := send(t, w.db.URL("nself_server"), w.as(0, "SET LOCAL ROLE nself_tenant; "+back+"; "+count)); got[0][0] != "5" {
			t.Errorf("as the server, after %s: %v tenants are seen; the limit that is documented is gone", back, got)
		}
		if got := send(t, w.db.URL("nself_app"), w.as(0, back+"; "+count)); got[0][0] != "1" {
			t.Errorf("as nself_app, after %s: %v tenants are seen", back, got)
		}
	}
}

func TestWhatASessionKeepsReachesTheNextClientUnlessTheBouncerResets(t *testing.T) {
	w := newWorld(t)
	s := schemas().Example(1)
	defer w.make(t, &s)()
	mark := "SELECT mark FROM " + s.table(0)
	for reset, bouncer := range map[bool]*pgbouncer.Bouncer{false: w.bounce(t, 1, false), true: w.bounce(t, 1, true)} {
		address, err := bouncer.URL(w.db.URL("nself_app"))
		if err != nil {
			t.Fatal(err)
		}
		for keep, find := range map[string]string{
			"CREATE TEMP TABLE kept AS " + mark + "; COMMIT":                                       "SELECT * FROM kept",
			"DECLARE kept CURSOR WITH HOLD FOR " + mark + "; COMMIT":                               "FETCH ALL FROM kept",
			"SET \"hasura.user\" = '{\"x-hasura-tenant-id\":\"" + w.tenants[0].id + "\"}'; COMMIT": mark,
		} {
			send(t, address, w.as(0, keep))
			found := send(t, address, find)
			if seen := len(found) > 0 && found[0][0] == w.tenants[0].mark; seen == reset {
				t.Errorf("reset %t: after %s the next client finds %v by %s", reset, keep, found, find)
			}
		}
	}
}

func TestTheStatementsOfALoginAreSeenByItsOtherSessions(t *testing.T) {
	w := newWorld(t)
	conn, err := pgconn.Connect(t.Context(), w.db.URL("nself_app"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	seen := func(as string) string {
		var all []string
		for _, row := range send(t, w.db.URL(as), "BEGIN; SET LOCAL ROLE "+map[string]string{"nself_app": "nself_app", "nself_server": "nself_tenant"}[as]+
			"; SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") {
			all = append(all, row[0])
		}
		return strings.Join(all, "\n")
	}
	if _, err := conn.Exec(t.Context(), "SELECT 'literal of tenant 0'").ReadAll(); err != nil {
		t.Fatal(err)
	}
	if got := seen("nself_app"); !strings.Contains(got, "literal of tenant 0") {
		t.Errorf("a literal is not seen by the same login; the limit that is documented is gone: %q", got)
	}
	if got := seen("nself_server"); strings.Contains(got, "literal of tenant 0") {
		t.Errorf("nself_tenant sees another login's statement: %q", got)
	}
	if err := conn.ExecParams(t.Context(), "SELECT $1::text", [][]byte{[]byte("parameter of tenant 0")}, nil, nil, nil).Read().Err; err != nil {
		t.Fatal(err)
	}
	if got := seen("nself_app"); strings.Contains(got, "parameter of tenant 0") {
		t.Errorf("a parameter is seen by the same login: %q", got)
	}
}

// A cascade acts as the owner of its table, whom Postgres then lets past every policy, and so do the triggers that it
// fires. One that runs as a bound role by itself is bound.
func TestATriggerThatACascadeFiresSeesAllTenants(t *testing.T) {
	w := newWorld(t)
	s := schema{tables: []table{
		{parent: -1, columns: []string{}},
		{parent: 0, columns: []string{}, onDelete: "SET NULL (r1)"},
	}}
	defer w.make(t, &s)()
	w.do(t, fill(`CREATE FUNCTION {S}.greatest() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN
		NEW.num := (SELECT max(num) FROM {T1}); RETURN NEW; END$f$;
		ALTER FUNCTION {S}.greatest() OWNER TO nself_owner;
		CREATE TRIGGER greatest BEFORE UPDATE ON {T1} FOR EACH ROW EXECUTE FUNCTION {S}.greatest()`, &s, w, frame{tenant: nobody}))
	const show = "; SELECT max(num) FROM %s"
	own := send(t, w.db.URL("nself_app"), w.as(0, "UPDATE "+s.table(1)+" SET num = 0 WHERE k1 = 1"+fmt.Sprintf(show, s.table(1))))
	if number, _ := strconv.Atoi(own[0][0]); !w.tenants[0].owns(number) {
		t.Errorf("fired by the tenant's own statement the trigger sees %d", number)
	}
	for _, step := range []struct {
		change  string
		narrows bool
	}{
		{"", false},
		{"ALTER POLICY owner_all ON {T1} USING (false)", false},
		{"GRANT CREATE ON SCHEMA {S} TO nself_tenant; ALTER FUNCTION {S}.greatest() OWNER TO nself_tenant; ALTER FUNCTION {S}.greatest() SECURITY DEFINER", true},
	} {
		w.do(t, fill(step.change, &s, w, frame{tenant: nobody}))
		fired := send(t, w.db.URL("nself_app"), w.as(0, "DELETE FROM "+s.table(0)+" WHERE k1 = 1"+fmt.Sprintf(show, s.table(1))))
		if number, _ := strconv.Atoi(fired[0][0]); w.tenants[0].owns(number) != step.narrows {
			t.Errorf("after %q: fired by a cascade the trigger sees %d", step.change, number)
		}
	}
}
