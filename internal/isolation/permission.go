package isolation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

// sessionTenant is the session variable that names the tenant.
const sessionTenant = "X-Hasura-Tenant-Id"

// Tracked returns the table's entry in Hasura's metadata with its permissions rendered
// anew; everything else of the entry stays.
func (t Table) Tracked(entry metadata.Table) metadata.Table {
	entry.Table = metadata.TableName(t.Name)
	entry.SelectPermissions, entry.InsertPermissions, entry.UpdatePermissions, entry.DeletePermissions = nil, nil, nil, nil
	for _, p := range t.Permissions {
		for _, role := range p.Roles {
			rows := t.RowsOf(p, role)
			if len(p.Select) > 0 {
				entry.SelectPermissions = append(entry.SelectPermissions, metadata.Permission[metadata.Select]{Role: role,
					Permission: metadata.Select{Columns: metadata.Columns{Names: p.Select}, Filter: rows, AllowAggregations: p.Aggregations}})
			}
			if len(p.Insert) > 0 {
				entry.InsertPermissions = append(entry.InsertPermissions, metadata.Permission[metadata.Insert]{Role: role,
					Permission: metadata.Insert{Columns: metadata.Columns{Names: p.Insert}, Check: rows,
						Set: map[string]any{t.TenantColumn(): sessionTenant}}})
			}
			if len(p.Update) > 0 {
				entry.UpdatePermissions = append(entry.UpdatePermissions, metadata.Permission[metadata.Update]{Role: role,
					Permission: metadata.Update{Columns: metadata.Columns{Names: p.Update}, Filter: rows, Check: rows}})
			}
			if p.Delete {
				entry.DeletePermissions = append(entry.DeletePermissions, metadata.Permission[metadata.Delete]{Role: role,
					Permission: metadata.Delete{Filter: rows}})
			}
		}
	}
	return entry
}

// RowsOf is the filter, and the check, of a role: the session's tenant, the guard that the
// tenant is active and the user a member of it in this very role, and what Where adds.
func (t Table) RowsOf(p Permission, role string) metadata.BoolExp {
	var all []any
	if t.Walled() && role != string(session.User) {
		all = append(all, t.ofSession(), guard(role))
	}
	if len(p.Where) > 0 {
		all = append(all, map[string]any(p.Where))
	}
	switch len(all) {
	case 0:
		return metadata.BoolExp{}
	case 1:
		return all[0].(map[string]any)
	}
	return metadata.BoolExp{"_and": all}
}

// ofSession says that a row is of the session's tenant.
func (t Table) ofSession() map[string]any {
	mine := map[string]any{"_eq": sessionTenant}
	if t.Rows == OfMembers {
		return map[string]any{memberships: map[string]any{"tenant_id": mine}}
	}
	return map[string]any{t.TenantColumn(): mine}
}

// memberships is the relationship from people to the tenants they are members of.
const memberships = "memberships"

// guard says that the session stands: Hasura sends no session to Postgres for reads, so
// there it is the permission that has to ask.
func guard(role string) map[string]any {
	return map[string]any{"_exists": map[string]any{
		"_table": map[string]any{"schema": "tenants", "name": "tenant_members"},
		"_where": map[string]any{
			"tenant_id": map[string]any{"_eq": sessionTenant},
			"user_id":   map[string]any{"_eq": "X-Hasura-User-Id"},
			"role":      map[string]any{"_eq": strings.TrimPrefix(role, "tenant_")},
			"tenant":    map[string]any{"status": map[string]any{"_eq": "active"}},
		},
	}}
}

// permissionFacts says what the permissions of a tracked table allow, a line each, so
// that two tables can be compared whatever the order and spelling of their files.
func permissionFacts(entry metadata.Table) []string {
	var facts []string
	for _, p := range entry.SelectPermissions {
		facts = append(facts, fmt.Sprintf("%s may select %s%s where %s", p.Role, columnsFact(p.Permission.Columns),
			selectExtras(p.Permission), canonical(p.Permission.Filter)))
	}
	for _, p := range entry.InsertPermissions {
		facts = append(facts, fmt.Sprintf("%s may insert %s%s, checked by %s", p.Role, columnsFact(p.Permission.Columns),
			presetFact(p.Permission.Set), canonical(p.Permission.Check)))
	}
	for _, p := range entry.UpdatePermissions {
		facts = append(facts, fmt.Sprintf("%s may update %s%s where %s, checked by %s", p.Role, columnsFact(p.Permission.Columns),
			presetFact(p.Permission.Set), canonical(p.Permission.Filter), canonical(p.Permission.Check)))
	}
	for _, p := range entry.DeletePermissions {
		facts = append(facts, fmt.Sprintf("%s may delete where %s", p.Role, canonical(p.Permission.Filter)))
	}
	facts = append(facts, extras(entry)...)
	slices.Sort(facts)
	return facts
}

func selectExtras(s metadata.Select) string {
	if s.AllowAggregations {
		return " and aggregates"
	}
	return ""
}

// extras are what Hasura's permissions can say and the list cannot.
func extras(entry metadata.Table) []string {
	var found []string
	add := func(role, format string, args ...any) { found = append(found, role+" "+fmt.Sprintf(format, args...)) }
	for _, role := range rolesOf(entry) {
		if !slices.Contains(session.Roles, session.Role(role)) {
			add(role, "has a permission, and no token carries that role")
		}
	}
	for _, p := range entry.SelectPermissions {
		s := p.Permission
		if s.Limit != nil {
			add(p.Role, "may select up to %d rows", *s.Limit)
		}
		if len(s.ComputedFields) > 0 {
			add(p.Role, "may select computed %s", strings.Join(slices.Sorted(slices.Values(s.ComputedFields)), ", "))
		}
		if s.QueryRootFields != nil {
			add(p.Role, "may select by the query fields %q", s.QueryRootFields)
		}
		if s.SubscriptionRootFields != nil {
			add(p.Role, "may select by the subscription fields %q", s.SubscriptionRootFields)
		}
	}
	for _, p := range entry.InsertPermissions {
		if p.Permission.BackendOnly {
			add(p.Role, "may insert from backends only")
		}
	}
	for _, p := range entry.UpdatePermissions {
		if p.Permission.BackendOnly {
			add(p.Role, "may update from backends only")
		}
	}
	for _, p := range entry.DeletePermissions {
		if p.Permission.BackendOnly {
			add(p.Role, "may delete from backends only")
		}
	}
	return found
}

// rolesOf are the roles that an entry gives something to, each once.
func rolesOf(entry metadata.Table) []string {
	var roles []string
	for _, p := range entry.SelectPermissions {
		roles = append(roles, p.Role)
	}
	for _, p := range entry.InsertPermissions {
		roles = append(roles, p.Role)
	}
	for _, p := range entry.UpdatePermissions {
		roles = append(roles, p.Role)
	}
	for _, p := range entry.DeletePermissions {
		roles = append(roles, p.Role)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

func columnsFact(c metadata.Columns) string {
	if c.All {
		return "every column"
	}
	return strings.Join(slices.Sorted(slices.Values(c.Names)), ", ")
}

func presetFact(set map[string]any) string {
	if len(set) == 0 {
		return ""
	}
	return " with " + canonical(set)
}

// canonical is an expression's text, the same for all spellings Hasura takes for the same.
func canonical(expression any) string {
	text, err := json.Marshal(metadata.Condition(expression))
	if err != nil {
		return fmt.Sprint(expression)
	}
	return string(text)
}
