package isolation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

// The session variables that permissions ask.
const (
	sessionTenant = "X-Hasura-Tenant-Id"
	sessionUser   = "X-Hasura-User-Id"
	sessionID     = "X-Hasura-Session-Id"
)

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
// tenant is active, the user a member of it in this very role and the session not ended,
// and what Where adds. The role user is in no tenant, so its guard asks the session alone.
func (t Table) RowsOf(p Permission, role string) metadata.BoolExp {
	var all []any
	switch {
	case t.Walled() && role == string(session.User):
		all = append(all, userGuard())
	case t.Walled():
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
	if t.Rows == OfMembers {
		return map[string]any{memberships: map[string]any{"tenant_id": equals(sessionTenant)}}
	}
	return map[string]any{t.TenantColumn(): equals(sessionTenant)}
}

// The relationships that permissions go along: from people to the tenants they are members
// of, and from a membership to the sessions that rest on it.
const (
	memberships = "memberships"
	sessions    = "sessions"
)

// guard says that the session stands: Hasura sends no session to Postgres for reads, so
// there it is the permission that has to ask.
func guard(role string) map[string]any {
	return exists(membersTable, map[string]any{
		"tenant_id": equals(sessionTenant),
		"user_id":   equals(sessionUser),
		"role":      equals(strings.TrimPrefix(role, "tenant_")),
		"tenant":    map[string]any{"status": equals("active")},
		sessions:    map[string]any{"id": equals(sessionID), "ended_at": isNull()},
	})
}

// userGuard says that the session of a user who has chosen no tenant stands.
func userGuard() map[string]any {
	return exists(sessionsTable, map[string]any{"id": equals(sessionID), "user_id": equals(sessionUser), "ended_at": isNull()})
}

func exists(table Name, where map[string]any) map[string]any {
	return map[string]any{"_exists": map[string]any{
		"_table": map[string]any{"schema": table.Schema, "name": table.Name},
		"_where": where,
	}}
}

func equals(value string) map[string]any { return map[string]any{"_eq": value} }

func isNull() map[string]any { return map[string]any{"_is_null": true} }

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
