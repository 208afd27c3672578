package fuzz

import (
	"fmt"

	"pgregory.net/rapid"
)

// reads wraps a random query into one of the ways to run it.
func reads(t *rapid.T) op {
	q := queries(t, rapid.IntRange(0, 3).Draw(t, "depth"))
	text := "SELECT m, n, tid, k FROM (" + q.text + ") AS top LIMIT 100"
	o := op{kinds: q.kinds, text: text, how: rapid.SampledFrom([]int{simple, extended}).Draw(t, "protocol")}
	switch rapid.IntRange(0, 11).Draw(t, "way") {
	case 0:
		return o.also("copy out").send(copyOut, "COPY ("+text+") TO STDOUT")
	case 1:
		return op{kinds: []string{"copy out"}, text: "COPY " + tableName(t) + " (mark, num, tenant_id, k1) TO STDOUT", how: copyOut}
	case 2:
		return o.also("explain").send(o.how, "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) "+text)
	case 3:
		return o.also("temporary table").send(simple, "CREATE TEMP TABLE kept ON COMMIT DROP AS "+text+"; SELECT * FROM kept; DROP TABLE kept")
	case 4:
		return o.also("do").send(simple, `DO $do$ DECLARE found record; BEGIN FOR found IN EXECUTE $q$`+text+`$q$ LOOP RAISE NOTICE '%', found; END LOOP; END $do$`)
	case 5:
		return o.also("query in an expression").send(o.how, "SELECT query_to_xml($q$"+text+"$q$, true, false, '') AS found")
	case 6:
		return op{kinds: []string{"lock"}, how: o.how, text: "SELECT mark AS m, num AS n FROM " + tableName(t) + " WHERE k1 < 3 FOR UPDATE SKIP LOCKED"}
	}
	return o
}

func (o op) also(kind string) op {
	o.kinds = append([]string{kind}, o.kinds...)
	return o
}

func (o op) send(how int, text string) op {
	o.how, o.text = how, text
	return o
}

// writes change the rows of whoever is in force, or try to reach others.
func writes(t *rapid.T) op {
	into := rapid.IntRange(0, 3).Draw(t, "table")
	k := rapid.IntRange(1, 9).Draw(t, "key")
	q := queries(t, 1)
	where := rapid.SampledFrom([]string{"true", "k1 < 4", "tenant_id <> '{TENANT}' OR k1 = 2", "num > {NUMBER}"}).Draw(t, "where")
	insert := fmt.Sprintf("INSERT INTO {T%d} (tenant_id, k1, mark, num) ", into)
	values := fmt.Sprintf("VALUES ('{TENANT}', %d, '{MARK}', {RANGE} + %d)", k, k)
	const back = " RETURNING mark AS m, num AS n"
	all := []op{
		{kinds: []string{"insert"}, text: insert + values + back},
		{kinds: []string{"insert by default"}, text: fmt.Sprintf("INSERT INTO {T%d} (k1, mark, num) VALUES (%d, '{MARK}', null) ON CONFLICT DO NOTHING", into, k) + back},
		{kinds: append([]string{"insert select"}, q.kinds...), text: insert + "SELECT '{TENANT}', 10 + (row_number() OVER ())::int % 5, '{MARK}', max(n) OVER () FROM (" +
			q.text + ") q LIMIT 3 ON CONFLICT DO NOTHING" + back},
		{kinds: []string{"upsert"}, text: insert + values + fmt.Sprintf(" ON CONFLICT ({KEY%d}) DO UPDATE SET num = excluded.num", into) + back},
		{kinds: []string{"update"}, text: fmt.Sprintf("UPDATE {T%d} SET num = {RANGE} + 100 + k1 WHERE %s", into, where) + back},
		{kinds: []string{"update from"}, text: fmt.Sprintf("UPDATE {T%d} x SET num = x.num FROM (%s) q WHERE q.k = x.k1 RETURNING x.mark AS m, q.n AS n", into, q.text)},
		{kinds: []string{"delete"}, text: fmt.Sprintf("DELETE FROM {T%d} WHERE k1 > %d AND (%s)", into, k, where) + back},
		{kinds: []string{"delete using"}, text: fmt.Sprintf("DELETE FROM {T%d} x USING (%s) q WHERE q.k = x.k1 AND x.k1 > 6 RETURNING x.mark AS m, q.n AS n", into, q.text)},
		{kinds: []string{"merge"}, text: fmt.Sprintf(`MERGE INTO {T%d} x USING (%s) q ON x.k1 = q.k + 9 AND q.tid = x.tenant_id
			WHEN MATCHED THEN UPDATE SET num = {RANGE} + 500 + x.k1
			WHEN NOT MATCHED AND q.k = 1 THEN INSERT (tenant_id, k1, mark, num) VALUES ('{TENANT}', 10, '{MARK}', {RANGE} + 600)`, into, q.text)},
		{kinds: append([]string{"writing cte"}, q.kinds...), text: fmt.Sprintf(`WITH w AS (UPDATE {T%d} SET num = num WHERE k1 < 5 RETURNING mark, num, tenant_id, k1)
			SELECT mark AS m, num AS n, tenant_id AS tid, k1 AS k FROM w UNION ALL (%s)`, into, q.text)},
		{kinds: []string{"writing cte"}, text: fmt.Sprintf(`WITH gone AS (DELETE FROM {T%d} WHERE k1 > 7 RETURNING *), back AS (
			INSERT INTO {T%[1]d} (tenant_id, k1, mark, num) SELECT tenant_id, k1 + 10, mark, num FROM gone ON CONFLICT DO NOTHING RETURNING mark, num)
			SELECT mark AS m, num AS n FROM back`, into)},
	}
	o := rapid.SampledFrom(all).Draw(t, "write")
	o.how = rapid.SampledFrom([]int{simple, extended}).Draw(t, "protocol")
	return o
}

