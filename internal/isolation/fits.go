package isolation

import (
	"context"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/pg"
)

// inner are the schemas of the product's own machinery, of Hasura's and of Postgres's.
var inner = []string{"nself", "hdb_catalog", "information_schema", "pg_catalog", "pg_toast"}

// fits reports what keeps a new table from being protected.
func (p *planner) fits(ctx context.Context, db pg.DB, name Name, s *shape) error {
	tenant, own := p.places[name.Schema]
	switch {
	case own:
		p.fail(name, "lies in the schema of the tenant %s, which has a wall of its own: files of tenant_migrations change it", tenant)
		return nil
	case name.Schema == ReadsSchema:
		p.fail(name, "is made from tenant_migrations, and has no rows")
		return nil
	case s.Kind != "r" && s.Kind != "p":
		p.fail(name, "is no table; a view over protected tables needs WITH (security_invoker = true) and nothing else")
		return nil
	case s.Inherits:
		p.fail(name, "is a partition or a child of another table: protect the parent")
		return nil
	case s.Children:
		p.fail(name, "has children by inheritance, which its policies do not bind: make them partitions, or tables of their own")
		return nil
	case slices.Contains(inner, name.Schema) && !p.declared(name):
		p.fail(name, "is not yours: its schema belongs to the machinery below")
		return nil
	case s.TenantType != nil && *s.TenantType != "uuid":
		p.fail(name, "has a tenant column of type %s: it must be uuid", *s.TenantType)
	case len(s.Policies) > 0:
		p.fail(name, "has policies of its own (%s): drop them, they would admit rows beside the wall", strings.Join(s.Policies, ", "))
	}
	if len(s.Triggers) > 0 {
		p.note(name, "has triggers of yours (%s): see that none writes its rows where other tenants read, and that none is needed to read past the wall", strings.Join(s.Triggers, ", "))
	}
	for _, passing := range s.Passing {
		p.fail(name, "has %s: it would read or write past the wall, as its owner", passing)
	}
	for _, k := range s.keys {
		switch {
		case k.Kind == "x" && !k.HasTenant:
			p.fail(name, "has the exclusion constraint %s across tenants: make it anew with the tenant column WITH =", k.Name)
		case k.Partition != "" && !k.HasTenant:
			p.fail(name, "has the partition %s with the key %s of its own across tenants: drop it, or make it one of the table", k.Partition, k.Name)
		}
	}
	if p.online {
		p.fitsOnline(name, s)
		return nil
	}
	none, err := empty(ctx, db, name)
	if err == nil && !none {
		p.fail(name, "has rows: protect takes new or empty tables")
	}
	return err
}

func (p *planner) declared(name Name) bool {
	_, declared := p.request.List.Find(name)
	return declared
}
