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
	"tenants.active_tenant_id()":        "e3a73ebef8800bc7f060f2be514fc257",
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

// paths are the relationships that the conditions of permissions go along.
func (t Table) paths() []string {
	switch {
	case t.Name == Name{Schema: "tenants", Name: "tenant_members"}:
		return []string{"the relationship tenant goes by tenant_id"}
	case t.Name == usersTable:
		return []string{"the relationship " + memberships + " comes by user_id of tenants.tenant_members"}
	}
	return nil
}

// pathsOf are those relationships as the metadata has them.
func (t Table) pathsOf(entry metadata.Table) []string {
	var found []string
	for _, r := range entry.ObjectRelationships {
		if on := r.Using.ForeignKeyConstraintOn; r.Name == "tenant" && len(t.paths()) > 0 && t.Name != usersTable {
			if on == nil || on.Table != nil {
				found = append(found, "the relationship tenant goes another way")
				continue
			}
			found = append(found, fmt.Sprintf("the relationship tenant goes by %s", columnsFact(metadata.Columns{Names: on.Columns})))
		}
	}
	for _, r := range entry.ArrayRelationships {
		if on := r.Using.ForeignKeyConstraintOn; r.Name == memberships && t.Name == usersTable {
			if on == nil || on.Table == nil {
				found = append(found, "the relationship "+memberships+" comes another way")
				continue
			}
			found = append(found, fmt.Sprintf("the relationship %s comes by %s of %s", memberships, columnsFact(metadata.Columns{Names: on.Columns}), Name(*on.Table)))
		}
	}
	return found
}
