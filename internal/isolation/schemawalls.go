package isolation

import (
	"context"
	"fmt"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

const ownSchemasAllTenantsSQL = `SELECT tenant_id, schema_name, changed_at FROM tenants.tenant_schemas ORDER BY schema_name`

// OwnSchemas are the schemas of tenants, by name. The list declares none of their tables:
// each is its tenant's whole.
func OwnSchemas(ctx context.Context, db pg.DB) (map[string]id.Tenant, error) {
	found, err := pg.All[TenantSchema](ctx, db, ownSchemasAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("read which schemas are tenants': %w", err)
	}
	schemas := map[string]id.Tenant{}
	for _, s := range found {
		schemas[s.Name] = s.Tenant
	}
	return schemas, nil
}

// breachesAllTenantsSQL asks the functions that put the walls of tenants' schemas up what
// of them is missing.
const breachesAllTenantsSQL = `
	SELECT s.tenant_id, s.schema_name, b.name, b.what FROM tenants.tenant_schemas s CROSS JOIN LATERAL (
	  SELECT '*' AS name, 'the schema itself' AS what WHERE to_regnamespace(quote_ident(s.schema_name)) IS NULL
	  UNION ALL
	  SELECT c.relname::text, '' FROM nself.unwalled_tenant_tables(s.schema_name, s.tenant_id) AS u (relation) JOIN pg_catalog.pg_class c ON c.oid = u.relation
	  UNION ALL
	  SELECT '*', '' WHERE nself.unwalled_tenant_objects(s.schema_name) IS NOT NULL
	  UNION ALL
	  SELECT '*', p.reason FROM nself.past_the_wall(s.schema_name) AS p (reason)
	) AS b ORDER BY s.schema_name, b.name, b.what`

type breach struct {
	Tenant id.Tenant `db:"tenant_id"`
	Schema string    `db:"schema_name"`
	Name   string    `db:"name"`
	What   string    `db:"what"` // "": the wall is not as it should be
}

// difference says how a breach is put right: "" is for the function that walls a schema.
func (b breach) difference() Difference {
	d := Difference{Where: "database", Table: Name{Schema: b.Schema, Name: b.Name}}
	switch {
	case b.What == "":
		d.Lacks = fmt.Sprintf("the wall of its tenant: SELECT tenants.wall_tenant_schema('%s') puts it up", b.Tenant)
	case b.What == "the schema itself":
		d.Lacks = b.What
	default:
		d.Exceeds = b.What
	}
	return d
}

// ofOwnSchemas compares the schemas of tenants with what they have to be. Nil metadata is
// not compared; a table that Hasura does not track is no hole.
func ofOwnSchemas(ctx context.Context, db pg.DB, schemas map[string]id.Tenant, tracked *metadata.Metadata) ([]Difference, error) {
	breaches, err := pg.All[breach](ctx, db, breachesAllTenantsSQL, nil)
	if err != nil {
		return nil, fmt.Errorf("examine the schemas of tenants: %w", err)
	}
	var found []Difference
	for _, b := range breaches {
		found = append(found, b.difference())
	}
	if tracked != nil {
		astray, err := trackedAstray(ctx, db, schemas, tracked)
		if err != nil {
			return nil, err
		}
		found = append(found, astray...)
	}
	for i := range found {
		found[i].OwnSchema = true
	}
	return found, nil
}

// trackedAstray are the entries of tenants' schemas, and of the reads, that are not as
// tracking makes them.
func trackedAstray(ctx context.Context, db pg.DB, schemas map[string]id.Tenant, tracked *metadata.Metadata) ([]Difference, error) {
	var found []Difference
	wanted, err := wantedOf(ctx, db, schemas)
	if err != nil {
		return nil, err
	}
	for _, entry := range tracked.Tables {
		if _, own := schemas[entry.Table.Schema]; !own && entry.Table.Schema != ReadsSchema {
			continue
		}
		want, exists := wanted[entry.Table]
		if !exists {
			found = append(found, Difference{Where: "metadata", Table: Name(entry.Table), Exceeds: "the table itself: it is tracked and no such table is the tenant's"})
			continue
		}
		found = append(found, compare("metadata", Name(entry.Table), permissionFacts(want), permissionFacts(entry))...)
	}
	return found, nil
}

// wantedOf are the entries that the tables of tenants' schemas are to have, and those of
// the reads under one name.
func wantedOf(ctx context.Context, db pg.DB, schemas map[string]id.Tenant) (map[metadata.TableName]metadata.Table, error) {
	names := make([]string, 0, len(schemas))
	for name := range schemas {
		names = append(names, name)
	}
	tables, err := SchemaTables(ctx, db, names)
	if err != nil {
		return nil, err
	}
	reads, err := ReadTracked(ctx, db, func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	wanted := map[metadata.TableName]metadata.Table{}
	for _, entry := range append(TrackedSchemas(tables), reads.Tables...) {
		wanted[entry.Table] = entry
	}
	return wanted, nil
}

// notOwn leaves out the entries of tenants' schemas and of the reads, which no list
// declares.
func notOwn(tracked *metadata.Metadata, schemas map[string]id.Tenant) *metadata.Metadata {
	rest := *tracked
	rest.Tables = nil
	for _, entry := range tracked.Tables {
		if _, own := schemas[entry.Table.Schema]; !own && entry.Table.Schema != ReadsSchema {
			rest.Tables = append(rest.Tables, entry)
		}
	}
	return &rest
}
