package isolation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// SchemaTable is a table of a tenant's own schema, as the catalog has it: rows of one
// tenant alone, which no column names.
type SchemaTable struct {
	Tenant      id.Tenant         `db:"tenant_id"`
	Schema      string            `db:"schema_name"`
	Name        string            `db:"name"`
	Columns     []string          `db:"columns"`     // in their order
	Generated   []string          `db:"generated"`   // of them, those that nobody writes
	Identifying []string          `db:"identifying"` // of them, those of the primary key
	References  []SchemaReference `db:"refs"`        // to tables of the same schema
}

// SchemaReference is a foreign key within a schema.
type SchemaReference struct {
	Columns []string `json:"columns"`
	Table   string   `json:"table"`
}

// TenantSchema is the schema of a tenant and how far Hasura knows it.
type TenantSchema struct {
	Tenant  id.Tenant `db:"tenant_id"`
	Name    string    `db:"schema_name"`
	Changed time.Time `db:"changed_at"`
}

const schemaTablesAllTenantsSQL = `
	SELECT s.tenant_id, s.schema_name, c.relname::text AS name,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
	             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
	             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attgenerated <> '' OR a.attidentity = 'a')) AS generated,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
	             WHERE i.indrelid = c.oid AND i.indisprimary) AS identifying,
	       (SELECT coalesce(jsonb_agg(jsonb_build_object('table', t.relname, 'columns',
	                 (SELECT jsonb_agg(a.attname ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, n)
	                  JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum)) ORDER BY f.conname), '[]')
	        FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class t ON t.oid = f.confrelid AND t.relnamespace = c.relnamespace
	        WHERE f.conrelid = c.oid AND f.contype = 'f') AS refs
	FROM tenants.tenant_schemas s
	JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
	JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	WHERE s.schema_name = ANY (@schemas::text[])
	ORDER BY s.schema_name, c.relname`

// SchemaTables reads the tables of tenants' schemas, by schema and name. A schema that is
// no tenant's has none.
func SchemaTables(ctx context.Context, db pg.DB, schemas []string) ([]SchemaTable, error) {
	tables, err := pg.All[SchemaTable](ctx, db, schemaTablesAllTenantsSQL, pgx.NamedArgs{"schemas": schemas})
	if err != nil {
		return nil, fmt.Errorf("read the tables of the tenants' schemas: %w", err)
	}
	return tables, nil
}

// TrackedSchemas are the entries of tenants' tables in Hasura's metadata, with what they
// refer to by foreign keys as relationships. Who may do what is as for a protected table
// without a declaration of its own; the tenant is named in each permission, for no column
// does. Tables and columns that GraphQL cannot name are left out.
func TrackedSchemas(tables []SchemaTable) []metadata.Table {
	tables = slices.DeleteFunc(slices.Clone(tables), func(t SchemaTable) bool { return !inGraphQL(t.Schema) || !inGraphQL(t.Name) })
	entries := make([]metadata.Table, len(tables))
	at := map[metadata.TableName]int{}
	for i, t := range tables {
		entries[i] = t.tracked()
		at[entries[i].Table] = i
	}
	fields := newFieldNames(tables)
	for i, t := range tables {
		for _, r := range t.References {
			target, known := at[metadata.TableName{Schema: t.Schema, Name: r.Table}]
			if !known || slices.ContainsFunc(r.Columns, func(c string) bool { return !inGraphQL(c) }) {
				continue
			}
			if name := fields.object(t, r); name != "" {
				entries[i].ObjectRelationships = append(entries[i].ObjectRelationships, relationship(name, nil, r.Columns))
			}
			if name := fields.array(t, r); name != "" {
				own := entries[i].Table
				entries[target].ArrayRelationships = append(entries[target].ArrayRelationships, relationship(name, &own, r.Columns))
			}
		}
	}
	return entries
}

func relationship(name string, of *metadata.TableName, columns []string) metadata.Relationship {
	return metadata.Relationship{Name: name, Using: metadata.RelationshipUsing{
		ForeignKeyConstraintOn: &metadata.ForeignKeyOn{Table: of, Columns: columns}}}
}

// tracked is the table's entry without its relationships.
func (t SchemaTable) tracked() metadata.Table {
	name := Name{Schema: t.Schema, Name: t.Name}
	table := Table{Name: name, Rows: Shared} // without a column for the tenant: rowsOfSchema is the wall
	var readable, writable, changeable []string
	for _, c := range t.Columns {
		if !inGraphQL(c) {
			continue
		}
		readable = append(readable, c)
		if slices.Contains(t.Generated, c) {
			continue
		}
		writable = append(writable, c)
		if !slices.Contains(t.Identifying, c) {
			changeable = append(changeable, c)
		}
	}
	for _, role := range memberRoles {
		p := Permission{Roles: []string{role}, Select: readable, Aggregations: true, Where: rowsOfSchema(role, t.Tenant)}
		if role != guestRole {
			p.Insert, p.Update, p.Delete = writable, changeable, true
		}
		table.Permissions = append(table.Permissions, p)
	}
	entry := table.Tracked(metadata.Table{})
	for i := range entry.InsertPermissions {
		entry.InsertPermissions[i].Permission.Set = nil // there is no column to set
	}
	return entry
}

// The roles of members, in the order in which permissions are written.
const guestRole = "tenant_guest"

var memberRoles = []string{"tenant_owner", "tenant_admin", "tenant_member", guestRole}

// rowsOfSchema is the filter, and the check, of a role on each table of a tenant's schema:
// every row while the session stands and its tenant is this very one, and none else.
func rowsOfSchema(role string, tenant id.Tenant) metadata.BoolExp {
	guarded := guard(role)["_exists"].(map[string]any)
	return exists(membersTable, map[string]any{"_and": []any{
		map[string]any{"tenant_id": equals(tenant.String())}, guarded["_where"]}})
}

// fieldNames gives each relationship a name that no column and no other one has.
type fieldNames map[string]names // by schema.table

type names map[string]bool

// first takes the first candidate that is free and that GraphQL can have; "" where none is.
func (taken names) first(candidates []string) string {
	for _, name := range candidates {
		if !taken[name] && inGraphQL(name) {
			taken[name] = true
			return name
		}
	}
	return ""
}

func newFieldNames(tables []SchemaTable) fieldNames {
	taken := fieldNames{}
	for _, t := range tables {
		of := names{}
		for _, c := range t.Columns {
			of[c] = true
		}
		taken[t.Schema+"."+t.Name] = of
	}
	return taken
}

// object names the way to what a row refers to: after its column, contact for contact_id,
// or else after the other table.
func (n fieldNames) object(t SchemaTable, r SchemaReference) string {
	own := n[t.Schema+"."+t.Name]
	var candidates []string
	if short, found := strings.CutSuffix(r.Columns[len(r.Columns)-1], "_id"); found && len(r.Columns) == 1 {
		candidates = append(candidates, short)
	}
	return own.first(append(candidates, r.Table, r.Table+"_by_"+strings.Join(r.Columns, "_")))
}

// array names the way back: after the table that refers.
func (n fieldNames) array(t SchemaTable, r SchemaReference) string {
	there := n[t.Schema+"."+r.Table]
	return there.first([]string{t.Name, t.Name + "_by_" + strings.Join(r.Columns, "_")})
}
