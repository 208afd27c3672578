package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

var plannerRules = []Rule{
	{"planner-index-lost", Warning, plannerGroup, "row-level security keeps an operator that is not leakproof from its index", indexLost},
	{"planner-skew-hidden", Notice, plannerGroup, "the policy's form hides from the planner how large the largest tenant is", skewHidden},
}

// leakySQL tells for every key column of every valid index of the tables one operator the
// index is for that Postgres may not evaluate before the policy. Of a btree that is its
// equality, or LIKE where the class is made for that. What compares with another type (a
// timestamptz with a timestamp) is not what an ordered index is for.
const leakySQL = `
	WITH kept AS MATERIALIZED (
	  SELECT DISTINCT ON (p.amopfamily, p.amoplefttype) p.amopfamily, p.amoplefttype, o.oprname::text AS name,
	         n.nspname::text AS schema, format_type(o.oprright, NULL) AS operand
	  FROM pg_catalog.pg_amop p JOIN pg_catalog.pg_am m ON m.oid = p.amopmethod
	  JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode
	  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
	  WHERE p.amoppurpose = 's' AND NOT f.proleakproof AND (m.amname <> 'btree' OR p.amopstrategy = 3)
	    AND (m.amname NOT IN ('btree', 'brin') OR p.amoplefttype = p.amoprighttype)
	  ORDER BY p.amopfamily, p.amoplefttype, p.amopstrategy)
	SELECT i.indrelid AS relation, x.relname::text AS index, m.amname::text AS method, k.n::int AS key,
	       pg_get_indexdef(i.indexrelid, k.n, true) AS expression, coalesce(op.name, '~~') AS operator,
	       coalesce(op.schema, 'pg_catalog') AS operator_schema,
	       CASE WHEN op.operand LIKE 'any%' THEN coalesce(format_type(a.atttypid, a.atttypmod), '') ELSE coalesce(op.operand, 'text') END AS operand,
	       coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS predicate
	FROM pg_catalog.pg_index i
	JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = x.relam
	CROSS JOIN LATERAL generate_series(1, i.indnkeyatts::int) AS k (n)
	JOIN pg_catalog.pg_opclass c ON c.oid = i.indclass[k.n - 1]
	LEFT JOIN kept AS op ON op.amopfamily = c.opcfamily AND op.amoplefttype = c.opcintype
	LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n - 1] AND a.attnum > 0
	WHERE i.indrelid = ANY (@tables::oid[]) AND i.indisvalid AND (op.name IS NOT NULL OR c.opcname LIKE '%pattern\_ops')
	ORDER BY i.indrelid, x.relname, k.n`

// leaky is a key column of an index with an operator that a policy keeps from it.
type leaky struct {
	Relation   uint32 `db:"relation"`
	Index      string `db:"index"`
	Method     string `db:"method"`
	Key        int    `db:"key"`
	Expression string `db:"expression"`
	Operator   string `db:"operator"`
	Schema     string `db:"operator_schema"`
	Operand    string `db:"operand"` // the type of the other side; "" where it cannot be told
	Predicate  string `db:"predicate"`
}

func indexLost(ctx context.Context, s *state) []fault {
	var oids []uint32
	for _, t := range s.tenants {
		if t.RLS && t.column != nil && len(s.outsiders(t.relation, "SELECT")) > 0 { // else no policy binds who reads it
			oids = append(oids, t.OID)
		}
	}
	indexes, err := pg.All[leaky](ctx, s.db, leakySQL, pgx.NamedArgs{"tables": oids})
	if err != nil {
		s.skip("operators that are not leakproof: %v", err)
		return nil
	}
	var found []fault
	for _, l := range indexes {
		t := s.byOID[l.Relation]
		if l.Method == "btree" && l.Key > 1 || l.Expression == isolation.Quote(t.name) || l.Expression == t.name || s.searched(t, l) {
			continue
		}
		plan, usable := s.explainAs(ctx, t, l)
		if usable {
			continue
		}
		found = append(found, fault{
			object:   fmt.Sprintf("%s (%s)", t.Title(), l.Index),
			what:     fmt.Sprintf("%s %s … is not evaluated before the policy, so the %s index does not serve who is bound by it", l.Expression, l.Operator, l.Method),
			fix:      s.searchRecipe(t, l),
			evidence: plan,
		})
	}
	return found
}

