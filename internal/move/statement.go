package move

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
)

// The statements of a move are about whatever tables the tenant has, so they are written
// here and not constants. Each begins with a comment that tells what it is to whoever
// looks at the activity of the database. Names are quoted, ids are ids, and values are
// parameters.

func joined(parts []string) string { return strings.Join(parts, ", ") }

// each writes one part for each name.
func each(names []string, part func(quoted string) string) []string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = part(isolation.Quote(name))
	}
	return parts
}

func of(alias string, names []string) string {
	return joined(each(names, func(q string) string { return alias + "." + q }))
}

func quoted(names []string) string {
	return joined(each(names, func(q string) string { return q }))
}

// literal is a text in quotes.
func literal(text string) string { return isolation.Literal(text) }

func (s Side) sql() string { return s.Table.Quoted() }

func (t Table) keyNames() []string {
	names := make([]string, len(t.Key))
	for i, c := range t.Key {
		names[i] = c.Name
	}
	return names
}

// keyRecord is how a key that was noted is read back: name, type and collation.
func (t Table) keyRecord() string {
	parts := make([]string, len(t.Key))
	for i, c := range t.Key {
		parts[i] = isolation.Quote(c.Name) + " " + c.Type
		if c.Collation != "" {
			parts[i] += " COLLATE " + c.Collation
		}
	}
	return joined(parts)
}

// keyObject is a key as it is noted; value writes a column of it, which it gets quoted.
func (t Table) keyObject(value func(quoted string) string) string {
	parts := make([]string, len(t.Key))
	for i, c := range t.Key {
		parts[i] = literal(c.Name) + ", " + value(isolation.Quote(c.Name))
	}
	return "jsonb_build_object(" + joined(parts) + ")"
}

// keyOf is the key of an alias's row as it is noted.
func (t Table) keyOf(alias string) string {
	return t.keyObject(func(q string) string { return alias + "." + q })
}

// sameKey compares the keys of two aliases.
func (t Table) sameKey(one, other string) string {
	return strings.Join(each(t.keyNames(), func(q string) string { return one + "." + q + " = " + other + "." + q }), " AND ")
}

// statements writes the statements of one move.
type statements struct {
	move   Move
	tenant string // the id as a literal
}

func newStatements(m Move) statements {
	return statements{move: m, tenant: literal(m.Tenant.String()) + "::uuid"}
}

// rows is the condition that a row is the tenant's.
func (w statements) rows(s Side, alias string) string {
	if s.Tenant == "" {
		return "true"
	}
	return alias + "." + isolation.Quote(s.Tenant) + " = " + w.tenant
}

// noted are the keys of a table that were noted.
func (w statements) noted(t Table) string {
	return fmt.Sprintf("/* noted */ SELECT DISTINCT %s FROM nself.move_changes c CROSS JOIN LATERAL jsonb_to_record(c.key) AS k(%s) WHERE c.tenant_id = %s AND c.move_id = %s AND c.relation = %s",
		of("k", t.keyNames()), t.keyRecord(), w.tenant, literal(w.move.ID)+"::uuid", literal(t.name()))
}

// into writes the head of an INSERT into a side.
func (w statements) into(s Side, t Table) string {
	columns := t.Writes
	if s.Tenant != "" {
		columns = append([]string{s.Tenant}, columns...)
	}
	return fmt.Sprintf("/* into */ INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE", s.sql(), quoted(columns))
}

// values are the values for into, from rows of the other side.
func (w statements) values(to Side, t Table, alias string) string {
	if to.Tenant == "" {
		return of(alias, t.Writes)
	}
	return joined([]string{w.tenant, of(alias, t.Writes)})
}

// conflict is the key of a side, for ON CONFLICT.
func (s Side) conflict() string { return "ON CONFLICT (" + quoted(s.Shape.Key) + ")" }

// after is the condition that rows come after the key $2; none is at the beginning.
func (t Table) after(first bool) string {
	if first {
		return ""
	}
	return " AND (" + of("s", t.keyNames()) + ") > (" + joined(each(t.keyNames(), func(q string) string {
		return fmt.Sprintf("(SELECT k.%s FROM jsonb_to_record($2::text::jsonb) AS k(%s))", q, t.keyRecord())
	})) + ")"
}

// page copies the next $1 rows of a table after the key $2.
func (w statements) page(from, to Side, t Table, first bool) string {
	return fmt.Sprintf(`/* nself move: copy */ WITH page AS MATERIALIZED (
	SELECT %s FROM %s s WHERE %s%s ORDER BY %s LIMIT $1::bigint),
put AS (%s SELECT %s FROM page p %s DO NOTHING)
SELECT count(*), coalesce((SELECT %s FROM page p ORDER BY %s LIMIT 1)::text, '') FROM page`,
		of("s", t.Columns), from.sql(), w.rows(from, "s"), t.after(first), of("s", t.keyNames()),
		w.into(to, t), w.values(to, t, "p"), to.conflict(),
		t.keyOf("p"), joined(each(t.keyNames(), func(q string) string { return "p." + q + " DESC" })))
}

