package audit

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

// option is what an option of a relation is set to; "" where it is not.
func (r *relation) option(name string) string {
	for _, option := range r.Options {
		if key, value, _ := strings.Cut(option, "="); key == name {
			return value
		}
	}
	return ""
}

func isOn(value string) bool {
	return slices.Contains([]string{"true", "on", "1", "yes"}, strings.ToLower(value))
}

// holdsToTenant reports whether a view shows the rows of the session's active tenant
// alone, whoever owns it: its query reads one relation, asks for the tenant, and as a
// security barrier lets no condition of the caller's see a row before that.
func holdsToTenant(s *state, r *relation) bool {
	return r.Kind == "v" && isOn(r.option("security_barrier")) && s.asksForTenant(r)
}

func (s *state) asksForTenant(r *relation) bool {
	tokens := tokenize(strings.TrimSuffix(strings.TrimSpace(r.Query), ";"))
	parts := cut(tokens, "FROM")
	if len(parts) != 2 || len(r.reads) == 0 {
		return false
	}
	where := cut(parts[1], "WHERE")
	if len(where) != 2 || len(where[0]) == 0 || len(where[0]) > 2 {
		return false
	}
	for _, oid := range r.reads {
		from := s.relations[oid]
		if from == nil || from.Title() != plainName(where[0][0].text) || from.columnNamed("tenant_id") == nil {
			continue
		}
		alias := plainName(where[0][len(where[0])-1].text)
		t := &tenantTable{relation: from, name: "tenant_id"}
		read := reading{s, t, []string{t.name, t.Name + "." + t.name, t.Title() + "." + t.name, alias + "." + t.name}}
		return read.bound(where[1]).grip >= active
	}
	return false
}

// viewFix has a view read as its caller, but where a materialized view is behind it: that
// has no policies, and the caller no right to it.
func (s *state) viewFix(r *relation) Fix {
	switch {
	case s.asksForTenant(r):
		return safe("ALTER VIEW %s SET (security_barrier = true)", r.sql())
	case s.overCopy(r.OID, map[uint32]bool{}):
		return advice("end its query with WHERE tenant_id = (SELECT tenants.active_tenant_id()), and ALTER VIEW %s SET (security_barrier = true)", r.sql())
	}
	return safe("ALTER VIEW %s SET (security_invoker = true)", r.sql())
}

// overCopy reports whether a view reads a materialized one.
func (s *state) overCopy(oid uint32, seen map[uint32]bool) bool {
	r := s.relations[oid]
	if r == nil || seen[oid] {
		return false
	}
	seen[oid] = true
	return r.Kind == "m" || slices.ContainsFunc(r.reads, func(next uint32) bool { return s.overCopy(next, seen) })
}

// asView is a view over tenant tables as a table whose rows a permission has to hold to
// the tenant; nil for what shows no rows of tenants. Where it shows none of the tenant
// columns, column is nil.
func (s *state) asView(name metadata.TableName) *tenantTable {
	r := s.relationNamed(name)
	if r == nil || r.Kind != "v" && r.Kind != "m" || s.inPlace(r) {
		return nil
	}
	behind := s.behind(r.OID, map[uint32]bool{})
	if len(behind) == 0 {
		return nil
	}
	t := &tenantTable{relation: r, name: cmp.Or(behind[0].name, "tenant_id")}
	for _, table := range behind {
		if c := r.columnNamed(table.name); c != nil && t.column == nil {
			t.name, t.column = c.Name, c
		}
	}
	return t
}

// A view that shows no tenant column leaves a permission nothing to ask for: Hasura's
// queries send no session, so no policy below it binds either.
func viewWithoutTenant(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		t := entry.tenant
		if t == nil || t.column != nil || t.table() {
			continue
		}
		for _, p := range entry.SelectPermissions {
			if knownRole(p.Role) && !ofPerson(p.Role, p.Permission.Filter) {
				found = append(found, at(permissionTitle(entry.Table, p.Role, "select"), advice("select %s in the view and filter by it, or take the permission away", t.name),
					"it shows rows of %s without %s, so no filter can hold them to the tenant", titles(s.behind(t.OID, map[uint32]bool{})), t.name))
			}
		}
	}
	return found
}

// ofPerson reports whether a filter holds the role user to rows of its own.
func ofPerson(role string, filter metadata.BoolExp) bool {
	return role == string(session.User) && slices.ContainsFunc(metadata.Conjuncts(filter), func(term any) bool {
		for _, condition := range asObject(term) {
			if comparesWith(condition, userVariable) {
				return true
			}
		}
		return false
	})
}

func trackedUndeclared(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.metadata.Tables {
		name := entry.Table
		r := s.relationNamed(name)
		if _, own := s.places[name.Schema]; own || name.Schema == isolation.ReadsSchema { // schemaRules look at those
			continue
		}
		if s.declaration(name.Schema, name.Name) != nil || r != nil && !r.table() && r.Kind != "f" {
			continue
		}
		fix := yamlFix("tables:\n  - table: %s\n    rows: shared # where no tenant has rows of its own in it; else: nself tenant protect %[1]s", name)
		if r != nil && s.belongsToTenants(r) {
			fix = protect(name.String())
		}
		found = append(found, at(name.String(), fix, "nobody has said whose rows it holds"))
	}
	return found
}

// belongsToTenants reports whether a table names tenants or refers to rows of theirs.
func (s *state) belongsToTenants(r *relation) bool {
	return s.looksLikeTenant(r) != nil || r.columnNamed("tenant_id") != nil || slices.ContainsFunc(r.constraints, func(key *constraint) bool {
		return key.Kind == "f" && (key.Target == s.tenantsTable || s.byOID[key.Target] != nil)
	})
}

// protectInstead puts nself tenant protect in the place of SQL that mends one part of a
// table that nobody has declared: the parts alone, without policies, would close it.
func (s *state) protectInstead(group string, f fault) Fix {
	if f.fix.Kind != "sql" || group != policyGroup && group != columnGroup && group != roleGroup {
		return f.fix
	}
	for _, t := range s.tenants {
		rest, ours := strings.CutPrefix(f.object, t.Title())
		if ours && t.declared == nil && (rest == "" || rest[0] == '.' || rest[0] == ' ') {
			return protect(t.Title())
		}
	}
	return f.fix
}
