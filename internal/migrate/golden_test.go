package migrate_test

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pgtest"
)

var update = flag.Bool("update", false, "write testdata/walls.golden anew")

// wallsAllTenantsSQL lists, a line each, what keeps tenants apart and rows whole: roles,
// row-level security, policies, rights, functions, triggers and constraints. The owner's
// own rights and NOT NULL are left out: versions of Postgres list them differently.
const wallsAllTenantsSQL = `
WITH ours AS (SELECT oid, nspname FROM pg_namespace WHERE nspname IN ('tenants', 'auth', 'billing', 'audit', 'nself')),
tables AS (SELECT c.*, n.nspname || '.' || c.relname AS name FROM pg_class c JOIN ours n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p'))
SELECT format('role %s: super %s, bypass %s, inherit %s, login %s', rolname, rolsuper, rolbypassrls, rolinherit, rolcanlogin)
FROM pg_roles WHERE rolname ~ '^nself_'
UNION ALL SELECT format('member %s of %s', pg_get_userbyid(member), pg_get_userbyid(roleid)) FROM pg_auth_members
WHERE pg_get_userbyid(member) ~ '^nself_'
UNION ALL SELECT format('table %s: row security %s, forced %s', name, relrowsecurity, relforcerowsecurity) FROM tables
UNION ALL SELECT format('policy %s.%s %s: %s %s to %s using %s check %s', schemaname, tablename, policyname, permissive, cmd, roles, qual, with_check)
FROM pg_policies WHERE schemaname IN (SELECT nspname FROM ours)
UNION ALL SELECT format('grant on %s to %s: %s', t.name, CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee) END,
	string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type))
FROM tables t, aclexplode(t.relacl) a WHERE a.grantee <> t.relowner GROUP BY t.name, a.grantee
UNION ALL SELECT format('grant on schema %s to %s: %s', n.nspname, pg_get_userbyid(a.grantee), string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type))
FROM pg_namespace n JOIN ours USING (oid), aclexplode(n.nspacl) a WHERE a.grantee <> n.nspowner GROUP BY n.nspname, a.grantee
UNION ALL SELECT format('function %s: definer %s, settings %s, for %s', p.oid::regprocedure, prosecdef, proconfig,
	(SELECT string_agg(CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END, ' ' ORDER BY a.grantee::regrole::text)
	 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee <> p.proowner))
FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace
UNION ALL SELECT 'trigger ' || pg_get_triggerdef(g.oid) FROM pg_trigger g JOIN tables t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL SELECT format('constraint %s on %s: %s', conname, t.name, pg_get_constraintdef(c.oid)) FROM pg_constraint c JOIN tables t ON t.oid = c.conrelid
WHERE c.contype <> 'n' AND c.contype <> 't'
UNION ALL SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname IN (SELECT nspname FROM ours)
ORDER BY 1`

// partitionMonth is of the names of partitions, which go by the day the migrations ran.
var partitionMonth = regexp.MustCompile(`usage_records_\d{4}_\d{2}`)

// Every wall is written down once more, so that none moves unseen: a change of the
// schema shows here as a line to be read, and is taken over with -update.
func TestTheWallsStandAsTheyAreWrittenDown(t *testing.T) {
	const golden = "testdata/walls.golden"
	rows, _ := pgtest.Database(t).Superuser(t).Query(t.Context(), wallsAllTenantsSQL)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		lines[i] = partitionMonth.ReplaceAllString(strings.Join(strings.Fields(line), " "), "usage_records_<month>")
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), lines); diff != "" {
		t.Errorf("the walls moved (-written down, +are):\n%s", diff)
	}
}
