package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
)

// Querier is the connection that Read needs.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const typesSQL = `
select t.oid::int8, n.nspname::text, t.typname::text, t.typtype::text, t.typbasetype::int8,
       case when t.typcategory = 'A' then t.typelem::int8 else 0 end
from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
where t.typtype in ('b', 'c', 'd', 'e', 'r', 'm')`

// The bits of pg_relation_is_updatable.
const (
	canUpdate = 1 << 2
	canInsert = 1 << 3
	canDelete = 1 << 4
)

const columnsSQL = `
select n.nspname::text, c.relname::text, pg_relation_is_updatable(c.oid, true),
       coalesce(obj_description(c.oid, 'pg_class'), ''),
       a.attname::text, a.atttypid::int8, not a.attnotnull,
       a.attgenerated <> '' or a.attidentity = 'a',
       coalesce(col_description(c.oid, a.attnum), '')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
order by n.nspname, c.relname, a.attnum`

const constraintsSQL = `
select n.nspname::text, c.relname::text, k.conname::text, k.contype::text,
       (select json_agg(a.attname order by o.n)::text from unnest(k.conkey) with ordinality o(num, n)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.num),
       coalesce(fn.nspname::text, ''), coalesce(f.relname::text, ''),
       coalesce((select json_agg(a.attname order by o.n)::text from unnest(k.confkey) with ordinality o(num, n)
        join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.num), '[]')
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_class f on f.oid = k.confrelid
left join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
where k.contype in ('p', 'u', 'f')
order by n.nspname, c.relname, k.conname`

const writersSQL = `
select distinct n.nspname::text, c.relname::text, r.rolname::text
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select x.grantee from aclexplode(c.relacl) x where x.privilege_type in ('INSERT', 'UPDATE', 'DELETE')
  union select c.relowner) w
join pg_catalog.pg_roles r on r.oid = w.grantee
where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')`

// Read returns every table of the database, whether or not the connection's role may
// touch it.
func Read(ctx context.Context, db Querier) (*Catalog, error) {
	types, err := readTypes(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("reading the types of the database: %w", err)
	}
	catalog := &Catalog{
		Tables: map[metadata.TableName]*Table{}, Functions: map[metadata.FunctionName][]*Function{}, Scalars: map[string]bool{},
	}
	for oid := range types {
		catalog.Scalars[types.resolve(oid).Scalar()] = true
	}
	for _, read := range []func(context.Context, Querier, typeTable) error{
		catalog.readColumns, catalog.readConstraints, catalog.readWriters, catalog.readFunctions,
	} {
		if err := read(ctx, db, types); err != nil {
			return nil, fmt.Errorf("reading the tables and functions of the database: %w", err)
		}
	}
	return catalog, nil
}

type rawType struct {
	oid, base, elem    int64
	schema, name, kind string
}

type typeTable map[int64]rawType

func readTypes(ctx context.Context, db Querier) (typeTable, error) {
	types := typeTable{}
	var raw rawType
	err := each(ctx, db, typesSQL, func() error {
		types[raw.oid] = raw
		return nil
	}, &raw.oid, &raw.schema, &raw.name, &raw.kind, &raw.base, &raw.elem)
	return types, err
}

// resolve follows domains to their base type.
func (types typeTable) resolve(oid int64) Type {
	raw := types[oid]
	for raw.kind == "d" {
		raw = types[raw.base]
	}
	resolved := Type{Schema: raw.schema, Name: raw.name, Enum: raw.kind == "e"}
	if raw.elem != 0 {
		elem := types.resolve(raw.elem)
		resolved.Elem = &elem
	}
	return resolved
}

func (c *Catalog) readColumns(ctx context.Context, db Querier, types typeTable) error {
	var name metadata.TableName
	var comment string
	var writable int32
	var column Column
	var typeOID int64
	return each(ctx, db, columnsSQL, func() error {
		table := c.Tables[name]
		if table == nil {
			table = &Table{
				Name: name, Comment: comment,
				Updatable: writable&canUpdate != 0, Insertable: writable&canInsert != 0, Deletable: writable&canDelete != 0,
			}
			c.Tables[name] = table
		}
		column.Type = types.resolve(typeOID)
		table.Columns = append(table.Columns, column)
		return nil
	}, &name.Schema, &name.Name, &writable, &comment, &column.Name, &typeOID, &column.Nullable, &column.Computed, &column.Comment)
}

func (c *Catalog) readConstraints(ctx context.Context, db Querier, _ typeTable) error {
	var name, target metadata.TableName
	var constraint, kind, columns, targetColumns string
	return each(ctx, db, constraintsSQL, func() error {
		table := c.Tables[name]
		if table == nil {
			return nil
		}
		var own, remote []string
		if err := json.Unmarshal([]byte(columns), &own); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(targetColumns), &remote); err != nil {
			return err
		}
		switch kind {
		case "p":
			table.PrimaryKey = &Constraint{Name: constraint, Columns: own}
		case "u":
			table.Uniques = append(table.Uniques, Constraint{Name: constraint, Columns: own})
		case "f":
			table.ForeignKeys = append(table.ForeignKeys, ForeignKey{Columns: own, Target: target, TargetColumns: remote})
		}
		return nil
	}, &name.Schema, &name.Name, &constraint, &kind, &columns, &target.Schema, &target.Name, &targetColumns)
}

func (c *Catalog) readWriters(ctx context.Context, db Querier, _ typeTable) error {
	var name metadata.TableName
	var writer string
	return each(ctx, db, writersSQL, func() error {
		if table := c.Tables[name]; table != nil {
			table.Writers = append(table.Writers, writer)
		}
		return nil
	}, &name.Schema, &name.Name, &writer)
}

// each scans every row into targets and calls use after each.
func each(ctx context.Context, db Querier, sql string, use func() error, targets ...any) error {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, targets, use)
	return err
}
