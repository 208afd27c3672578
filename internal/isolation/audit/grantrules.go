package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

func grantTruncate(_ context.Context, s *state) []fault {
	return s.eachGrant("TRUNCATE", "every tenant's rows go at once, whatever the policies say")
}

func grantReferences(_ context.Context, s *state) []fault {
	return s.eachGrant("REFERENCES", "a foreign key of its own tells which rows there are, in every tenant")
}

func grantTrigger(_ context.Context, s *state) []fault {
	return s.eachGrant("TRIGGER", "a trigger of its own sees every row that anyone writes")
}

// eachGrant finds a privilege in other hands than the owner's, but where it is declared.
func (s *state) eachGrant(name, what string) []fault {
	var found []fault
	for _, t := range s.withChildren() {
		for _, p := range t.grants {
			if p.Name != name || p.Grantee == t.Owner || p.Grantee == 0 || s.superuser(p.Grantee) || s.isDeclared(t, p) {
				continue
			}
			found = append(found, at(s.grantTitle(t.relation, p), s.revoke(t.relation, p), "%s", what))
		}
	}
	return found
}

func (s *state) grantTitle(r *relation, p privilege) string {
	title := r.Title()
	if c := r.column(p.Column); c != nil {
		title += "." + c.Name
	}
	return fmt.Sprintf("%s (%s %s)", title, s.roleName(p.Grantee), strings.ToLower(p.Name))
}

func (s *state) revoke(r *relation, p privilege) Fix {
	name := p.Name
	if c := r.column(p.Column); c != nil {
		name += " (" + isolation.Quote(c.Name) + ")"
	}
	return safe("REVOKE %s ON %s FROM %s", name, r.sql(), s.granteeSQL(p.Grantee))
}

// isDeclared reports whether the list gives the role the privilege.
func (s *state) isDeclared(t *tenantTable, p privilege) bool {
	return t.declared != nil && slices.Contains(t.declared.Grants[s.roleName(p.Grantee)], strings.ToLower(p.Name))
}

func grantPublic(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.withChildren() {
		for _, p := range t.grants {
			if p.Grantee == 0 {
				found = append(found, at(s.grantTitle(t.relation, p), s.revoke(t.relation, p), "every role there is and will be has it"))
			}
		}
	}
	return found
}

// ownRules are privileges with a rule each.
var ownRules = []string{"TRUNCATE", "REFERENCES", "TRIGGER"}

func grantUndeclared(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if t.declared == nil {
			continue
		}
		for _, p := range t.grants {
			if p.Grantee == t.Owner || p.Grantee == 0 || s.superuser(p.Grantee) || s.is(p.Grantee, ownerRole) || slices.Contains(ownRules, p.Name) || s.isDeclared(t, p) {
				continue
			}
			found = append(found, at(s.grantTitle(t.relation, p), s.revoke(t.relation, p), "the list does not give %s this", s.roleName(p.Grantee)))
		}
	}
	return found
}

func grantOption(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, p := range t.grants {
			if !p.Grantable || p.Grantee == t.Owner || s.superuser(p.Grantee) {
				continue
			}
			fix := s.revoke(t.relation, p)
			fix.Text = strings.Replace(fix.Text, "REVOKE ", "REVOKE GRANT OPTION FOR ", 1)
			found = append(found, at(s.grantTitle(t.relation, p), fix, "it may give it to roles that nobody declared"))
		}
	}
	return found
}

func schemaCreatePublic(_ context.Context, s *state) []fault {
	var found []fault
	for _, n := range s.schemas {
		if slices.ContainsFunc(n.grants, func(p privilege) bool { return p.Grantee == 0 && p.Name == "CREATE" }) {
			found = append(found, at("schema "+n.Name, safe("REVOKE CREATE ON SCHEMA %s FROM PUBLIC", isolation.Quote(n.Name)),
				"anyone may put a table or function there that others then use by mistake"))
		}
	}
	return found
}

func schemaCreateRole(_ context.Context, s *state) []fault {
	var found []fault
	for _, n := range s.tenantSchemas() {
		for _, p := range n.grants {
			if p.Name != "CREATE" || p.Grantee == n.Owner || !s.is(p.Grantee, workRoles...) {
				continue
			}
			found = append(found, at(fmt.Sprintf("schema %s (%s)", n.Name, s.roleName(p.Grantee)),
				safe("REVOKE CREATE ON SCHEMA %s FROM %s", isolation.Quote(n.Name), s.granteeSQL(p.Grantee)),
				"what it makes there is its own, and stands between the tables that are walled"))
		}
	}
	return found
}

func databaseCreatePublic(_ context.Context, s *state) []fault {
	if !slices.ContainsFunc(s.databaseACL, func(p privilege) bool { return p.Grantee == 0 && p.Name == "CREATE" }) {
		return nil
	}
	return []fault{at("database "+s.server.Database, safe("REVOKE CREATE ON DATABASE %s FROM PUBLIC", isolation.Quote(s.server.Database)),
		"anyone may make a schema")}
}

