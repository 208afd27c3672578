package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
)

// schemaRules are of the schemas that are one tenant's whole. Their tables name no tenant,
// so what binds them is that every policy and every permission names it.
var schemaRules = []Rule{
	{"schema-missing", Error, schemaGroup, "a tenant's own schema does not exist", schemaMissing},
	{"schema-wall-off", Error, schemaGroup, "row-level security does not bind a table of a tenant's schema, or its owner is another", schemaWallOff},
	{"schema-policy", Error, schemaGroup, "the policies of a table of a tenant's schema are not those of that very tenant", schemaPolicy},
	{"schema-grant", Error, schemaGroup, "somebody may do more in a tenant's schema than its roles need", schemaGrant},
	{"schema-past-the-wall", Error, schemaGroup, "something in a tenant's schema reads or writes past the policies", schemaPast},
	{"schema-reference", Error, schemaGroup, "a foreign key, or inheritance, leads into a tenant's schema or out of it", schemaReference},
	{"reads-function", Error, schemaGroup, "a function that reads the session's tenant is not as it was made", readsFunction},
	{"metadata-schema-open", Error, metadataGroup, "a permission on a table of a tenant's schema does not name that tenant", schemaOpen},
	{"metadata-reads-open", Error, metadataGroup, "the reads under one name are open to a session that does not stand, or let the client say whose", readsOpen},
}

// eachOwn asks of every relation in a tenant's schema whether it is at fault.
func (s *state) eachOwn(ask func(r *relation, tenant id.Tenant) (fault, bool)) []fault {
	var found []fault
	for _, r := range s.ordered() {
		if tenant, own := s.places[r.Schema]; own {
			if f, bad := ask(r, tenant); bad {
				found = append(found, f)
			}
		}
	}
	return found
}

// wallAgain puts the wall of a tenant's schema up as the migrations have it.
func wallAgain(tenant id.Tenant) Fix {
	return repair("-- puts up what is missing\nSELECT tenants.wall_tenant_schema('%s')", tenant)
}

func schemaMissing(_ context.Context, s *state) []fault {
	var found []fault
	for name, tenant := range s.places {
		if !slices.ContainsFunc(s.schemas, func(n *schema) bool { return n.Name == name }) {
			found = append(found, at(name, advice("restore it from a backup; SELECT tenants.drop_tenant_schema('%s') where it is to be gone", tenant), "the schema of tenant %s is not there", tenant))
		}
	}
	slices.SortFunc(found, func(a, b fault) int { return strings.Compare(a.object, b.object) })
	return found
}

func schemaWallOff(_ context.Context, s *state) []fault {
	return s.eachOwn(func(r *relation, tenant id.Tenant) (fault, bool) {
		what := ""
		switch {
		case !r.table():
		case !r.RLS:
			what = "no policy is applied: whoever may use the table sees all of it, in any tenant's session"
		case !r.Forced:
			what = "the policies do not bind its owner " + s.roleName(r.Owner)
		case s.roleName(r.Owner) != ownerRole:
			what = s.roleName(r.Owner) + " owns it, and takes its wall down at will"
		}
		return at(r.Title(), wallAgain(tenant), "%s", what), what != ""
	})
}

// ownPolicies are the permissive policies of a table of a tenant's schema, as the catalog
// spells them.
func ownPolicies(r *relation, tenant id.Tenant) []string {
	const owner = "owner_all * {nself_owner} true true"
	if r.Partition {
		return []string{owner}
	}
	bound := fmt.Sprintf("(( SELECT tenants.active_tenant_id() AS active_tenant_id) = '%s'::uuid)", tenant)
	hasura := "(( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound) OR " + bound + ")"
	return []string{
		fmt.Sprintf("active_tenant * {nself_app nself_tenant} %s %s", bound, bound),
		fmt.Sprintf("hasura_session * {nself_hasura} %s %s", hasura, hasura),
		owner, "server_all * {nself_server} true true",
	}
}

func schemaPolicy(_ context.Context, s *state) []fault {
	return s.eachOwn(func(r *relation, tenant id.Tenant) (fault, bool) {
		if !r.table() {
			return fault{}, false
		}
		var have []string
		for _, p := range r.policies {
			if p.Permissive {
				have = append(have, s.spelled(p))
			}
		}
		slices.Sort(have)
		want := ownPolicies(r, tenant)
		strange := slices.DeleteFunc(slices.Clone(have), func(line string) bool { return slices.Contains(want, line) })
		what := "a policy is missing, so a role is shut out"
		if len(strange) > 0 {
			name, _, _ := strings.Cut(strange[0], " ")
			what = fmt.Sprintf("the policy %s is not the tenant's, and admits other sessions", name)
		}
		return at(r.Title(), wallAgain(tenant), "%s", what), !slices.Equal(have, want)
	})
}

