package isolation

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// databaseFacts are what the catalog is to say of the table, a line each, spelled as
// catalogFactsAllTenantsSQL spells what it does say.
func (t Table) databaseFacts(keywords []string) []string {
	facts := []string{"is owned by nself_owner"}
	for role, privileges := range t.Grants {
		for _, privilege := range privileges {
			facts = append(facts, role+" may "+privilege)
		}
	}
	if !t.Walled() {
		return facts
	}
	facts = append(facts, "row-level security is enabled", "row-level security is forced",
		t.TenantColumn()+" is of type uuid", t.TenantColumn()+" is immutable", "an index is led by "+t.TenantColumn())
	if t.Outlives == "" && t.Name != tenantsTable {
		facts = append(facts, t.TenantColumn()+" refers to the tenants")
	}
	if t.Nullable == "" {
		facts = append(facts, t.TenantColumn()+" is not null")
	}
	for key := range t.Global {
		facts = append(facts, "the key "+key+" holds across tenants")
	}
	for _, p := range t.AllPolicies() {
		facts = append(facts, t.policyFact(p, keywords))
	}
	return facts
}

func (t Table) policyFact(p Policy, keywords []string) string {
	command := p.For
	if command == "" {
		command = "all"
	}
	fact := fmt.Sprintf("policy %s for %s to %s", p.Name, command, strings.Join(slices.Sorted(slices.Values(p.To)), ", "))
	asPostgres := func(name string) string { return deparsed(name, keywords) }
	if p.Using != "" {
		fact += " using " + t.expression(p.Using, asPostgres)
	}
	if p.Check != "" {
		fact += " check " + t.expression(p.Check, asPostgres)
	}
	return fact
}

// plainName is a name that Postgres writes without quotes where it is no keyword.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// deparsed is a name as Postgres writes it back.
func deparsed(name string, keywords []string) string {
	if plainName.MatchString(name) && !slices.Contains(keywords, name) {
		return name
	}
	return Quote(name)
}