// searched reports whether a function as the recipe has it serves the operator on what is
// indexed: one of the owner that asks for the session's tenant itself.
func (s *state) searched(t *tenantTable, l leaky) bool {
	var indexed []string
	for _, token := range tokenize(l.Expression) {
		if t.columnNamed(plainName(token.text)) != nil {
			indexed = append(indexed, strings.ToLower(plainName(token.text)))
		}
	}
	return slices.ContainsFunc(s.definers(), func(f *function) bool {
		return strings.Contains(f.Source, l.Operator) && s.readsSetting(f, 0) && f.names(indexed) &&
			slices.ContainsFunc(s.touches(f), func(touched *tenantTable) bool { return touched.OID == t.OID })
	})
}

// names reports whether the body has all columns, alone or behind an alias.
func (f *function) names(columns []string) bool {
	return !slices.ContainsFunc(columns, func(column string) bool {
		for word := range f.words {
			if word == column || strings.HasSuffix(word, "."+column) {
				return false
			}
		}
		return true
	})
}

// function names the function of the recipe: by its index, for a table may have several.
func (l leaky) function() string {
	if l.Key == 1 {
		return "search_" + l.Index
	}
	return fmt.Sprintf("search_%s_%d", l.Index, l.Key)
}

func (s *state) searchRecipe(t *tenantTable, l leaky) Fix {
	operand := l.Operand
	if operand == "" {
		operand = "text"
	}
	return repair(`CREATE FUNCTION %[1]s.%[2]s(wanted %[3]s) RETURNS SETOF %[4]s
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN -- the owner's policy admits every row, so the operator may use an index; the tenant is asked for here
  RETURN QUERY SELECT * FROM %[4]s WHERE %[5]s = (SELECT tenants.active_tenant_id()) AND %[6]s OPERATOR(%[7]s.%[8]s) wanted;
END
$function$;
ALTER FUNCTION %[1]s.%[2]s(%[3]s) OWNER TO %[9]s;
REVOKE ALL ON FUNCTION %[1]s.%[2]s(%[3]s) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION %[1]s.%[2]s(%[3]s) TO %[10]s
-- with btree_gin or btree_gist, an index led by %[5]s finds both at once`,
		isolation.Quote(t.Schema), isolation.Quote(l.function()), operand, t.sql(), isolation.Quote(t.name), "("+l.Expression+")", isolation.Quote(l.Schema), l.Operator, ownerRole, appRole)
}

// explainAs has Postgres plan the use of the operator as the least role that may read the
// table, and says whether it takes the index. Without such a role there is no plan.
func (s *state) explainAs(ctx context.Context, t *tenantTable, l leaky) (plan string, usable bool) {
	as := s.leastReader(t)
	if as == nil || l.Operand == "" {
		s.skipOnce("the plans of operators that are not leakproof: " + s.server.User + " may not act as nself_app, or nobody is granted the table")
		return "", false
	}
	statement := fmt.Sprintf("EXPLAIN (COSTS OFF) SELECT FROM %s WHERE (%s) OPERATOR(%s.%s) (SELECT NULL::%s)",
		t.sql(), l.Expression, isolation.Quote(l.Schema), l.Operator, l.Operand)
	if l.Predicate != "" {
		statement += " AND (" + l.Predicate + ")"
	}
	plan, err := s.planned(ctx, as.Name, statement)
	if err != nil {
		return "not explained: " + err.Error(), false
	}
	for line := range strings.Lines(plan) {
		if condition := strings.TrimSpace(line); strings.HasPrefix(condition, "Index Cond:") && strings.Contains(condition, " "+l.Operator+" ") {
			return plan, true
		}
	}
	return fmt.Sprintf("as %s, enable_seqscan off: %s\n%s", as.Name, statement, plan), false
}

