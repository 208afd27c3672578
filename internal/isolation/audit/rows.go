package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

// Session variables, as metadata.Condition spells them.
const (
	tenantVariable  = "x-hasura-tenant-id"
	userVariable    = "x-hasura-user-id"
	sessionVariable = "x-hasura-session-id"
)

// right is one expression of one permission of one role on a tenant table.
type right struct {
	table *tenantTable
	entry metadata.Table
	role  string
	op    string // select, insert, update or delete
	part  string // filter or check
	terms []any  // what must all be true, as metadata.Conjuncts has it
	verdict
}

func (r right) title() string { return permissionTitle(r.entry, r.role, r.op) }

func permissionTitle(entry metadata.Table, role, op string) string {
	return fmt.Sprintf("%s (%s %s)", entry.Table, role, op)
}

// ofTenant reports whether the role acts inside a tenant.
func ofTenant(role string) bool {
	return knownRole(role) && role != string(session.User)
}

func knownRole(role string) bool { return slices.Contains(session.Roles, session.Role(role)) }

// verdict is what an expression does about the session's tenant.
type verdict struct {
	bound    bool
	variable string // another session variable the tenant is compared with
	empty    bool   // a comparison with nothing, which is true of every row
	nulls    bool   // rows without a tenant are let through
	widened  string // the tenant is asked for, but inside _or, _not, _exists or a relationship
}

func (s *state) verdict(r right) verdict {
	for _, term := range r.terms {
		if s.binds(r.table, r.entry, r.role, asObject(term)) {
			return verdict{bound: true}
		}
	}
	var v verdict
	for _, term := range r.terms {
		v.scan(r.table, asObject(term), "")
	}
	return v
}

func asObject(value any) map[string]any {
	object, _ := value.(map[string]any)
	return object
}

// binds reports whether a condition holds rows to the session's tenant, or, for the role
// user, to the user.
func (s *state) binds(t *tenantTable, entry metadata.Table, role string, term map[string]any) bool {
	for key, value := range term {
		switch {
		case role == string(session.User):
			if (key == "id" || !t.people()) && comparesWith(value, userVariable) {
				return true
			}
		case key == t.name:
			if comparesWith(value, tenantVariable) {
				return true
			}
		}
		if s.bindsThrough(t, entry, role, key, asObject(value)) {
			return true
		}
	}
	return false
}

// bindsThrough is for a condition on a related row of the same tenant.
func (s *state) bindsThrough(t *tenantTable, entry metadata.Table, role, name string, nested map[string]any) bool {
	join := s.relationship(entry, name)
	if join == nil || len(nested) == 0 {
		return false
	}
	target := s.byOID[join.target.OID]
	switch {
	case target == nil:
		return false
	case t.people() && (target.Title() != membersTable || !join.keeps("id", "user_id")):
		return false // only a membership of the very person says whose tenant they are in
	case !t.people() && !join.keeps(t.name, target.name):
		return false
	}
	there := s.tracked(target.Schema, target.Name)
	return slices.ContainsFunc(metadata.Conjuncts(nested), func(term any) bool { return s.binds(target, there, role, asObject(term)) })
}

func comparesWith(condition any, variable string) bool {
	return slices.ContainsFunc(operators(condition), func(o operator) bool { return o.name == "_eq" && o.value == variable })
}

// operator is one comparison of a column.
type operator struct {
	name  string
	value any
}

func operators(condition any) []operator {
	var found []operator
	object := asObject(condition)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if name != "_and" {
			found = append(found, operator{name, object[name]})
			continue
		}
		list, _ := object[name].([]any)
		for _, item := range list {
			found = append(found, operators(item)...)
		}
	}
	return found
}

// scan looks for where an expression speaks of the tenant without holding rows to it.
func (v *verdict) scan(t *tenantTable, term map[string]any, inside string) {
	for key, value := range term {
		switch key {
		case t.name:
			v.column(value, inside)
		case "_or", "_and":
			list, _ := value.([]any)
			for _, item := range list {
				v.scan(t, asObject(item), deeper(inside, key))
			}
		case "_not":
			v.scan(t, asObject(value), deeper(inside, key))
		case "_exists":
			if exists := asObject(value); exists["_table"] != membersTable {
				v.scan(t, asObject(exists["_where"]), deeper(inside, key))
			}
		default:
			if nested := asObject(value); len(nested) > 0 && !strings.HasPrefix(key, "_") {
				v.scan(t, nested, deeper(inside, "the relationship "+key))
			}
		}
	}
}

func deeper(inside, key string) string {
	if inside == "" && key != "_and" {
		return key
	}
	return inside
}

func (v *verdict) column(condition any, inside string) {
	all := operators(condition)
	if len(all) == 0 {
		v.empty = true
	}
	for _, o := range all {
		text, isText := o.value.(string)
		switch {
		case o.value == nil:
			v.empty = true
		case o.name == "_is_null" && o.value == true:
			v.nulls = true
		case isText && strings.HasPrefix(text, "x-hasura-") && text != tenantVariable:
			v.variable = text
		case text == tenantVariable && inside != "":
			v.widened = inside
		}
	}
}

// wall is the expression that the list has there, as YAML.
func (r right) wall() string {
	wanted := r.table.wanted()
	var permission isolation.Permission
	if at := slices.IndexFunc(wanted.Permissions, func(p isolation.Permission) bool { return slices.Contains(p.Roles, r.role) }); at >= 0 {
		permission = wanted.Permissions[at]
	}
	rows := wanted.RowsOf(permission, r.role)
	text, err := yaml.Marshal(map[string]metadata.BoolExp{r.part: rows})
	if err != nil || len(rows) == 0 {
		return "# no permission for the role " + r.role + ": the list gives it none"
	}
	return strings.TrimSpace(string(text))
}