// catalogFactsAllTenantsSQL tells what the catalog says of the declared tables, and of every other
// table that looks like one: it has a tenant_id, a reference to the tenants, or row-level security.
// Tables of the schemas that are one tenant's are none of them: no list declares those.
const catalogFactsAllTenantsSQL = `
	WITH relation AS (
	  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relacl,
	         declared.tenant_column, a.attnum, a.atttypid, a.attnotnull
	  FROM pg_catalog.pg_class c
	  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	  LEFT JOIN unnest(@schemas::text[], @tables::text[], @columns::text[]) AS declared (schema, name, tenant_column)
	    ON declared.schema = n.nspname AND declared.name = c.relname
	  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = declared.tenant_column AND NOT a.attisdropped
	  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
	    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'hdb_catalog') AND n.nspname !~ '^pg_' AND n.nspname <> ALL (@places::text[])
	    AND (declared.schema IS NOT NULL OR c.relrowsecurity
	         OR EXISTS (SELECT FROM pg_catalog.pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'tenant_id' AND NOT o.attisdropped)
	         OR EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f'
	                    AND f.confrelid IN (SELECT to_regclass(format('%I.%I', o.schema, o.name)) FROM unnest(@schemas::text[], @tables::text[], @owned::boolean[]) AS o (schema, name, owned) WHERE o.owned)))
	), fact AS (
	  SELECT oid, 'exists' AS line FROM relation
	  UNION ALL SELECT oid, 'row-level security is enabled' FROM relation WHERE relrowsecurity
	  UNION ALL SELECT oid, 'row-level security is forced' FROM relation WHERE relforcerowsecurity
	  UNION ALL SELECT oid, 'is owned by ' || pg_get_userbyid(relowner) FROM relation
	  UNION ALL SELECT oid, tenant_column || ' is of type ' || format_type(atttypid, NULL) FROM relation WHERE attnum IS NOT NULL
	  UNION ALL SELECT oid, tenant_column || ' is not null' FROM relation WHERE attnotnull
	  UNION ALL SELECT DISTINCT r.oid, r.tenant_column || ' refers to the tenants'
	    FROM relation r JOIN pg_catalog.pg_constraint f ON f.conrelid = r.oid AND f.contype = 'f' AND f.convalidated AND f.confdeltype = 'c'
	    WHERE f.confrelid = to_regclass('tenants.tenants') AND f.conkey = ARRAY[r.attnum]
	  UNION ALL SELECT r.oid, concat_ws(' ', 'policy', p.polname, 'for',
	      CASE p.polcmd WHEN '*' THEN 'all' WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' ELSE 'delete' END,
	      CASE WHEN NOT p.polpermissive THEN '(restrictive)' END, 'to',
	      (SELECT string_agg(CASE WHEN g.oid = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.oid)::text END, ', ' ORDER BY pg_get_userbyid(g.oid)::text COLLATE "C")
	       FROM unnest(p.polroles) AS g (oid)),
	      'using ' || regexp_replace(pg_get_expr(p.polqual, p.polrelid), '\s+', ' ', 'g'),
	      'check ' || regexp_replace(pg_get_expr(p.polwithcheck, p.polrelid), '\s+', ' ', 'g'))
	    FROM relation r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
	  UNION ALL SELECT r.oid, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END || ' may ' || lower(g.privilege_type)
	      || CASE WHEN g.is_grantable THEN ' and grant it' ELSE '' END
	    FROM relation r, aclexplode(r.relacl) AS g WHERE g.grantee <> r.relowner
	  UNION ALL SELECT r.oid, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END || ' may ' || lower(g.privilege_type)
	      || ' the column ' || a.attname
	    FROM relation r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid, aclexplode(a.attacl) AS g WHERE g.grantee <> r.relowner
	  UNION ALL SELECT DISTINCT r.oid, r.tenant_column || ' is immutable'
	    FROM relation r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
	    WHERE t.tgfoid = to_regprocedure('nself.refuse_tenant_change()') AND t.tgenabled IN ('O', 'A')
	      AND t.tgattr::text = r.attnum::text AND t.tgtype = 19 -- BEFORE UPDATE FOR EACH ROW
	      AND pg_get_triggerdef(t.oid) LIKE format('%% WHEN ((old.%1$I IS DISTINCT FROM new.%1$I)) EXECUTE FUNCTION %%', r.tenant_column)
	  UNION ALL SELECT DISTINCT r.oid, 'an index is led by ' || r.tenant_column
	    FROM relation r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
	    WHERE i.indkey[0] = r.attnum AND i.indisvalid AND i.indpred IS NULL
	  UNION ALL SELECT r.oid, 'the key ' || x.relname || ' holds across tenants'
	    FROM relation r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
	    WHERE i.indisunique AND r.attnum IS NOT NULL AND NOT (r.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))
	  UNION ALL SELECT r.oid, 'the exclusion ' || k.conname || ' holds across tenants'
	    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
	    WHERE k.contype = 'x' AND r.attnum IS NOT NULL AND pg_get_constraintdef(k.oid) !~ ('[( ]' || quote_ident(r.tenant_column) || ' WITH =[,)]')
	  UNION ALL SELECT r.oid, r.tenant_column || ' is by default ' || pg_get_expr(d.adbin, d.adrelid)
	    FROM relation r JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = r.attnum
	    WHERE pg_get_expr(d.adbin, d.adrelid) NOT IN ('tenants.current_tenant_id()', 'gen_random_uuid()')
	       OR (pg_get_expr(d.adbin, d.adrelid) = 'gen_random_uuid()' AND r.oid <> to_regclass('tenants.tenants'))
	  UNION ALL SELECT r.oid, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END || ' may ' || lower(g.privilege_type)
	      || ' its sequence ' || q.oid::regclass
	    FROM relation r JOIN pg_catalog.pg_depend d ON d.refobjid = r.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
	      AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
	    JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S', aclexplode(q.relacl) AS g
	    WHERE g.grantee <> q.relowner AND g.privilege_type <> 'USAGE'
	  UNION ALL SELECT r.oid, 'the reference ' || k.conname || ' may lead to another tenant'
	    FROM relation r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid AND k.contype = 'f' AND k.conparentid = 0
	    JOIN unnest(@schemas::text[], @tables::text[], @columns::text[], @owned::boolean[]) AS o (schema, name, tenant_column, owned)
	      ON o.owned AND k.confrelid = to_regclass(format('%I.%I', o.schema, o.name)) AND k.confrelid <> to_regclass('tenants.tenants')
	    JOIN pg_catalog.pg_attribute ta ON ta.attrelid = k.confrelid AND ta.attname = o.tenant_column
	    WHERE r.attnum IS NOT NULL
	      AND NOT EXISTS (SELECT FROM unnest(k.conkey, k.confkey) AS pair (own, theirs) WHERE pair.own = r.attnum AND pair.theirs = ta.attnum)
	      AND NOT EXISTS (SELECT FROM unnest(@global::text[]) AS g (name) WHERE g.name = (SELECT x.relname FROM pg_catalog.pg_class x WHERE x.oid = k.conindid))
	  UNION ALL SELECT r.oid, 'the child ' || h.inhrelid::regclass || ' by inheritance'
	    FROM relation r JOIN pg_catalog.pg_inherits h ON h.inhparent = r.oid JOIN pg_catalog.pg_class p ON p.oid = r.oid AND p.relkind = 'r'
	  UNION ALL SELECT r.oid, 'its partition ' || p.oid::regclass || ' has the policy ' || y.polname
	    FROM relation r CROSS JOIN LATERAL pg_partition_tree(r.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid
	    JOIN pg_catalog.pg_policy y ON y.polrelid = p.oid WHERE p.oid <> r.oid
	  UNION ALL SELECT r.oid, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END || ' may ' || lower(g.privilege_type)
	      || ' the column ' || a.attname || ' of its partition ' || p.oid::regclass
	    FROM relation r CROSS JOIN LATERAL pg_partition_tree(r.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid
	    JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid, aclexplode(a.attacl) AS g WHERE p.oid <> r.oid AND g.grantee <> p.relowner
	  UNION ALL SELECT r.oid, 'its partition ' || p.oid::regclass || ' has the key ' || i.indexrelid::regclass || ' across tenants'
	    FROM relation r CROSS JOIN LATERAL pg_partition_tree(r.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid
	    JOIN pg_catalog.pg_index i ON i.indrelid = p.oid AND (i.indisunique OR i.indisexclusion)
	    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.oid AND a.attname = r.tenant_column
	    WHERE p.oid <> r.oid AND r.attnum IS NOT NULL AND NOT coalesce(a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]), false)
	      AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = i.indexrelid)
	  UNION ALL SELECT r.oid, 'its partition ' || p.oid::regclass || ' has no row-level security'
	    FROM relation r CROSS JOIN LATERAL pg_partition_tree(r.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid
	    WHERE r.relrowsecurity AND p.oid <> r.oid AND NOT (p.relrowsecurity AND p.relforcerowsecurity)
	  UNION ALL SELECT r.oid, 'its partition ' || p.oid::regclass || ' is owned by ' || pg_get_userbyid(p.relowner)
	    FROM relation r CROSS JOIN LATERAL pg_partition_tree(r.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid
	    WHERE p.oid <> r.oid AND p.relowner <> r.relowner
	  UNION ALL SELECT r.oid, CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee) END || ' may ' || lower(g.privilege_type)
	      || ' its partition ' || p.oid::regclass
	    FROM relation r CROSS JOIN LATERAL pg_partition_tree(r.oid) AS t JOIN pg_catalog.pg_class p ON p.oid = t.relid, aclexplode(p.relacl) AS g
	    WHERE p.oid <> r.oid AND g.grantee <> p.relowner
	)
	SELECT r.schema, r.name, f.line FROM relation r JOIN fact f ON f.oid = r.oid`

