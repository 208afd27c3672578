package audit

import (
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// wanted is the declaration that the table should follow: its own, or that of a table as
// nself tenant protect would declare it.
func (t *tenantTable) wanted() isolation.Table {
	wanted := isolation.Table{Column: t.name}
	if t.declared != nil {
		wanted = *t.declared
	}
	wanted.Name = isolation.Name{Schema: t.Schema, Name: t.Name}
	return wanted
}

// listed are the policies that the table should have. A partition or a child has none: it
// is closed to whoever does not come through its parent.
func (t *tenantTable) listed() []isolation.Policy {
	if t.child {
		return nil
	}
	return t.wanted().AllPolicies()
}

// bindFix takes a policy away, and makes those of the list that its roles then lack.
func (s *state) bindFix(t *tenantTable, p *policy) Fix {
	steps := []string{"DROP POLICY IF EXISTS " + isolation.Quote(p.Name) + " ON " + t.sql()}
	for _, d := range t.listed() {
		if d.Name == p.Name || !t.hasPolicy(d.Name) && s.isForAny(p, d.To) {
			if d.Name != p.Name {
				steps = append(steps, "DROP POLICY IF EXISTS "+isolation.Quote(d.Name)+" ON "+t.sql())
			}
			steps = append(steps, t.wanted().CreatePolicy(d))
		}
	}
	return repair("%s", strings.Join(steps, ";\n"))
}

func (t *tenantTable) hasPolicy(name string) bool {
	return slices.ContainsFunc(t.policies, func(p *policy) bool { return p.Name == name })
}

// isForAny reports whether a policy is for one of the roles, by name or as PUBLIC.
func (s *state) isForAny(p *policy, names []string) bool {
	return slices.ContainsFunc(p.Roles, func(oid uint32) bool { return oid == 0 || slices.Contains(names, s.roleName(oid)) })
}

// admitFix makes the policies of the list that let a role use a privilege; where the list
// has none, the privilege is what is too much.
func (s *state) admitFix(t *tenantTable, r *role, privilege string) Fix {
	var steps []string
	for _, d := range t.listed() {
		if slices.Contains(d.To, r.Name) && (d.For == "" || strings.EqualFold(d.For, privilege)) {
			steps = append(steps, "DROP POLICY IF EXISTS "+isolation.Quote(d.Name)+" ON "+t.sql(), t.wanted().CreatePolicy(d))
		}
	}
	if len(steps) == 0 {
		return repair("REVOKE %s ON %s FROM %s", privilege, t.sql(), isolation.Quote(r.Name))
	}
	return repair("%s", strings.Join(steps, ";\n"))
}
