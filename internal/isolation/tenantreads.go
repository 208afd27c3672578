package isolation

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// ReadsSchema is the schema of what reads the tables of any tenant with a schema of its
// own under one name. A migration makes it, tenants.build_tenant_reads fills it.
const ReadsSchema = "tenant_reads"

// readsSuffix is what the functions of ReadsSchema add to a table's name.
const readsSuffix = "_of_tenant"

// Reads are what Hasura is to track of ReadsSchema.
type Reads struct {
	Tables    []metadata.Table
	Functions []metadata.Function
	Taken     []string // tables whose name is another root field's already, and that are left out
}

const readTablesSQL = `
	SELECT c.relname::text AS name,
	       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = @schema AND c.relkind = 'r' ORDER BY c.relname`

// ReadTracked reads what ReadsSchema has. A table's own root fields are hidden, as it never
// has a row; its function answers under the table's plain name, and the rows it returns
// pass the permission that is on the table. taken tells which root fields there are.
func ReadTracked(ctx context.Context, db pg.DB, taken func(name string) bool) (Reads, error) {
	type table struct {
		Name    string
		Columns []string
	}
	found, err := pg.All[table](ctx, db, readTablesSQL, pgx.NamedArgs{"schema": ReadsSchema})
	if err != nil {
		return Reads{}, fmt.Errorf("read the tables of %s: %w", ReadsSchema, err)
	}
	var reads Reads
	for _, t := range found {
		if taken(t.Name) || taken(t.Name+"_aggregate") {
			reads.Taken = append(reads.Taken, t.Name)
			continue
		}
		reads.Tables = append(reads.Tables, readEntry(t.Name, t.Columns))
		reads.Functions = append(reads.Functions, metadata.Function{
			Function:      metadata.FunctionName{Schema: ReadsSchema, Name: t.Name + readsSuffix},
			Configuration: metadata.FunctionConfiguration{CustomName: t.Name, SessionArgument: "hasura_session"},
		})
	}
	return reads, nil
}

func readEntry(name string, columns []string) metadata.Table {
	entry := metadata.Table{Table: metadata.TableName{Schema: ReadsSchema, Name: name}}
	var readable []string
	for _, c := range columns {
		if inGraphQL(c) {
			readable = append(readable, c)
		}
	}
	for _, role := range memberRoles {
		entry.SelectPermissions = append(entry.SelectPermissions, metadata.Permission[metadata.Select]{Role: role, Permission: metadata.Select{
			Columns: metadata.Columns{Names: readable}, Filter: guard(role), AllowAggregations: true,
			QueryRootFields: []string{}, SubscriptionRootFields: []string{},
		}})
	}
	return entry
}
