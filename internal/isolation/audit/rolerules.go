package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

var roleRules = []Rule{
	{"role-superuser", Error, roleGroup, "a role of the product is a superuser", roleSuperuser},
	{"role-bypassrls", Error, roleGroup, "a role that may use tenant tables bypasses row-level security", roleBypass},
	{"role-createrole", Error, roleGroup, "a role of the product may make roles and join them", roleCreateRole},
	{"role-replication", Error, roleGroup, "a role of the product may replicate, which no policy binds", roleReplication},
	{"role-membership-upward", Error, roleGroup, "a role of the product can SET ROLE to one above it", roleUpward},
	{"role-predefined", Error, roleGroup, "a role of the product is in a predefined role that passes the wall", rolePredefined},
	{"login-becomes-owner", Warning, roleGroup, "another login can SET ROLE to a role that sees every tenant", loginBecomes},
	{"table-owned-elsewhere", Error, roleGroup, "a tenant table does not belong to nself_owner", tableOwned},
	{"schema-owned-elsewhere", Error, roleGroup, "a schema with tenant tables belongs to a role that the wall should bind", schemaOwned},
	{"grant-truncate", Error, roleGroup, "TRUNCATE, which passes the policies, is granted on a tenant table", grantTruncate},
	{"grant-references", Error, roleGroup, "REFERENCES, which tells of rows past the policies, is granted on a tenant table", grantReferences},
	{"grant-trigger", Error, roleGroup, "TRIGGER, which runs code as whoever writes, is granted on a tenant table", grantTrigger},
	{"grant-public", Error, roleGroup, "PUBLIC holds a privilege on a tenant table", grantPublic},
	{"grant-undeclared", Warning, roleGroup, "a role holds a privilege on a tenant table that the list does not give it", grantUndeclared},
	{"grant-option", Error, roleGroup, "a role may pass on its privilege on a tenant table", grantOption},
	{"schema-create-public", Error, roleGroup, "PUBLIC may create objects in a schema", schemaCreatePublic},
	{"schema-create-role", Error, roleGroup, "a role to be bound may create objects in a schema with tenant tables", schemaCreateRole},
	{"database-create-public", Error, roleGroup, "PUBLIC may create schemas in the database", databaseCreatePublic},
	{"database-temp-open", Notice, roleGroup, "a role to be bound may make temporary tables, which outlive its transaction", databaseTemp},
	{"default-privileges-open", Error, roleGroup, "default privileges open the tables to come", defaultsOpen},
	{"parameter-granted", Error, roleGroup, "a role may set a parameter that switches walls off", parameterGranted},
	{"setting-session-fixed", Error, roleGroup, "hasura.user is set for a role or the database: everyone starts inside one tenant", settingSession},
	{"setting-row-security", Warning, roleGroup, "row_security is off for a role or the database", settingRowSecurity},
	{"setting-triggers-off", Error, roleGroup, "session_replication_role keeps triggers and foreign keys from working", settingTriggers},
	{"setting-role", Error, roleGroup, "a login starts as another role", settingRole},
}

// eachRole asks of the roles of these names whether they are at fault.
func (s *state) eachRole(names []string, ask func(*role) (fault, bool)) []fault {
	var found []fault
	for _, name := range names {
		if r := s.roleNamed[name]; r != nil {
			if f, bad := ask(r); bad {
				found = append(found, f)
			}
		}
	}
	return found
}

func roleSuperuser(_ context.Context, s *state) []fault {
	return s.eachRole(append([]string{ownerRole}, workRoles...), func(r *role) (fault, bool) {
		return at(r.Name, safe("ALTER ROLE %s NOSUPERUSER", isolation.Quote(r.Name)), "nothing binds it: no policy, no grant"), r.Superuser
	})
}

func roleBypass(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.rolesByName() {
		ours := slices.Contains(append([]string{ownerRole}, workRoles...), r.Name)
		if !r.BypassRLS || r.Superuser && !ours || !ours && !s.usesTenants(r) {
			continue
		}
		fix := repair("ALTER ROLE %s NOBYPASSRLS", isolation.Quote(r.Name))
		fix.Safe = ours
		found = append(found, at(r.Name, fix, "no policy binds it, forced or not"))
	}
	return found
}

func (s *state) usesTenants(r *role) bool {
	return slices.ContainsFunc(s.tenants, func(t *tenantTable) bool {
		return slices.ContainsFunc(commands, func(c struct{ letter, privilege string }) bool { return s.may(t.relation, r, c.privilege) })
	})
}