func (s *state) leastReader(t *tenantTable) *role {
	login := s.roleNamed[s.server.User]
	for _, r := range s.eachNamed([]string{appRole, tenantRole}) {
		if s.may(t.relation, r, "SELECT") && (s.server.Superuser || s.pathsOf(login)[r.OID] != nil) {
			return r
		}
	}
	return nil
}

const beginPlanSQL = `SELECT set_config('role', @role, true), set_config('enable_seqscan', 'off', true)`

// planned explains a statement as a role, and leaves no trace of either.
func (s *state) planned(ctx context.Context, as, statement string) (string, error) {
	savepoint, err := s.db.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = savepoint.Rollback(ctx) }() // the role and the setting go with it
	if as != "" {
		if _, err := savepoint.Exec(ctx, beginPlanSQL, pgx.NamedArgs{"role": as}); err != nil {
			return "", err
		}
	}
	rows, _ := savepoint.Query(ctx, statement, pgx.QueryExecModeExec)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}

func (s *state) skipOnce(text string) {
	if !slices.Contains(s.skipped, text) {
		s.skipped = append(s.skipped, text)
	}
}

// statisticsSQL reads how many tenants a table has and how large a part the largest is.
// Postgres shows statistics of a table with policies only to whom they do not bind.
const statisticsSQL = `
	SELECT c.oid AS relation, s.n_distinct::float8 AS tenants, (s.most_common_freqs)[1]::float8 AS largest
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN unnest(@tables::oid[], @columns::text[]) AS t (oid, tenant_column) ON t.oid = c.oid
	JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = t.tenant_column AND NOT s.inherited
	WHERE s.most_common_freqs IS NOT NULL AND s.n_distinct <> 0`

type statistics struct {
	Relation uint32  `db:"relation"`
	Tenants  float64 `db:"tenants"` // as pg_stats has it: negative is a part of the rows
	Largest  float64 `db:"largest"`
}

const (
	skewedRows = 10000 // fewer are read in no time, whatever the plan
	skewFactor = 10    // how far the guess may be off
)

func skewHidden(ctx context.Context, s *state) []fault {
	var oids []uint32
	var columns []string
	for _, t := range s.tenants {
		oids, columns = append(oids, t.OID), append(columns, t.name)
	}
	if !s.server.Superuser {
		s.skip("skew: Postgres shows the statistics of tables with policies to a superuser alone")
		return nil
	}
	rows, err := pg.All[statistics](ctx, s.db, statisticsSQL, pgx.NamedArgs{"tables": oids, "columns": columns})
	if err != nil {
		s.skip("skew: %v", err)
		return nil
	}
	var found []fault
	for _, r := range rows {
		t := s.byOID[r.Relation]
		distinct := r.Tenants
		if distinct < 0 {
			distinct *= -t.Rows
		}
		guess, largest := t.Rows/max(distinct, 1), r.Largest*t.Rows
		if largest < skewedRows || largest < skewFactor*guess {
			continue
		}
		statement := fmt.Sprintf("EXPLAIN SELECT FROM %s WHERE %s = (SELECT tenants.active_tenant_id())", t.sql(), isolation.Quote(t.name))
		plan, err := s.planned(ctx, "", statement)
		if err != nil {
			plan = err.Error()
		}
		found = append(found, fault{object: t.columnTitle(),
			what:     fmt.Sprintf("the planner guesses %.0f rows for every tenant, and the largest has %.0f", guess, largest),
			fix:      advice("name the tenant as a value in the heavy statements as well (… AND %s = $1): the policy stays, and the planner knows", t.name),
			evidence: statement + "\n" + plan})
	}
	return found
}
