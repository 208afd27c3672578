package isolation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
)

// contextFunctions are what every policy and tenant column rests on, with the digest of
// what each does: a wall is as good as the functions it asks. A migration that changes one
// changes its digest here; a test says to which.
var contextFunctions = map[string]string{
	"tenants.active_tenant_id()":        "e9a0bac9087f861b1d349102bf73096b",
	"tenants.current_session()":         "65d6c5e568ae3dead3e5dc6af6ccce76",
	"tenants.current_tenant_id()":       "690c0283a61fe5011b80d9419845e919",
	"tenants.hasura_is_unbound()":       "fb17ed2a9bcb029d720866b82f2f879d",
	"nself.declare_tenant_table(jsonb)": "7dce05972c107942cd7fb1a7c4c8de15",
	"nself.forget_tenant_table(text)":   "5dff8bba0270bd92a77ab6d4daa2c651",
	"nself.refuse_tenant_change()":      "25ea9f1d0ce070e35e898a990ffd7336",
}

const contextFunctionsSQL = `
	SELECT f.signature, coalesce(md5(concat_ws(' ', coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), p.provolatile, p.prosecdef,
	         p.proconfig, pg_get_userbyid(p.proowner), CASE WHEN f.signature ~ '^nself' THEN p.proacl::text END)), '') AS digest
	FROM unnest(@signatures::text[]) AS f (signature) LEFT JOIN pg_catalog.pg_proc p ON p.oid = to_regprocedure(f.signature)`

const listGrantsSQL = `
	SELECT CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END AS role, lower(g.privilege_type) AS privilege
	FROM pg_catalog.pg_class c, aclexplode(c.relacl) AS g
	WHERE c.oid = to_regclass('nself.tenant_tables') AND g.grantee <> c.relowner AND g.privilege_type <> 'SELECT'
	ORDER BY 1, 2`

// ContextDifferences tells which of the functions are not as the migrations made them, and
// who beside the owner may write the list in the database.
func ContextDifferences(ctx context.Context, db pg.DB) ([]Difference, error) {
	type function struct{ Signature, Digest string }
	type grant struct{ Role, Privilege string }
	var functions []function
	var grants []grant
	err := plainly(ctx, db, func(tx pgx.Tx) (err error) {
		if grants, err = pg.All[grant](ctx, tx, listGrantsSQL, nil); err != nil {
			return err
		}
		functions, err = pg.All[function](ctx, tx, contextFunctionsSQL, pgx.NamedArgs{"signatures": slices.Sorted(maps.Keys(contextFunctions))})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the functions that policies ask: %w", err)
	}
	var found []Difference
	for _, g := range grants {
		found = append(found, Difference{Where: "database", Table: Name{Schema: "nself", Name: "tenant_tables"},
			Exceeds: fmt.Sprintf("%s may %s: whoever writes the list says which tables have a wall", g.Role, g.Privilege)})
	}
	for _, f := range functions {
		if f.Digest != contextFunctions[f.Signature] {
			found = append(found, Difference{Where: "database", Table: tenantsTable,
				Exceeds: fmt.Sprintf("a function %s that is not the migrations' (digest %s): every policy asks it", f.Signature, f.Digest)})
		}
	}
	return found, nil
}

// path is a relationship that the conditions of permissions go along, and the foreign key
// it has to go by.
type path struct {
	name    string
	columns []string
	of      Name // the table whose key it is; none: the table's own
}

func (p path) String() string {
	columns := columnsFact(metadata.Columns{Names: p.columns})
	if p.of == (Name{}) {
		return fmt.Sprintf("the relationship %s goes by %s", p.name, columns)
	}
	return fmt.Sprintf("the relationship %s comes by %s of %s", p.name, columns, p.of)
}

// paths are those of the table.
func (t Table) paths() []path {
	switch t.Name {
	case membersTable:
		return []path{{name: "tenant", columns: []string{"tenant_id"}}, {name: sessions, columns: []string{"tenant_id", "user_id"}, of: sessionsTable}}
	case usersTable:
		return []path{{name: memberships, columns: []string{"user_id"}, of: membersTable}}
	}
	return nil
}

// pathFacts says where they have to go, a line each.
func (t Table) pathFacts() []string {
	var facts []string
	for _, p := range t.paths() {
		facts = append(facts, p.String())
	}
	return facts
}

// pathsOf says where they go in the metadata.
func (t Table) pathsOf(entry metadata.Table) []string {
	var found []string
	for _, p := range t.paths() {
		for _, r := range slices.Concat(entry.ObjectRelationships, entry.ArrayRelationships) {
			if r.Name != p.name {
				continue
			}
			fact := "the relationship " + p.name + " goes another way"
			if on := r.Using.ForeignKeyConstraintOn; on != nil {
				goes := path{name: p.name, columns: on.Columns}
				if on.Table != nil {
					goes.of = Name(*on.Table)
				}
				fact = goes.String()
			}
			found = append(found, fact)
		}
	}
	return found
}