func (s *state) rolesByName() []*role {
	var all []*role
	for _, r := range s.roles {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *role) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func roleCreateRole(_ context.Context, s *state) []fault {
	return s.eachRole(workRoles, func(r *role) (fault, bool) {
		return at(r.Name, safe("ALTER ROLE %s NOCREATEROLE", isolation.Quote(r.Name)), "it can make a role, give it what it may itself give, and (before Postgres 16) nearly any role to itself"), r.CreateRole
	})
}

func roleReplication(_ context.Context, s *state) []fault {
	return s.eachRole(append([]string{ownerRole}, workRoles...), func(r *role) (fault, bool) {
		return at(r.Name, safe("ALTER ROLE %s NOREPLICATION", isolation.Quote(r.Name)), "a replication connection streams every tenant's rows"), r.Replication
	})
}

// allowedSteps are the memberships that are part of the design.
var allowedSteps = map[string][]string{serverRole: {tenantRole}}

func roleUpward(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.eachNamed(workRoles) {
		for _, target := range s.rolesByName() {
			way := s.pathsOf(r)[target.OID]
			if way == nil || strings.HasPrefix(target.Name, "pg_") || slices.Contains(allowedSteps[r.Name], target.Name) || !s.higher(target) {
				continue
			}
			found = append(found, at(fmt.Sprintf("%s → %s", r.Name, target.Name), s.cutWay(way),
				"SET ROLE takes it there (%s), and %s", s.tell(way), s.whyHigher(target)))
		}
	}
	return found
}

func (s *state) eachNamed(names []string) []*role {
	var found []*role
	for _, name := range names {
		if r := s.roleNamed[name]; r != nil {
			found = append(found, r)
		}
	}
	return found
}

// higher reports whether a role may do what the roles of the product may not.
func (s *state) higher(r *role) bool { return s.whyHigher(r) != "" }

func (s *state) whyHigher(r *role) string {
	switch {
	case r.Superuser:
		return "that is a superuser"
	case r.BypassRLS:
		return "that bypasses row-level security"
	case r.CreateRole:
		return "that may make roles"
	case slices.Contains(append([]string{ownerRole}, workRoles...), r.Name):
		return "that has policies of its own"
	case slices.ContainsFunc(s.tenants, func(t *tenantTable) bool { return t.Owner == r.OID }):
		return "that owns tenant tables"
	}
	return ""
}

// cutWay takes away the first membership of a way.
func (s *state) cutWay(way path) Fix {
	return safe("REVOKE %s FROM %s", isolation.Quote(s.roleName(way[0].Role)), isolation.Quote(s.roleName(way[0].Member)))
}

// predefined are roles of Postgres' own that read, write or run past every policy or grant.
var predefined = []string{"pg_read_all_data", "pg_write_all_data", "pg_read_server_files", "pg_write_server_files",
	"pg_execute_server_program", "pg_monitor", "pg_read_all_stats", "pg_stat_scan_tables", "pg_maintain", "pg_signal_backend", "pg_checkpoint", "pg_create_subscription"}

func rolePredefined(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.eachNamed(append([]string{ownerRole}, workRoles...)) {
		ways := s.pathsOf(r)
		for _, oid := range s.inherits(r) {
			if ways[oid] == nil && oid != r.OID {
				ways[oid] = path{{Role: oid, Member: r.OID}}
			}
		}
		for _, target := range s.rolesByName() {
			if way := ways[target.OID]; way != nil && slices.Contains(predefined, target.Name) {
				found = append(found, at(fmt.Sprintf("%s → %s", r.Name, target.Name), s.cutWay(way),
					"%s reaches past what is granted on tenant tables (%s)", target.Name, s.tell(way)))
			}
		}
	}
	return found
}

func loginBecomes(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.rolesByName() {
		if !r.Login || r.Superuser || slices.Contains(append([]string{ownerRole}, workRoles...), r.Name) {
			continue
		}
		for _, target := range s.rolesByName() {
			way := s.pathsOf(r)[target.OID]
			if way == nil || !target.Superuser && !target.BypassRLS && !slices.Contains([]string{ownerRole, serverRole, hasuraRole}, target.Name) {
				continue
			}
			if slices.ContainsFunc(way[:len(way)-1], func(m membership) bool { return s.is(m.Role, ownerRole) }) {
				continue // the owner is told of, and is above the others
			}
			fix := s.cutWay(way)
			fix.Safe = false
			found = append(found, at(fmt.Sprintf("%s → %s", r.Name, target.Name), fix,
				"whoever has this login sees every tenant (%s); allow it where it is the one that runs migrations", s.tell(way)))
		}
	}
	return found
}

func tableOwned(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if !s.is(t.Owner, ownerRole) {
			found = append(found, at(t.Title(), repair("-- as a superuser: neither %s nor nself_owner may do it alone\nALTER TABLE %s OWNER TO %s", s.roleName(t.Owner), t.sql(), ownerRole),
				"%s owns it, so may switch its policies off and grant it to anyone", s.roleName(t.Owner)))
		}
	}
	return found
}

// tenantSchemas are the schemas that hold tenant tables.
func (s *state) tenantSchemas() []*schema {
	var found []*schema
	for _, n := range s.schemas {
		if slices.ContainsFunc(s.tenants, func(t *tenantTable) bool { return t.Schema == n.Name }) {
			found = append(found, n)
		}
	}
	slices.SortFunc(found, func(a, b *schema) int { return strings.Compare(a.Name, b.Name) })
	return found
}

func schemaOwned(_ context.Context, s *state) []fault {
	var found []fault
	for _, n := range s.tenantSchemas() {
		r := s.roles[n.Owner]
		if r == nil || s.trusted(n.Owner) && r.Name != serverRole || strings.HasPrefix(r.Name, "pg_") {
			continue
		}
		found = append(found, at("schema "+n.Name, repair("-- as a superuser: neither %s nor nself_owner may do it alone\nALTER SCHEMA %s OWNER TO %s", r.Name, isolation.Quote(n.Name), ownerRole),
			"%s owns it, so may drop and replace what is in it", r.Name))
	}
	return found
}
