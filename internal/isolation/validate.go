package isolation

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

// databaseRoles are the roles a declaration may grant to, beside the owner.
var databaseRoles = []string{"nself_server", "nself_tenant", "nself_app", "nself_hasura"}

// privileges are what may be granted. TRUNCATE and REFERENCES pass row-level security, so
// nobody is given them; TRIGGER is for Hasura's event triggers alone.
var privileges = []string{"select", "insert", "update", "delete", "trigger"}

// Validate reports everything wrong with the list at once.
func (l List) Validate() error {
	seen := map[Name]bool{}
	var faults []error
	for _, t := range l {
		if seen[t.Name] {
			faults = append(faults, fmt.Errorf("%s is declared twice", t.Name))
		}
		seen[t.Name] = true
		for _, fault := range t.faults() {
			faults = append(faults, fmt.Errorf("%s: %s", t.Name, fault))
		}
	}
	return errors.Join(faults...)
}

func (t Table) faults() []string {
	var faults []string
	fail := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if t.Name.Schema == "" {
		fail("table is missing: write schema.table")
	}
	if !slices.Contains([]Rows{"", OfTenant, OfMembers, Shared}, t.Rows) {
		fail("rows is %q; it is tenant, members or shared", t.Rows)
	}
	if !t.Walled() && (t.Column != "" || t.Nullable != "" || t.Outlives != "" || t.Global != nil || len(t.Policies) > 0) {
		fail("a shared table has no tenant column, keys or policies to speak of")
	}
	for role, granted := range t.Grants {
		if !slices.Contains(databaseRoles, role) {
			fail("grants to %q; the roles are %q", role, databaseRoles)
		}
		for _, privilege := range granted {
			if !slices.Contains(privileges, privilege) || privilege == "trigger" && role != "nself_hasura" {
				fail("%s cannot be granted %q; the privileges are %q, trigger for nself_hasura alone", role, privilege, privileges)
			}
		}
	}
	for _, p := range t.Policies {
		faults = append(faults, p.faults()...)
	}
	return append(faults, t.permissionFaults()...)
}

func (p Policy) faults() []string {
	var faults []string
	fail := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("policy %q: ", p.Name)+fmt.Sprintf(format, args...))
	}
	if !slices.Contains([]string{"", "select", "insert", "update", "delete"}, p.For) {
		fail("for is %q; it is select, insert, update, delete, or left out for all", p.For)
	}
	for _, role := range p.To {
		if !slices.Contains(databaseRoles, role) && role != "nself_owner" {
			fail("to %q; the roles are nself_owner and %q", role, databaseRoles)
		}
	}
	if p.Name == "" || len(p.To) == 0 {
		fail("name and to are needed")
	}
	if (p.For == "insert") != (p.Using == "") || (p.For == "select" || p.For == "delete") != (p.Check == "") {
		fail("using is for all but insert, check for all but select and delete")
	}
	for _, bound := range []Bound{p.Using, p.Check} {
		if _, known := bounds[bound]; bound != "" && !known {
			fail("%q is no bound", bound)
		}
		if bound == Everything && slices.ContainsFunc(p.To, func(role string) bool { return role != "nself_owner" && role != "nself_server" }) {
			fail("everything is for nself_owner and nself_server alone")
		}
	}
	return faults
}

// ownRows reports whether a condition holds to the rows of the user who asks.
func ownRows(where metadata.BoolExp) bool {
	for _, conjunct := range metadata.Conjuncts(where) {
		for _, condition := range conjunct.(map[string]any) {
			if object, ok := condition.(map[string]any); ok && len(object) == 1 && object["_eq"] == "x-hasura-user-id" {
				return true
			}
		}
	}
	return false
}

func (t Table) permissionFaults() []string {
	var faults []string
	seen := map[string]bool{}
	fail := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, p := range t.Permissions {
		for _, role := range p.Roles {
			switch {
			case !slices.Contains(session.Roles, session.Role(role)):
				fail("no token carries the role %q", role)
			case seen[role]:
				fail("the role %s has two permissions", role)
			case t.Walled() && role == string(session.User) && !ownRows(p.Where):
				fail("the role user has no tenant: its where must hold a column that is _eq X-Hasura-User-Id")
			}
			seen[role] = true
		}
		if len(p.Roles) == 0 {
			fail("a permission names no roles")
		}
		if len(p.Insert)+len(p.Update) > 0 || p.Delete {
			if !t.Walled() {
				fail("a shared table is written by the operator alone")
			}
			if slices.Contains(p.Roles, string(session.User)) {
				fail("the role user has no tenant and writes nothing")
			}
		}
		if t.Rows == OfMembers && len(p.Insert) > 0 {
			fail("people are inserted by nobody in a tenant: a new one is a member of none")
		}
		for _, column := range slices.Concat(p.Insert, p.Update) {
			if column == t.TenantColumn() {
				fail("%s is preset from the session and written by nobody", column)
			}
		}
		if p.Aggregations && len(p.Select) == 0 {
			fail("aggregations without select")
		}
	}
	return faults
}
