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
	"tenants.active_tenant_id()":   "e3a73ebef8800bc7f060f2be514fc257",
	"tenants.current_session()":    "65d6c5e568ae3dead3e5dc6af6ccce76",
	"tenants.current_tenant_id()":  "690c0283a61fe5011b80d9419845e919",
	"tenants.hasura_is_unbound()":  "fb17ed2a9bcb029d720866b82f2f879d",
	"nself.refuse_tenant_change()": "45a08413a909900a3b917866955ed404",
}

const contextFunctionsSQL = `
	SELECT f.signature, coalesce(md5(concat_ws(' ', coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), p.provolatile, p.prosecdef,
	         p.proconfig, pg_get_userbyid(p.proowner))), '') AS digest
	FROM unnest(@signatures::text[]) AS f (signature) LEFT JOIN pg_catalog.pg_proc p ON p.oid = to_regprocedure(f.signature)`

// contextDifferences tells which of the functions are not as the migrations made them.
func contextDifferences(ctx context.Context, db pg.DB) ([]Difference, error) {
	type function struct{ Signature, Digest string }
	var functions []function
	err := plainly(ctx, db, func(tx pgx.Tx) (err error) {
		functions, err = pg.All[function](ctx, tx, contextFunctionsSQL, pgx.NamedArgs{"signatures": slices.Sorted(maps.Keys(contextFunctions))})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the functions that policies ask: %w", err)
	}
	var found []Difference
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
