package drill

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// target is what statements name: a declared table, or a partition of it.
type target struct {
	isolation.Table
	relation
	columns []column
}

// relation is a table of the catalogue, with what the role may do to any column of it.
type relation struct {
	Schema, Relation                         string
	Partition                                bool
	Select, Insert, Update, Delete, Truncate bool
}

func (r relation) any() bool { return r.Select || r.Insert || r.Update || r.Delete || r.Truncate }

func (r relation) name() isolation.Name { return isolation.Name{Schema: r.Schema, Name: r.Relation} }

const relationsSQL = `
SELECT n.nspname::text AS schema, c.relname::text AS relation, c.oid <> r.oid AS partition,
	u.reach AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT')) AS "select",
	u.reach AND (pg_catalog.has_table_privilege(c.oid, 'INSERT') OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT')) AS "insert",
	u.reach AND (pg_catalog.has_table_privilege(c.oid, 'UPDATE') OR pg_catalog.has_any_column_privilege(c.oid, 'UPDATE')) AS "update",
	u.reach AND pg_catalog.has_table_privilege(c.oid, 'DELETE') AS "delete",
	u.reach AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') AS truncate
FROM pg_catalog.pg_class r
JOIN pg_catalog.pg_class c ON c.oid = r.oid OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(r.oid))
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS reach) u
WHERE r.oid = pg_catalog.format('%I.%I', @schema::text, @name::text)::pg_catalog.regclass
ORDER BY c.oid <> r.oid, n.nspname, c.relname`

// targets are a table and those of its partitions that the role has any right to, and how many others there are.
func (x *exercise) targets(ctx context.Context, t isolation.Table) (open []target, closed int, err error) {
	relations, err := pg.All[relation](ctx, x.tx, relationsSQL, pgx.NamedArgs{"schema": t.Name.Schema, "name": t.Name.Name})
	if err != nil {
		return nil, 0, err
	}
	for _, r := range relations {
		if r.Partition && !r.any() {
			closed++
			continue
		}
		columns, err := pg.All[column](ctx, x.tx, columnsSQL, pgx.NamedArgs{"schema": r.Schema, "name": r.Relation})
		if err != nil {
			return nil, 0, err
		}
		open = append(open, target{t, r, columns})
	}
	return open, closed, nil
}

// through is the declared table, cut down to the rows of the partition where it is one. What tenants themselves have is
// asked this way: they need no right to the partition.
func (t target) through() string {
	if !t.Partition {
		return t.Name.Quoted()
	}
	return fmt.Sprintf("(SELECT * FROM %s WHERE tableoid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%s::pg_catalog.regclass)))",
		t.Name.Quoted(), isolation.Literal(t.quoted()))
}

func (t target) quoted() string { return t.name().Quoted() }

// column is a column that may be written.
type column struct {
	Name, Type          string
	Insertable, Settled bool // Settled: no right to update it
	Keyed, Refers       bool // it is part of a key, or of a reference
}

const columnsSQL = `
SELECT a.attname::text AS name, pg_catalog.format_type(a.atttypid, NULL) AS type,
	pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS insertable,
	NOT pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS settled,
	EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey)) AS keyed,
	EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)) AS refers
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = pg_catalog.format('%I.%I', @schema::text, @name::text)::pg_catalog.regclass
	AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
ORDER BY a.attnum`

// sample is a row of the tenant in force as texts by column; nil where it has none.
func (x *exercise) sample(ctx context.Context, t target, who Tenant) (map[string]*string, error) {
	var names []string
	for _, c := range t.columns {
		names = append(names, isolation.Quote(c.Name)+"::text")
	}
	rows, _ := x.tx.Query(ctx, fmt.Sprintf("SELECT ARRAY[%s]::text[] FROM %s AS x WHERE %s = $1 LIMIT 1",
		strings.Join(names, ", "), t.through(), isolation.Quote(t.TenantColumn())), who.ID)
	found, err := pgx.CollectRows(rows, pgx.RowTo[[]*string])
	if err != nil || len(found) == 0 {
		return nil, err
	}
	sample := map[string]*string{}
	for i, c := range t.columns {
		sample[c.Name] = found[0][i]
	}
	return sample, nil
}

// literal is a value as it stands in a statement.
func literal(value *string) string {
	if value == nil {
		return "NULL"
	}
	return isolation.Literal(*value)
}