type catalogFact struct {
	Schema string
	Name   string
	Line   string
}

// catalogFacts reads what the database says of each declared table, and of each that
// should be declared.
func (l List) catalogFacts(ctx context.Context, db pg.DB, schemas map[string]id.Tenant) (map[Name][]string, error) {
	var declaring, tables, columns []string
	var owned []bool
	global := []string{}
	for _, t := range l {
		declaring, tables, columns = append(declaring, t.Name.Schema), append(tables, t.Name.Name), append(columns, t.TenantColumn())
		global = slices.AppendSeq(global, maps.Keys(t.Global))
		owned = append(owned, t.Walled() && t.Rows != OfMembers)
	}
	var found []catalogFact
	err := plainly(ctx, db, func(tx pgx.Tx) (err error) {
		found, err = pg.All[catalogFact](ctx, tx, catalogFactsAllTenantsSQL, pgx.NamedArgs{"schemas": declaring, "tables": tables, "columns": columns, "owned": owned, "global": global,
			"places": append([]string{}, slices.Collect(maps.Keys(schemas))...)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the walls from the catalog: %w", err)
	}
	facts := map[Name][]string{}
	for _, f := range found {
		name := Name{Schema: f.Schema, Name: f.Name}
		facts[name] = append(facts[name], f.Line)
	}
	return facts, nil
}

const keywordsSQL = `SELECT array_agg(word) FROM pg_catalog.pg_get_keywords() WHERE catcode <> 'U'`

// plainSQL lets Postgres write every name with its schema, and refuse to answer rather
// than answer of the rows alone that a policy admits.
const plainSQL = `SELECT set_config('search_path', 'pg_catalog', true), set_config('row_security', 'off', true)`

// plainly reads under plainSQL, and leaves no trace.
func plainly(ctx context.Context, db pg.DB, read func(tx pgx.Tx) error) error {
	return uncompiled(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, plainSQL); err != nil {
			return err
		}
		return read(tx)
	})
}

const uncompiledSQL = `SELECT set_config('jit', 'off', true)`

// uncompiled reads of the catalog, and leaves no trace. The statements are long and find few
// rows: compiled, they take ten times as long.
func uncompiled(ctx context.Context, db pg.DB, read func(tx pgx.Tx) error) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it wrote nothing
	if _, err := tx.Exec(ctx, uncompiledSQL); err != nil {
		return err
	}
	return read(tx)
}