// reaches are writes that name another tenant's rows or id.
func reaches(t *rapid.T) op {
	all := reaching(rapid.IntRange(0, 3).Draw(t, "table"), rapid.IntRange(1, 9).Draw(t, "key"))
	o := rapid.SampledFrom(all).Draw(t, "reach")
	o.how = rapid.SampledFrom([]int{simple, extended}).Draw(t, "protocol")
	return o
}

func reaching(into, key int) []op {
	insert := fmt.Sprintf("INSERT INTO {T%d} (tenant_id, k1, mark, num) VALUES ('{OTHER}', %d, '{MARK}', {NUMBER})", into, key)
	return []op{
		{kinds: []string{"insert for another"}, text: insert, want: refusal},
		{kinds: []string{"upsert for another"}, text: insert + fmt.Sprintf(" ON CONFLICT ({KEY%d}) DO UPDATE SET num = 0", into), want: refusal},
		{kinds: []string{"insert or nothing for another"}, text: insert + " ON CONFLICT DO NOTHING", want: refusal},
		{kinds: []string{"move"}, text: fmt.Sprintf("UPDATE {T%d} SET tenant_id = '{OTHER}' WHERE k1 = 1", into), want: nothing},
		{kinds: []string{"update another's"}, text: fmt.Sprintf("UPDATE {T%d} SET num = 0, mark = '{MARK}' WHERE tenant_id = '{OTHER}'", into), want: nothing},
		{kinds: []string{"delete another's"}, text: fmt.Sprintf("DELETE FROM {T%d} WHERE tenant_id = '{OTHER}'", into), want: nothing},
		{kinds: []string{"merge into another's"}, text: fmt.Sprintf(`MERGE INTO {T%d} x USING (SELECT '{OTHER}'::uuid AS tid) q ON x.tenant_id = q.tid
			WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (tenant_id, k1, mark, num) VALUES (q.tid, 77, '{MARK}', 1)`, into), want: refusal},
		{kinds: []string{"lock another's"}, text: fmt.Sprintf("SELECT mark AS m FROM {T%d} WHERE tenant_id = '{OTHER}' FOR KEY SHARE", into), want: nothing},
	}
}
