package fuzz

import "pgregory.net/rapid"

// refused are statements that no bound role may run.
var refused = map[string][]string{
	"truncate":              {"TRUNCATE {T0}", "TRUNCATE {T1} CASCADE"},
	"alter":                 {"ALTER TABLE {T0} DISABLE ROW LEVEL SECURITY", "ALTER TABLE {T1} NO FORCE ROW LEVEL SECURITY", "ALTER TABLE {T0} OWNER TO nself_app", "ALTER TABLE {T0} DISABLE TRIGGER ALL", "ALTER VIEW {V0} RESET (security_invoker)"},
	"policy":                {"DROP POLICY active_tenant ON {T0}", "CREATE POLICY wide ON {T1} USING (true)", "ALTER POLICY active_tenant ON {T0} USING (true)"},
	"grant":                 {"GRANT nself_owner TO nself_app", "ALTER ROLE nself_app BYPASSRLS", "ALTER TABLE {T0} ADD COLUMN x int", "DROP TABLE {T1} CASCADE"},
	"create":                {"CREATE TABLE {S}.mine (x int)", "CREATE VIEW {S}.mine AS SELECT * FROM {T0}", "CREATE TRIGGER mine BEFORE INSERT ON {T0} FOR EACH ROW EXECUTE FUNCTION nself.touch_updated_at()", "CREATE RULE mine AS ON SELECT TO {T0} DO INSTEAD SELECT 1", "CREATE EXTENSION dblink"},
	"replace a function":    {"CREATE OR REPLACE FUNCTION tenants.active_tenant_id() RETURNS uuid LANGUAGE sql AS $f$SELECT '{OTHER}'::uuid$f$", "CREATE OR REPLACE FUNCTION tenants.current_session() RETURNS jsonb LANGUAGE sql AS $f$SELECT '{}'::jsonb$f$"},
	"set role":              {"SET LOCAL ROLE nself_owner", "SET ROLE postgres", "SELECT set_config('role', 'nself_hasura', true)"},
	"session authorization": {"SET SESSION AUTHORIZATION postgres", "SET LOCAL SESSION AUTHORIZATION nself_hasura", "SELECT set_config('session_authorization', 'nself_owner', true)"},
	"replica":               {"SET LOCAL session_replication_role = replica", "SET LOCAL lo_compat_privileges = on"},
	"row security off":      {"SET LOCAL row_security = off; SELECT mark AS m, num AS n FROM {T0}", "SET LOCAL row_security = off; DELETE FROM {T1}"},
	"copy in":               {"COPY {T0} (tenant_id, k1, mark, num) FROM STDIN"},
	"server's files":        {"COPY {T0} TO PROGRAM 'cat'", "SELECT pg_read_file('PG_VERSION')", "COPY (SELECT 1) TO '/tmp/nself-fuzz'", "SELECT lo_import('/etc/passwd')"},
	"statistics":            {"SELECT * FROM pg_statistic", "SELECT stxdmcv FROM pg_statistic_ext_data"},
	"borrowed rights":       {"CREATE FUNCTION pg_temp.mine() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $f$SELECT mark FROM {T0}$f$; ALTER FUNCTION pg_temp.mine() OWNER TO nself_owner", "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'"},
}

// attacks try what has to be refused.
func attacks(t *rapid.T) op {
	kind := rapid.SampledFrom(sorted(refused)).Draw(t, "attack")
	o := op{kinds: []string{kind}, text: rapid.SampledFrom(refused[kind]).Draw(t, "form"), want: refusal}
	if kind == "copy in" {
		o.how = copyIn
	}
	return o
}

// spies look where a row could show without being asked for.
func spies(t *rapid.T) op { return rapid.SampledFrom(spying()).Draw(t, "spy") }

func spying() []op {
	return []op{
		{kinds: []string{"leaky function"}, text: `CREATE FUNCTION pg_temp.peek(text, int) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
			AS $f$BEGIN RAISE NOTICE '% %', $1, $2; RETURN true; END$f$;
			SELECT mark AS m, num AS n FROM {T0} WHERE pg_temp.peek(mark, num) AND pg_temp.peek(mark, k1); DROP FUNCTION pg_temp.peek(text, int)`},
		{kinds: []string{"leaky operator"}, text: `CREATE FUNCTION pg_temp.near(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
			AS $f$BEGIN RAISE NOTICE '%', $1; RETURN true; END$f$; CREATE OPERATOR pg_temp.<<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.near);
			SELECT m, n FROM {V1} WHERE m OPERATOR(pg_temp.<<<<) 'x'; DROP FUNCTION pg_temp.near(text, text) CASCADE`},
		{kinds: []string{"leaky index lookup"}, text: "SELECT mark AS m, num AS n FROM {T1} WHERE 1 / (CASE WHEN tenant_id = '{OTHER}' THEN 0 ELSE 1 END) = 1 OR k1 = 1", how: extended},
		{kinds: []string{"error with a value"}, text: "SELECT mark::int FROM {T0} ORDER BY tenant_id = '{OTHER}' DESC"},
		{kinds: []string{"error with a value"}, text: "UPDATE {T0} SET num = k1 / (num - num), mark = mark || k1"},
		{kinds: []string{"error with a key"}, text: "INSERT INTO {T0} (tenant_id, k1, mark, num) SELECT tenant_id, k1, mark, num FROM {T0}"},
		{kinds: []string{"catalogue"}, text: "SELECT * FROM pg_stats WHERE schemaname = '{S}'"},
		{kinds: []string{"catalogue"}, text: "SELECT relname, row_security_active(oid) FROM pg_class WHERE relname LIKE 't_'"},
		{kinds: []string{"other tables"}, text: "SELECT id AS tid FROM tenants.tenants WHERE id = '{OTHER}'", want: nothing},
		{kinds: []string{"other tables"}, text: "SELECT email FROM auth.users u JOIN tenants.tenant_members m ON m.user_id = u.id WHERE m.tenant_id = '{OTHER}'", want: nothing},
		{kinds: []string{"deferred"}, text: "SET CONSTRAINTS ALL DEFERRED"},
		{kinds: []string{"advisory"}, text: "SELECT pg_try_advisory_xact_lock(7)"},
		{kinds: []string{"listen"}, text: "LISTEN fuzz; NOTIFY fuzz; UNLISTEN fuzz"},
		{kinds: []string{"prepare"}, text: "PREPARE mine AS SELECT mark AS m, num AS n FROM {T1}; EXECUTE mine; DEALLOCATE mine"},
		{kinds: []string{"set local"}, text: "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL plan_cache_mode = force_generic_plan"},
	}
}
