package shard_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/shard"
)

func TestProtectedTablesAreDistributedBehindThoseTheyReferTo(t *testing.T) {
	t.Parallel()
	conn := newShop(t)
	plan := planOf(t, conn)
	if len(plan.Refused) > 0 {
		t.Fatalf("refused: %+v", plan.Refused)
	}
	var schema string
	if err := conn.QueryRow(t.Context(), `SELECT schema_name FROM tenants.tenant_schemas`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, s := range plan.Steps {
		if call, is := strings.CutPrefix(s.SQL, "SELECT "); is {
			calls = append(calls, call)
		}
	}
	want := []string{
		"create_distributed_function('tenants.current_session()')", "create_distributed_function('tenants.current_tenant_id()')",
		"create_distributed_function('tenants.hasura_is_unbound()')",
		`create_reference_table('shop.countries')`,
		`create_distributed_table('shop.customers', 'tenant_id', colocate_with => 'none')`,
		`create_distributed_table('shop.orders', 'tenant_id', colocate_with => 'shop.customers')`,
		`create_distributed_table('shop.lines', 'tenant_id', colocate_with => 'shop.customers')`,
		"citus_schema_distribute('" + schema + "')",
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
}

func TestAPlanRunsOnAStandInAndLeavesNothing(t *testing.T) {
	t.Parallel()
	conn := newShop(t)
	if err := shard.Check(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "CREATE EXTENSION citus") {
		t.Errorf("without Citus: %v", err)
	}
	run(t, conn, standIn)
	if err := shard.Check(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	whole := planOf(t, conn)
	half := whole
	half.Steps = append(slices.Clone(whole.Steps[:len(whole.Steps)-3]), shard.Step{SQL: "SELECT 1/0"})
	if err := shard.Apply(t.Context(), conn, half, func(int, shard.Step) {}); err == nil || !strings.Contains(err.Error(), "SELECT 1/0") {
		t.Fatalf("a step that fails: %v", err)
	}
	rest := planOf(t, conn)
	if len(rest.Steps) >= len(whole.Steps) || strings.Contains(text(rest), "create_reference_table") {
		t.Errorf("the rest is\n%s", text(rest))
	}
	told := 0
	if err := shard.Apply(t.Context(), conn, rest, func(at int, _ shard.Step) { told += at }); err != nil {
		t.Fatal(err)
	}
	if left := planOf(t, conn); len(left.Steps)+len(left.Refused)+len(left.Notes) > 0 {
		t.Errorf("left over: %+v", left)
	}
	run(t, conn, `UPDATE pg_catalog.pg_extension SET extversion = '11.3-1' WHERE extname = 'citus'`)
	if err := shard.Check(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "12.0") {
		t.Errorf("an old Citus: %v", err)
	}
}

func text(plan shard.Plan) string {
	var all strings.Builder
	for _, s := range plan.Steps {
		all.WriteString(s.SQL + "\n")
	}
	return all.String()
}

func TestWhatCitusRefusesIsToldWithWhatMendsIt(t *testing.T) {
	t.Parallel()
	conn := newShop(t)
	for name, c := range map[string]struct{ plant, what, mend string }{
		"a key across tenants": {`ALTER TABLE shop.orders ADD code text, ADD CONSTRAINT code_key UNIQUE (code)`,
			"code_key holds across tenants", `ALTER TABLE shop.orders DROP CONSTRAINT code_key; ALTER TABLE shop.orders ADD UNIQUE ("tenant_id", "code")`},
		"an index across tenants": {`CREATE UNIQUE INDEX "Odd" ON shop.orders (lower(id::text))`, `"Odd" holds across tenants`, `DROP INDEX shop."Odd"`},
		"an exclusion": {`ALTER TABLE shop.orders ADD span int4range, ADD CONSTRAINT spans EXCLUDE USING gist (span WITH &&)`,
			"spans holds across tenants", `ALTER TABLE shop.orders DROP CONSTRAINT spans`},
		"a trigger": {`CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER mine AFTER INSERT ON shop.lines FOR EACH ROW EXECUTE FUNCTION shop.f()`,
			"citus.enable_unsafe_triggers", `DROP TRIGGER mine ON shop.lines`},
		"a policy": {`CREATE POLICY mine ON shop.lines USING (id IN (SELECT o.id FROM shop.orders o))`, "policy mine has a subquery", ""},
		"what stays local refers to it": {`CREATE TABLE shop.log (t uuid, o bigint, FOREIGN KEY (t, o) REFERENCES shop.orders (tenant_id, id))`,
			"what stays on one node cannot refer", "ALTER TABLE shop.log DROP CONSTRAINT log_t_o_fkey"},
		"it refers to what stays local": {`CREATE TABLE shop.kinds (id int PRIMARY KEY); ALTER TABLE shop.orders ADD kind int REFERENCES shop.kinds`,
			"declare that table", `ALTER TABLE shop.orders DROP CONSTRAINT orders_kind_fkey`},
		"a reference without the tenant": {`ALTER TABLE shop.lines ADD twin bigint, ADD t uuid, ADD FOREIGN KEY (t, twin) REFERENCES shop.orders (tenant_id, id)`,
			"lacks the tenant columns", `ALTER TABLE shop.lines DROP CONSTRAINT lines_t_twin_fkey`},
		"a reference set to null": {`ALTER TABLE shop.lines ADD twin bigint, ADD FOREIGN KEY (tenant_id, twin) REFERENCES shop.orders (tenant_id, id) ON DELETE SET NULL (twin)`,
			"SET NULL", `ALTER TABLE shop.lines DROP CONSTRAINT lines_tenant_id_twin_fkey`},
		"a small identity": {`ALTER TABLE shop.lines ADD n int GENERATED ALWAYS AS IDENTITY`, "bigint alone", `ALTER TABLE shop.lines ALTER COLUMN "n" TYPE bigint`},
		"a circle":         {`ALTER TABLE shop.customers ADD last bigint, ADD FOREIGN KEY (tenant_id, last) REFERENCES shop.orders (tenant_id, id)`, "refer back to it", "DROP CONSTRAINT"},
		"a schema that refers out": {`DO $$ BEGIN EXECUTE format('ALTER TABLE %I.notes ADD t uuid, ADD o bigint, ADD FOREIGN KEY (t, o) REFERENCES shop.orders (tenant_id, id)', (SELECT schema_name FROM tenants.tenant_schemas)); END $$`,
			"refers to itself and to reference tables alone", "DROP CONSTRAINT notes_t_o_fkey"},
		"a table that is gone": {`DROP TABLE shop.lines`, "not there", ""},
	} {
		run(t, conn, "BEGIN; "+c.plant)
		plan := planOf(t, conn)
		found := slices.ContainsFunc(plan.Refused, func(r shard.Refusal) bool {
			return strings.Contains(r.What, c.what) && (r.Mend == c.mend || c.mend == "DROP CONSTRAINT" && strings.Contains(r.Mend, c.mend) || strings.HasSuffix(r.Mend, c.mend) && c.mend != "")
		})
		if !found {
			t.Errorf("%s: %+v", name, plan.Refused)
		}
		if err := shard.Apply(t.Context(), conn, plan, func(int, shard.Step) {}); err == nil {
			t.Errorf("%s: the plan is run all the same", name)
		}
		run(t, conn, "ROLLBACK")
	}
}

// What the plan writes must parse and run on what protect made, up to Citus's own functions.
func TestTheWallOfAShardBoundsBySessionAlone(t *testing.T) {
	t.Parallel()
	conn := newShop(t)
	run(t, conn, standIn)
	if err := shard.Apply(t.Context(), conn, planOf(t, conn), func(int, shard.Step) {}); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"nself_app", "nself_hasura"} {
		got := seen(t, conn, role)
		if diff := cmp.Diff([]int{1, 0}, got); diff != "" {
			t.Errorf("%s sees of its own and another tenant's rows: %s", role, diff)
		}
	}
}

// seen counts the customers that a role sees in the session of their tenant, and of another.
func seen(t *testing.T, conn *pgx.Conn, role string) []int {
	t.Helper()
	const mine, other = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	run(t, conn, `BEGIN; INSERT INTO shop.customers (tenant_id) VALUES ('`+mine+`')`)
	defer run(t, conn, "ROLLBACK")
	counts := []int{0, 0}
	for i, tenant := range []string{mine, other} {
		run(t, conn, `SET LOCAL ROLE `+role+`; SET LOCAL "hasura.user" = '{"x-hasura-role": "tenant_owner", "x-hasura-tenant-id": "`+tenant+`"}'`)
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM shop.customers`).Scan(&counts[i]); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}