func (s *state) spelled(p *policy) string {
	roles := []string{}
	for _, oid := range p.Roles {
		roles = append(roles, s.roleName(oid))
	}
	slices.Sort(roles)
	return fmt.Sprintf("%s %s {%s} %s %s", p.Name, p.Command, strings.Join(roles, " "), p.Using, p.Check)
}

// ownRights are what each role may do in a tenant's schema, by kind of relation.
var ownRights = map[string]map[string][]string{
	"table":    {appRole: {"SELECT", "INSERT", "UPDATE", "DELETE"}, hasuraRole: {"SELECT", "INSERT", "UPDATE", "DELETE", "TRIGGER"}, tenantRole: {"SELECT"}, serverRole: {"SELECT"}},
	"view":     {appRole: {"SELECT"}, hasuraRole: {"SELECT"}, tenantRole: {"SELECT"}, serverRole: {"SELECT"}},
	"sequence": {appRole: {"USAGE"}, hasuraRole: {"USAGE"}},
	"part":     {},
	"schema":   {appRole: {"USAGE"}, hasuraRole: {"USAGE"}, tenantRole: {"USAGE"}, serverRole: {"USAGE"}},
}

func (r *relation) kindOfRights() string {
	switch {
	case r.Partition:
		return "part"
	case r.Kind == "v":
		return "view"
	case r.Kind == "S":
		return "sequence"
	}
	return "table"
}

// excess is the first privilege beyond what a kind of object is to have; "" for none.
func (s *state) excess(grants []privilege, owner uint32, kind string) string {
	for _, p := range grants {
		name := s.roleName(p.Grantee)
		if p.Grantee == owner || p.Column == 0 && !p.Grantable && slices.Contains(ownRights[kind][name], p.Name) {
			continue
		}
		return fmt.Sprintf("%s has %s", name, p.Name)
	}
	return ""
}

func schemaGrant(_ context.Context, s *state) []fault {
	found := s.eachOwn(func(r *relation, tenant id.Tenant) (fault, bool) {
		beyond := s.excess(r.grants, r.Owner, r.kindOfRights())
		return at(r.Title(), wallAgain(tenant), "%s there, which nothing needs", beyond), beyond != ""
	})
	for _, n := range s.schemas {
		tenant, own := s.places[n.Name]
		if !own {
			continue
		}
		if beyond := s.excess(n.grants, n.Owner, "schema"); beyond != "" {
			found = append(found, at(n.Name, wallAgain(tenant), "%s on the schema, which nothing needs", beyond))
		}
	}
	return found
}

func schemaPast(_ context.Context, s *state) []fault {
	found := s.eachOwn(func(r *relation, tenant id.Tenant) (fault, bool) {
		switch {
		case r.Kind == "m" || r.Kind == "f":
			return at(r.Title(), advice("make it a table or a view, by a tenant migration"), "no policy can bind its rows"), true
		case r.Kind == "v" && !invoker(r):
			return at(r.Title(), wallAgain(tenant), "it shows what %s may see, whoever asks", s.roleName(r.Owner)), true
		case r.table() && len(r.rewrites) > 0:
			return at(r.Title(), advice("make the rule %s a trigger, by a tenant migration", r.rewrites[0].Name), "its rule acts as the owner of every tenant's tables"), true
		}
		return fault{}, false
	})
	for _, f := range s.functions {
		if _, own := s.places[f.Schema]; own && f.Definer {
			found = append(found, at(f.Title(), repair("ALTER %s SECURITY INVOKER", f.sql()), "it acts as %s, who owns the tables of every tenant", s.roleName(f.Owner)))
		}
	}
	slices.SortFunc(found, func(a, b fault) int { return strings.Compare(a.object, b.object) })
	return found
}

func schemaReference(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.ordered() {
		_, own := s.places[r.Schema]
		for _, key := range r.constraints {
			to := s.relations[key.Target]
			if key.Kind != "f" || to == nil || to.Schema == r.Schema {
				continue
			}
			if _, theirs := s.places[to.Schema]; own || theirs {
				found = append(found, at(fmt.Sprintf("%s (%s)", r.Title(), key.Name), repair("ALTER TABLE %s DROP CONSTRAINT %s", r.sql(), isolation.Quote(key.Name)),
					"it refers to %s: a schema that is one tenant's stands by itself, and goes with it", to.Title()))
			}
		}
		for _, parent := range s.parents[r.OID] {
			above := s.relations[parent]
			if above == nil || above.Schema == r.Schema {
				continue
			}
			if _, theirs := s.places[above.Schema]; own || theirs {
				found = append(found, at(r.Title(), repair("ALTER TABLE %s NO INHERIT %s", r.sql(), above.sql()), "it is read through %s, whose wall is another", above.Title()))
			}
		}
	}
	return found
}
