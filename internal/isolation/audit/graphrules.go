package audit

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/nself/tenancy/hasura"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/session"
)

func (s *state) inherited(role string) bool {
	return slices.ContainsFunc(s.metadata.InheritedRoles, func(r metadata.InheritedRole) bool { return r.Name == role })
}

func roleUnknown(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil {
			continue
		}
		for _, role := range rolesOf(entry.Table) {
			if knownRole(role) || role == string(session.Operator) || s.inherited(role) {
				continue
			}
			found = append(found, at(fmt.Sprintf("%s (%s)", entry.Table.Table, role), yamlFix("# no permission for the role %s", role),
				"it is none of %v, so it may be HASURA_GRAPHQL_UNAUTHORIZED_ROLE, whose callers write their own session variables", session.Roles))
		}
	}
	return found
}

func roleAdmin(_ context.Context, s *state) []fault {
	const admin = string(session.Operator)
	what := "admin passes every permission of every tenant, and is reached by the admin secret alone"
	var found []fault
	for _, entry := range s.metadata.Tables {
		if slices.Contains(rolesOf(entry), admin) {
			found = append(found, at(fmt.Sprintf("%s (admin)", entry.Table), yamlFix("# no permission for the role admin"), "%s", what))
		}
	}
	for _, r := range s.metadata.InheritedRoles {
		if slices.Contains(r.RoleSet, admin) || r.Name == admin {
			found = append(found, at("inherited role "+r.Name, yamlFix("# inherited_roles: without %s", r.Name), "%s", what))
		}
	}
	for _, a := range s.metadata.Actions {
		if slices.Contains(a.Roles, admin) {
			found = append(found, at("action "+a.Name+" (admin)", yamlFix("# permissions: without role admin"), "%s", what))
		}
	}
	return found
}

func inheritedWidens(_ context.Context, s *state) []fault {
	var found []fault
	for _, r := range s.metadata.InheritedRoles {
		var on []string
		for _, entry := range s.trackedTables() {
			if entry.tenant != nil && slices.ContainsFunc(rolesOf(entry.Table), func(role string) bool { return slices.Contains(r.RoleSet, role) }) {
				on = append(on, entry.Table.Table.String())
			}
		}
		if len(on) == 0 || slices.Contains(r.RoleSet, string(session.Operator)) {
			continue
		}
		found = append(found, at("inherited role "+r.Name, yamlFix("# inherited_roles: without %s", r.Name),
			"it reads what any of %s reads of %s, whichever role the session has, and no guard asks for it", strings.Join(r.RoleSet, ", "), on[0]))
	}
	return found
}

func enumTable(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant != nil && entry.IsEnum {
			found = append(found, at(entry.Table.Table.String(), yamlFix("is_enum: false"), "introspection tells the rows of every tenant to every role"))
		}
	}
	return found
}

func relationshipLeaves(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil || entry.tenant.people() {
			continue
		}
		for _, r := range slices.Concat(entry.ObjectRelationships, entry.ArrayRelationships) {
			j := s.join(entry.Table, r)
			if j == nil {
				continue
			}
			target := s.byOID[j.target.OID]
			if target == nil || target.people() || j.keeps(entry.tenant.name, target.name) {
				continue
			}
			found = append(found, at(fmt.Sprintf("%s (relationship %s)", entry.Table.Table, r.Name),
				yamlFix("using:\n  manual_configuration:\n    remote_table: {schema: %s, name: %s}\n    column_mapping: {%s: %s, …}", target.Schema, target.Name, entry.tenant.name, target.name),
				"it leads to %s by %s: only the permission there keeps it in the tenant", target.Title(), pairs(j.pairs)))
		}
	}
	return found
}

func pairs(list [][2]string) string {
	var told []string
	for _, pair := range list {
		told = append(told, pair[0]+" = "+pair[1])
	}
	slices.Sort(told)
	return strings.Join(told, ", ")
}

func relationshipRemote(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil {
			continue
		}
		for _, r := range entry.RemoteRelationships {
			if strings.Contains(fmt.Sprint(r.Definition), entry.tenant.name) {
				continue
			}
			found = append(found, at(fmt.Sprintf("%s (remote relationship %s)", entry.Table.Table, r.Name), advice("pass %s on, and have the other side check it", entry.tenant.name),
				"the other side is not told whose row it is asked about, and none of this wall is there"))
		}
	}
	return found
}

func remoteSchemaOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, remote := range s.metadata.RemoteSchemas {
		if len(remote.Permissions) == 0 {
			found = append(found, at("remote schema "+remote.Name, yamlFix("permissions:\n  - role: tenant_member\n    definition:\n      schema: …"),
				"what it answers is bound to a tenant only as far as it does that itself"))
		}
	}
	return found
}

// ownActions are the actions of the product with the roles they are for: what is embedded
// does not change, so it is read once.
var ownActions = sync.OnceValues(readOwnActions)

func readOwnActions() (map[string][]string, error) {
	files, err := fs.Sub(hasura.Metadata, "metadata")
	if err != nil {
		return nil, err
	}
	ours, err := metadata.Load(files)
	if err != nil {
		return nil, fmt.Errorf("the product's own metadata: %w", err)
	}
	found := map[string][]string{}
	for _, a := range ours.Actions {
		found[a.Name] = append([]string{}, a.Roles...)
	}
	return found, nil
}

func actionOpen(_ context.Context, s *state) []fault {
	return s.eachAction(func(a metadata.Action, role string) (fault, bool) {
		roles, ours := s.own[a.Name]
		return at(actionTitle(a, role), yamlFix("# permissions: without role %s", role), "it is for %s and the operator", orNobody(roles)),
			ours && knownRole(role) && !slices.Contains(roles, role)
	})
}

func orNobody(roles []string) string {
	if len(roles) == 0 {
		return "no role"
	}
	return strings.Join(roles, ", ")
}

func actionRoleUnknown(_ context.Context, s *state) []fault {
	return s.eachAction(func(a metadata.Action, role string) (fault, bool) {
		return at(actionTitle(a, role), yamlFix("# permissions: without role %s", role), "it is none of %v: who calls as it need not have a token, and says itself who it is", session.Roles),
			!knownRole(role) && role != string(session.Operator) && !s.inherited(role)
	})
}

func actionTitle(a metadata.Action, role string) string {
	return fmt.Sprintf("action %s (%s)", a.Name, role)
}

func (s *state) eachAction(ask func(metadata.Action, string) (fault, bool)) []fault {
	var found []fault
	for _, a := range s.metadata.Actions {
		for _, role := range a.Roles {
			if f, bad := ask(a, role); bad {
				found = append(found, f)
			}
		}
	}
	return found
}

func actionForwards(_ context.Context, s *state) []fault {
	var found []fault
	for _, a := range s.metadata.Actions {
		if _, ours := s.own[a.Name]; ours && a.ForwardClientHeaders {
			found = append(found, at("action "+a.Name, yamlFix("forward_client_headers: false"), "a client's X-Webhook-Secret goes before the configured one, and its token goes along"))
		}
	}
	return found
}
