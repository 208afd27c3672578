package fuzz

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// tries is how many random programs a hole may stay unseen by.
const tries = 15

// holes are faults that a schema, or the context itself, can have, and words of what the judge says of them.
var holes = []struct{ name, plant, says string }{
	{"a view that asks as its owner", "ALTER VIEW {V0} RESET (security_invoker); ALTER VIEW {V1} RESET (security_invoker)", "a row of tenant"},
	{"a materialized view", "DROP VIEW {V0}; CREATE MATERIALIZED VIEW {V0} AS SELECT mark AS m, num AS n, tenant_id AS tid, k1 AS k FROM {T0}; GRANT SELECT ON {V0} TO nself_app, nself_tenant, nself_server", "a row of tenant"},
	{"a policy that admits all", "CREATE POLICY wide ON {T0} FOR SELECT TO nself_app, nself_tenant USING (true)", "a row of tenant"},
	{"a policy for everybody", "CREATE POLICY wide ON {T1} USING (true) WITH CHECK (true)", "though it was never in force"},
	{"a policy without a check", "ALTER POLICY active_tenant ON {T0} WITH CHECK (true)", "was not refused"},
	{"row-level security off", "ALTER TABLE {T0} DISABLE ROW LEVEL SECURITY", "a row of tenant"},
	{"a function with its owner's rights", "ALTER FUNCTION {F0} SECURITY DEFINER", "a row of tenant"},
	{"TRUNCATE for the tenants", "GRANT TRUNCATE ON {T0}, {T1} TO nself_app, nself_tenant", "was not refused"},
	{"a table that the tenants' role owns", "GRANT CREATE ON SCHEMA {S} TO nself_app; ALTER TABLE {T0} OWNER TO nself_app", "was not refused"},
	{"a function that swallows what is malformed", "CREATE OR REPLACE FUNCTION {S}.lax() RETURNS uuid LANGUAGE plpgsql STABLE SECURITY DEFINER AS $f$BEGIN RETURN tenants.active_tenant_id(); EXCEPTION WHEN OTHERS THEN RETURN null; END$f$; CREATE POLICY lax ON {T0} TO nself_app, nself_tenant USING ((SELECT {S}.lax()) IS NULL OR tenant_id = (SELECT {S}.lax()))", "a row of tenant"},
	{"a context that asks for no status", "CREATE OR REPLACE FUNCTION tenants.active_tenant_id() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$SELECT (tenants.current_session() ->> 'x-hasura-tenant-id')::uuid$f$", "a row of tenant 4"},
	{"a context that asks for no session", "CREATE OR REPLACE FUNCTION tenants.active_tenant_id() RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$SELECT t.id FROM tenants.tenants t WHERE t.id = (tenants.current_session() ->> 'x-hasura-tenant-id')::uuid AND status = 'active' AND (NOT tenants.current_session() ? 'x-hasura-user-id' OR EXISTS (SELECT FROM tenants.tenant_members m WHERE m.tenant_id = t.id AND m.user_id = (tenants.current_session() ->> 'x-hasura-user-id')::uuid AND coalesce(tenants.current_session() ->> 'x-hasura-role' = 'tenant_' || m.role, true)))$f$", "a row of tenant"},
}

func (w *world) plant(t failer, sql string) {
	t.Helper()
	if _, err := w.admin.Exec(context.Background(), sql); err != nil {
		t.Fatalf("plant %s: %v", sql, err)
	}
}

func TestTheJudgeFindsEveryPlantedHole(t *testing.T) {
	w := newWorld(t)
	for _, hole := range holes {
		found := 0
		for seed := 1; found == 0 && seed <= tries; seed++ {
			p := programs().Example(seed)
			if seed == 1 {
				p = rollCall(p.schema, direct, app)
			}
			if slices.ContainsFunc(w.playOnce(t, &p, newTally(), strings.ReplaceAll(hole.plant, "{F0}", "{F0}(int)")), func(wrong string) bool {
				return strings.Contains(wrong, hole.says)
			}) {
				found = seed
			}
		}
		if found == 0 {
			t.Errorf("%s: not found by %d programs", hole.name, tries)
		}
	}
}

func TestTheJudgeFindsAContextThatOutlivesItsTransaction(t *testing.T) {
	w := newWorld(t)
	for _, by := range []way{direct, bounced, concurrent} {
		for _, text := range []string{"SELECT set_config('hasura.user', '{SESSION}', false)", `SET "hasura.user" = '{SESSION}'`} {
			tx := []op{{text: "BEGIN", effect: begin}, {text: text, effect: enter, to: claims()[0]}, {text: "COMMIT", effect: commit}}
			p := program{schema: schemas().Example(1), way: by, scripts: []script{{app, [][]op{tx}}, {app, nil}}, turns: []int{0}}
			said := strings.Join(w.playOnce(t, &p, newTally(), ""), "\n")
			if !strings.Contains(said, "with the context") || !strings.Contains(said, "without context, sees a row") {
				t.Errorf("%s, %s: the judge says %q", by, text, said)
			}
		}
	}
}
