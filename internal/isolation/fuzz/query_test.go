package fuzz

import (
	"fmt"

	"pgregory.net/rapid"
)

// A random query has the columns m (a mark), n (a number), tid and k, so that any of them can stand where a relation
// can. What is written in braces is filled in when the statement runs, by who is in force then.

// query is the text of a query and the kinds of statement in it.
type query struct {
	text  string
	kinds []string
}

func (q query) with(kind, format string, parts ...any) query {
	return query{fmt.Sprintf(format, parts...), append([]string{kind}, q.kinds...)}
}

// tableName, viewName and functionName are places of the schema; the first draw is one of at most four tables.
func tableName(t *rapid.T) string { return fmt.Sprintf("{T%d}", rapid.IntRange(0, 3).Draw(t, "table")) }

func conditions(t *rapid.T, depth int) string {
	form := rapid.IntRange(0, 8).Draw(t, "condition")
	if depth == 0 && form > 5 {
		form -= 3
	}
	switch form {
	case 0:
		return "true"
	case 1:
		return "n > {NUMBER}"
	case 2:
		return "tid = '{OTHER}'"
	case 3:
		return "m LIKE 'mark%'"
	case 4:
		return fmt.Sprintf("k <= %d", rapid.IntRange(1, 6).Draw(t, "k"))
	case 5:
		return "tid <> '{TENANT}'"
	case 6:
		return "(" + conditions(t, depth-1) + " OR " + conditions(t, depth-1) + ")"
	case 7:
		return "(" + conditions(t, depth-1) + " AND " + conditions(t, depth-1) + ")"
	}
	return "NOT (" + conditions(t, depth-1) + ")"
}

func queries(t *rapid.T, depth int) query {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		return leaf(t)
	}
	inner := queries(t, depth-1)
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 0:
		return inner.with("filter", "SELECT m, n, tid, k FROM (%s) q WHERE %s", inner.text, conditions(t, 2))
	case 1:
		return joined(t, inner)
	case 2:
		return inner.with("window", "SELECT first_value(m) OVER (ORDER BY n, m) AS m, max(n) OVER (PARTITION BY k) AS n, tid, k FROM (%s) q", inner.text)
	case 3:
		return inner.with("aggregate", "SELECT max(m) AS m, min(n) AS n, min(tid::text)::uuid AS tid, count(*)::int AS k FROM (%s) q GROUP BY k %% 2", inner.text)
	case 4:
		return inner.with("lateral", `SELECT a.m, b.num AS n, b.tenant_id AS tid, a.k FROM (%s) a CROSS JOIN LATERAL
			(SELECT num, tenant_id FROM %s x WHERE x.k1 >= a.k ORDER BY k1 LIMIT 2) b`, inner.text, tableName(t))
	case 5:
		return inner.with("correlated", `SELECT (SELECT max(x.mark) FROM %s x WHERE x.k1 <= a.k) AS m,
			(SELECT min(x.num) FROM %s x WHERE x.tenant_id IS DISTINCT FROM a.tid OR x.k1 = a.k) AS n, a.tid, a.k FROM (%s) a`,
			tableName(t), tableName(t), inner.text)
	case 6:
		how := rapid.SampledFrom([]string{"", "MATERIALIZED", "NOT MATERIALIZED"}).Draw(t, "cte")
		return inner.with("cte", "WITH q AS %s (%s) SELECT a.m, b.n, a.tid, b.k FROM q a JOIN q b ON a.k = b.k", how, inner.text)
	case 7:
		return inner.with("recursive", `WITH RECURSIVE q (m, n, tid, k) AS ((%s) UNION
			SELECT x.mark, x.num, x.tenant_id, q.k + 1 FROM q JOIN %s x ON x.k1 = q.k + 1 WHERE q.k < 6) SELECT m, n, tid, k FROM q`, inner.text, tableName(t))
	case 8:
		return inner.with("exists", "SELECT x.mark AS m, x.num AS n, x.tenant_id AS tid, x.k1 AS k FROM %s x WHERE EXISTS (SELECT FROM (%s) q WHERE q.k = x.k1 OR q.tid <> x.tenant_id)",
			tableName(t), inner.text)
	}
	return setOperation(t, inner)
}

func leaf(t *rapid.T) query {
	i := rapid.IntRange(0, 3).Draw(t, "relation")
	switch rapid.IntRange(0, 4).Draw(t, "source") {
	case 0:
		return query{}.with("view", "SELECT m, n, tid, k FROM {V%d}", i)
	case 1:
		return query{}.with("function", "SELECT m, n, tid, k FROM {F%d}(%d)", i, rapid.IntRange(0, 3).Draw(t, "least"))
	case 2:
		return query{}.with("sample", "SELECT mark AS m, num AS n, tenant_id AS tid, k1 AS k FROM {T%d} TABLESAMPLE SYSTEM (100)", i)
	}
	return query{}.with("select", "SELECT mark AS m, num AS n, tenant_id AS tid, k1 AS k FROM {T%d}", i)
}

func joined(t *rapid.T, inner query) query {
	how := rapid.SampledFrom([]string{"JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"}).Draw(t, "join")
	on := rapid.SampledFrom([]string{"a.k = b.k", "a.tid = b.tid AND a.k <= b.k", "a.n = b.n", "a.k = b.k AND a.tid = b.tid"}).Draw(t, "on")
	other := leaf(t)
	q := inner.with("join", "SELECT a.m, b.n, coalesce(b.tid, a.tid) AS tid, coalesce(a.k, b.k) AS k FROM (SELECT * FROM (%s) l LIMIT 40) a %s (%s) b ON %s",
		inner.text, how, other.text, on)
	q.kinds = append(q.kinds, other.kinds...)
	return q
}

func setOperation(t *rapid.T, inner query) query {
	how := rapid.SampledFrom([]string{"UNION", "UNION ALL", "INTERSECT", "EXCEPT"}).Draw(t, "operation")
	other := leaf(t)
	q := inner.with("set operation", "(%s) %s (%s)", inner.text, how, other.text)
	q.kinds = append(q.kinds, other.kinds...)
	return q
}
