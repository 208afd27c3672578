package shard

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/pg"
)

// table is a table as the catalog has it. Names of its parts are quoted where SQL needs it.
type table struct {
	ID            uint32
	Key           string // schema.table as they are
	Name          string // for SQL
	Schema        string
	Partitioned   bool
	Partition     bool
	Inherits      bool
	HasRows       bool   // as far as the statistics know
	TenantSchema  bool   // it is in a schema of a tenant's own
	Tenant        string // whose schema that is, a uuid; "" elsewhere
	DistributedAs string // how Citus has it: distributed, reference, schema; "": not at all

	columns  []column
	keys     []key
	foreign  []foreign
	triggers []trigger
	policies []policy
}

type column struct {
	Relation  uint32
	Name      string // as it is, not quoted
	Type      string
	NotNull   bool
	Generated bool
	Identity  bool
}

// key is a unique index, or the index of an exclusion constraint.
type key struct {
	Relation   uint32
	Name       string
	Columns    []string // as they are; "" is an expression
	Constraint bool
	Exclusion  bool
	Primary    bool
	Equal      []string // of an exclusion: the columns compared by =
}

type foreign struct {
	Relation   uint32
	Name       string
	To         string // schema.table as they are
	ToRelation uint32
	Columns    []string
	ToColumns  []string
	OnDelete   string // a, r, c, n or d, as pg_constraint has it
	OnUpdate   string
}

type trigger struct {
	Relation uint32
	Name     string
	Plain    string // the name as it is
	Function string
}

type policy struct {
	Relation uint32
	Name     string
	Plain    string
	Subquery bool
	Roles    []string
}

// catalog is everything that is read before anything is judged.
type catalog struct {
	tables    []table // by schema and name
	named     map[string]*table
	referrers map[uint32][]referrer // by what is referred to
}

// referrer is a foreign key with its table.
type referrer struct {
	table   *table
	foreign foreign
}

// find is the table of a key, nil where there is none.
func (c catalog) find(name string) *table { return c.named[name] }

const userSchemas = ` AND n.nspname !~ '^(pg_|citus)' AND n.nspname NOT IN ('information_schema', 'hdb_catalog', 'columnar')`

const tablesAllTenantsSQL = `
SELECT c.oid AS id, n.nspname || '.' || c.relname AS key, format('%I.%I', n.nspname, c.relname) AS name, quote_ident(n.nspname) AS schema,
	c.relkind = 'p' AS partitioned, c.relispartition AS partition,
	NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
		OR c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS inherits,
	coalesce(pg_catalog.pg_relation_size(c.oid), 0) > 0
		OR EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf AND pg_catalog.pg_relation_size(p.relid) > 0) AS has_rows,
	s.tenant_id IS NOT NULL AS tenant_schema, coalesce(s.tenant_id::text, '') AS tenant, '' AS distributed_as
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN tenants.tenant_schemas s ON s.schema_name = n.nspname
WHERE c.relkind IN ('r', 'p')` + userSchemas + `
ORDER BY n.nspname, c.relname`

const columnsSQL = `
SELECT a.attrelid AS relation, a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
	a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped` + userSchemas + `
ORDER BY a.attrelid, a.attnum`

const keysSQL = `
SELECT i.indrelid AS relation, quote_ident(x.relname) AS name, i.indisprimary AS primary, i.indisexclusion AS exclusion, k.oid IS NOT NULL AS constraint,
	ARRAY(SELECT coalesce(a.attname::text, '') FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS u (num, at)
		LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num AND u.num > 0
		WHERE u.at <= i.indnkeyatts ORDER BY u.at) AS columns,
	ARRAY(SELECT a.attname::text FROM unnest(k.conkey, k.conexclop) AS u (num, operator)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num
		JOIN pg_catalog.pg_operator o ON o.oid = u.operator AND o.oprname = '=') AS equal
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE c.relkind IN ('r', 'p') AND (i.indisunique OR i.indisexclusion)` + userSchemas + `
ORDER BY i.indrelid, x.relname`

const foreignSQL = `
SELECT k.conrelid AS relation, quote_ident(k.conname) AS name, k.confrelid AS to_relation, tn.nspname || '.' || tc.relname AS "to",
	ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (num, at)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.at) AS columns,
	ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (num, at)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.at) AS to_columns,
	k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class tc ON tc.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0` + userSchemas + `
ORDER BY k.conrelid, k.conname`

const triggersSQL = `
SELECT t.tgrelid AS relation, quote_ident(t.tgname) AS name, t.tgname::text AS plain, fn.nspname || '.' || f.proname AS function
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgparentid = 0` + userSchemas + `
ORDER BY t.tgrelid, t.tgname`

const policiesSQL = `
SELECT p.polrelid AS relation, quote_ident(p.polname) AS name, p.polname::text AS plain,
	coalesce(p.polqual::text, '') || coalesce(p.polwithcheck::text, '') LIKE '%{SUBLINK %' AS subquery,
	ARRAY(SELECT pg_catalog.pg_get_userbyid(r)::text FROM unnest(p.polroles) AS r ORDER BY 1) AS roles
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')` + userSchemas + `
ORDER BY p.polrelid, p.polname`

// part reads what belongs to tables and hands each to its own.
func part[T any](ctx context.Context, db pg.DB, sql string, give func(T)) error {
	rows, err := pg.All[T](ctx, db, sql, nil)
	for _, row := range rows {
		give(row)
	}
	return err
}

func readCatalog(ctx context.Context, db pg.DB) (catalog, error) {
	tables, err := pg.All[table](ctx, db, tablesAllTenantsSQL, nil)
	if err != nil {
		return catalog{}, fmt.Errorf("read the catalog: %w", err)
	}
	c := catalog{tables: tables, named: make(map[string]*table, len(tables)), referrers: map[uint32][]referrer{}}
	by := make(map[uint32]*table, len(tables))
	for i := range tables {
		by[tables[i].ID], c.named[tables[i].Key] = &tables[i], &tables[i]
	}
	for _, read := range []func() error{
		func() error {
			return part(ctx, db, columnsSQL, func(x column) { by[x.Relation].columns = append(by[x.Relation].columns, x) })
		},
		func() error {
			return part(ctx, db, keysSQL, func(x key) { by[x.Relation].keys = append(by[x.Relation].keys, x) })
		},
		func() error {
			return part(ctx, db, foreignSQL, func(x foreign) {
				by[x.Relation].foreign = append(by[x.Relation].foreign, x)
				c.referrers[x.ToRelation] = append(c.referrers[x.ToRelation], referrer{by[x.Relation], x})
			})
		},
		func() error {
			return part(ctx, db, triggersSQL, func(x trigger) { by[x.Relation].triggers = append(by[x.Relation].triggers, x) })
		},
		func() error {
			return part(ctx, db, policiesSQL, func(x policy) { by[x.Relation].policies = append(by[x.Relation].policies, x) })
		},
		func() error { return readDistributed(ctx, db, by) },
	} {
		if err := read(); err != nil {
			return catalog{}, fmt.Errorf("read the catalog: %w", err)
		}
	}
	return c, nil
}