// whole copies tables whose rows refer to one another: what they refer to is looked up
// when the statement ends.
func (w statements) whole(p Plan, tables []Table) string {
	var parts, counts []string
	for i, t := range tables {
		from, to := p.source(t), p.target(t)
		parts = append(parts, fmt.Sprintf("put%d AS (%s SELECT %s FROM %s s WHERE %s ON CONFLICT DO NOTHING RETURNING 1)", i, w.into(to, t), w.values(to, t, "s"), from.sql(), w.rows(from, "s")))
		counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM put%d)", i))
	}
	return "/* nself move: copy at once */ WITH " + strings.Join(parts, ",\n") + "\nSELECT ARRAY[" + joined(counts) + "]"
}

// drain makes every row that was noted on one side the same on the other: one statement
// over all tables, so that references between them are looked up when all of it is done.
// Rows that are gone are taken out before others come, for these may have their values.
func (w statements) drain(moves []pair) string {
	var parts []string
	for i, m := range moves {
		t := m.table
		gone := fmt.Sprintf("gone%d AS (DELETE FROM %s t USING noted%d k WHERE %s AND %s AND NOT EXISTS (SELECT FROM %s s WHERE %s AND %s) RETURNING 1)",
			i, m.to.sql(), i, w.rows(m.to, "t"), t.sameKey("t", "k"), m.from.sql(), w.rows(m.from, "s"), t.sameKey("s", "k"))
		put := fmt.Sprintf("put%d AS (%s SELECT %s FROM %s s WHERE %s AND (%s) IN (SELECT %s FROM noted%d k) AND (SELECT count(*) FROM gone%d) >= 0 %s %s RETURNING 1)",
			i, w.into(m.to, t), w.values(m.to, t, "s"), m.from.sql(), w.rows(m.from, "s"), of("s", t.keyNames()), of("k", t.keyNames()), i, i, m.to.conflict(), renewed(m))
		parts = append(parts, fmt.Sprintf("noted%d AS MATERIALIZED (%s)", i, w.noted(t)), gone, put)
	}
	return "/* nself move: catch up */ WITH " + strings.Join(parts, ",\n") + "\nSELECT 1"
}

// renewed is what becomes of a row that is there already. An identity that is always
// generated cannot be set; no writer could either.
func renewed(m pair) string {
	var sets []string
	for _, name := range m.table.Writes {
		if c, _ := m.to.Shape.column(name); !c.Always {
			sets = append(sets, fmt.Sprintf("%[1]s = excluded.%[1]s", isolation.Quote(name)))
		}
	}
	if len(sets) == 0 {
		return "DO NOTHING"
	}
	return "DO UPDATE SET " + joined(sets)
}

// remove takes every noted row out of the side that is written, and putBack writes those
// that there are: for changes that no order of single rows can make.
func (w statements) remove(moves []pair) string {
	var parts []string
	for i, m := range moves {
		parts = append(parts, fmt.Sprintf("gone%d AS (DELETE FROM %s t USING (%s) k WHERE %s AND %s)", i, m.to.sql(), w.noted(m.table), w.rows(m.to, "t"), m.table.sameKey("t", "k")))
	}
	return "/* nself move: take out */ WITH " + strings.Join(parts, ",\n") + "\nSELECT 1"
}

func (w statements) putBack(moves []pair) string {
	var parts []string
	for i, m := range moves {
		t := m.table
		parts = append(parts, fmt.Sprintf("put%d AS (%s SELECT %s FROM %s s WHERE %s AND (%s) IN (%s))",
			i, w.into(m.to, t), w.values(m.to, t, "s"), m.from.sql(), w.rows(m.from, "s"), of("s", t.keyNames()), w.noted(t)))
	}
	return "/* nself move: put back */ WITH " + strings.Join(parts, ",\n") + "\nSELECT 1"
}

// widen notes the rows of child that refer to noted rows of parent and are not noted yet.
func (w statements) widen(child, parent pair, r reference) string {
	var match []string
	for i := range r.Columns {
		match = append(match, fmt.Sprintf("c.%s = p.%s", isolation.Quote(r.Columns[i]), isolation.Quote(r.Refers[i])))
	}
	return fmt.Sprintf(`/* nself move: widen */ INSERT INTO nself.move_changes (tenant_id, move_id, relation, key)
SELECT %s, %s::uuid, %s, %s FROM %s c JOIN %s p ON %s JOIN (%s) k ON %s
WHERE %s AND %s AND (%s) NOT IN (%s)`,
		w.tenant, literal(w.move.ID), literal(child.table.name()), child.table.keyOf("c"), child.to.sql(), parent.to.sql(), strings.Join(match, " AND "),
		w.noted(parent.table), parent.table.sameKey("p", "k"), w.rows(child.to, "c"), w.rows(parent.to, "p"),
		of("c", child.table.keyNames()), w.noted(child.table))
}