func databaseTemp(_ context.Context, s *state) []fault {
	var found []fault
	for _, p := range s.databaseACL {
		if p.Name != "TEMPORARY" || p.Grantee != 0 && !s.is(p.Grantee, workRoles...) {
			continue
		}
		found = append(found, at(fmt.Sprintf("database %s (%s temporary)", s.server.Database, s.roleName(p.Grantee)),
			repair("REVOKE TEMPORARY ON DATABASE %s FROM %s", isolation.Quote(s.server.Database), s.granteeSQL(p.Grantee)),
			"behind a pooler the next client of the connection, of any tenant, finds what one put into a temporary table"))
	}
	return found
}

func defaultsOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, d := range s.defaults {
		if d.Kind != "r" || d.Grantee == d.Owner || s.trusted(d.Grantee) {
			continue
		}
		where, in := "every schema", ""
		if d.Schema != "" {
			where, in = "schema "+d.Schema, " IN SCHEMA "+isolation.Quote(d.Schema)
		}
		found = append(found, at(fmt.Sprintf("default privileges of %s in %s (%s %s)", s.roleName(d.Owner), where, s.roleName(d.Grantee), strings.ToLower(d.Name)),
			safe("ALTER DEFAULT PRIVILEGES FOR ROLE %s%s REVOKE %s ON TABLES FROM %s", s.granteeSQL(d.Owner), in, d.Name, s.granteeSQL(d.Grantee)),
			"a new table is open to %s before it has a policy", s.roleName(d.Grantee)))
	}
	return found
}

// dangerous are parameters that switch off triggers, foreign keys or policies.
var dangerous = []string{"session_replication_role", "allow_system_table_mods", "lo_compat_privileges", "session_preload_libraries", "dynamic_library_path"}

func parameterGranted(_ context.Context, s *state) []fault {
	var found []fault
	for _, p := range s.parameters {
		if s.superuser(p.Grantee) || !slices.Contains(dangerous, p.Name) {
			continue
		}
		found = append(found, at(fmt.Sprintf("parameter %s (%s)", p.Name, s.roleName(p.Grantee)),
			safe("REVOKE %s ON PARAMETER %s FROM %s", p.Privilege, p.Name, s.granteeSQL(p.Grantee)),
			"%s is for superusers: with it, triggers, keys or libraries are the role's own affair", p.Privilege))
	}
	return found
}

// eachSetting finds settings of a role or the database.
func (s *state) eachSetting(name, what string, bad func(setting) bool) []fault {
	var found []fault
	for _, set := range s.settings {
		if set.Name == name && bad(set) {
			found = append(found, at(set.title()+" ("+name+")", set.reset(s.server.Database), "%s", what))
		}
	}
	return found
}

func (x setting) title() string {
	switch {
	case x.Role == "":
		return "database " + x.Database
	case x.Database == "":
		return "role " + x.Role
	}
	return "role " + x.Role + " in database " + x.Database
}

func (x setting) reset(database string) Fix {
	switch {
	case x.Role == "" && x.Database == "":
		return safe("ALTER ROLE ALL RESET %s", isolation.Quote(x.Name))
	case x.Role == "":
		return safe("ALTER DATABASE %s RESET %s", isolation.Quote(database), isolation.Quote(x.Name))
	case x.Database == "":
		return safe("ALTER ROLE %s RESET %s", isolation.Quote(x.Role), isolation.Quote(x.Name))
	}
	return safe("ALTER ROLE %s IN DATABASE %s RESET %s", isolation.Quote(x.Role), isolation.Quote(x.Database), isolation.Quote(x.Name))
}

func settingSession(_ context.Context, s *state) []fault {
	found := s.eachSetting("hasura.user", "whoever connects acts as that session, without any token", func(setting) bool { return true })
	if len(found) == 0 && s.server.DefaultUser != "" {
		found = append(found, at("postgresql.conf (hasura.user)", advice("take hasura.user out of the configuration files, or of the connection's options, and reload"),
			"whoever connects acts as that session, without any token"))
	}
	return found
}

func settingRowSecurity(_ context.Context, s *state) []fault {
	return s.eachSetting("row_security", "queries that a policy would bind fail instead, or show everything to whom none binds", func(x setting) bool { return isOff(x.Value) })
}

func settingTriggers(_ context.Context, s *state) []fault {
	return s.eachSetting("session_replication_role", "rows can change their tenant and refer to any other's", func(x setting) bool { return x.Value == "replica" })
}

func settingRole(_ context.Context, s *state) []fault {
	return s.eachSetting("role", "whoever connects is that role, not the one of the login", func(x setting) bool { return x.Value != "none" && x.Value != x.Role })
}

func isOff(value string) bool {
	return slices.Contains([]string{"off", "false", "no", "0", "f", "n"}, strings.ToLower(value))
}