// text is a row as text, all of its columns that both sides have.
func (t Table) text(alias string) string { return "ROW(" + of(alias, t.Columns) + ")::text" }

// unequal are up to ten noted keys whose rows are not the same on both sides.
func (w statements) unequal(m pair) string {
	t := m.table
	row := func(s Side, alias string) string {
		return fmt.Sprintf("(SELECT %s FROM %s %s WHERE %s AND %s)", t.text(alias), s.sql(), alias, w.rows(s, alias), t.sameKey(alias, "k"))
	}
	return fmt.Sprintf("/* nself move: verify */ SELECT %s::text FROM (%s) k WHERE %s IS DISTINCT FROM %s LIMIT 10",
		t.keyOf("k"), w.noted(t), row(m.from, "s"), row(m.to, "t"))
}

// digest counts the rows of a side and adds up a hash of each; those that are noted are
// left out, for they are still to be carried over.
func (w statements) digest(s Side, t Table) string {
	return fmt.Sprintf(`/* nself move: compare */ SELECT count(*), coalesce(sum(hashtextextended(%s COLLATE "C", 0)), 0)::text FROM %s s WHERE %s AND (%s) NOT IN (%s)`,
		t.text("s"), s.sql(), w.rows(s, "s"), of("s", t.keyNames()), w.noted(t))
}

// differing are up to ten keys of rows that the digest found not to be the same.
func (w statements) differing(m pair) string {
	t := m.table
	rows := func(s Side) string {
		return fmt.Sprintf("(SELECT %s, %s AS row_text FROM %s s WHERE %s AND (%s) NOT IN (%s))",
			of("s", t.keyNames()), t.text("s"), s.sql(), w.rows(s, "s"), of("s", t.keyNames()), w.noted(t))
	}
	key := t.keyObject(func(q string) string { return fmt.Sprintf("coalesce(one.%[1]s, other.%[1]s)", q) })
	return fmt.Sprintf("/* nself move: differ */ SELECT %s::text FROM %s one FULL JOIN %s other ON %s WHERE one.row_text IS DISTINCT FROM other.row_text LIMIT 10",
		key, rows(m.from), rows(m.to), t.sameKey("one", "other"))
}

// clear deletes the next rows of a side after the key $2.
func (w statements) clear(s Side, t Table, first bool) string {
	return fmt.Sprintf(`/* nself move: clear */ WITH page AS MATERIALIZED (
	SELECT %s FROM %s s WHERE %s%s ORDER BY %s LIMIT $1::bigint),
gone AS (DELETE FROM %s t USING page p WHERE %s AND %s)
SELECT count(*), coalesce((SELECT %s FROM page p ORDER BY %s LIMIT 1)::text, '') FROM page`,
		of("s", t.keyNames()), s.sql(), w.rows(s, "s"), t.after(first), of("s", t.keyNames()),
		s.sql(), w.rows(s, "t"), t.sameKey("t", "p"),
		t.keyOf("p"), joined(each(t.keyNames(), func(q string) string { return "p." + q + " DESC" })))
}

// clearAll deletes tables whose rows refer to one another.
func (w statements) clearAll(sides []Side) string {
	var parts []string
	for i, s := range sides {
		parts = append(parts, fmt.Sprintf("gone%d AS (DELETE FROM %s t WHERE %s)", i, s.sql(), w.rows(s, "t")))
	}
	return "/* nself move: clear at once */ WITH " + strings.Join(parts, ", ") + "\nSELECT 1"
}

// count counts the tenant's rows of a side.
func (w statements) count(s Side) string {
	return fmt.Sprintf("/* nself move: count */ SELECT count(*) FROM %s s WHERE %s", s.sql(), w.rows(s, "s"))
}

// countTo counts them as far as most.
func (w statements) countTo(s Side, most int) string {
	return fmt.Sprintf("/* nself move: count */ SELECT count(*) FROM (SELECT FROM %s s WHERE %s LIMIT %d) AS first", s.sql(), w.rows(s, "s"), most)
}

// any tells whether a side has a row of the tenant.
func (w statements) any(s Side) string {
	return fmt.Sprintf("/* nself move: look */ SELECT EXISTS (SELECT FROM %s s WHERE %s)", s.sql(), w.rows(s, "s"))
}

// pair is one table on the way from one side to the other.
type pair struct {
	table    Table
	from, to Side
}

// plainly keeps a statement from being prepared: plans of before, when the tables were
// empty, would be used again.
const plainly = pgx.QueryExecModeExec
