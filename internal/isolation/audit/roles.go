package audit

import (
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

func (c *catalog) roleName(oid uint32) string {
	if oid == 0 {
		return "PUBLIC"
	}
	if r := c.roles[oid]; r != nil {
		return r.Name
	}
	return "(unknown role)"
}

// granteeSQL is a grantee as GRANT and REVOKE take it.
func (c *catalog) granteeSQL(oid uint32) string {
	if oid == 0 {
		return "PUBLIC"
	}
	return isolation.Quote(c.roleName(oid))
}

func (c *catalog) is(oid uint32, names ...string) bool {
	r := c.roles[oid]
	return r != nil && slices.Contains(names, r.Name)
}

// above reports whether no wall can bind the role: a superuser, or one that bypasses.
func (c *catalog) above(oid uint32) bool {
	r := c.roles[oid]
	return r != nil && (r.Superuser || r.BypassRLS)
}

// trusted are the roles that may see every tenant by design, and superusers.
func (c *catalog) trusted(oid uint32) bool {
	r := c.roles[oid]
	return r != nil && (r.Superuser || r.Name == ownerRole || r.Name == serverRole)
}

// path is one way by which a role comes to act as another: each step is a membership.
type path []membership

// pathsOf finds for every role that a role can become with SET ROLE the shortest way.
func (c *catalog) pathsOf(from *role) map[uint32]path {
	found := map[uint32]path{}
	next := []*role{from}
	for len(next) > 0 {
		current := next[0]
		next = next[1:]
		for _, m := range current.memberOf {
			if !m.CanSet || m.Role == from.OID || found[m.Role] != nil {
				continue
			}
			found[m.Role] = append(slices.Clone(found[current.OID]), m)
			next = append(next, c.roles[m.Role])
		}
	}
	return found
}

// tell spells a path as the roles passed through.
func (c *catalog) tell(p path) string {
	names := []string{c.roleName(p[0].Member)}
	for _, step := range p {
		names = append(names, c.roleName(step.Role))
	}
	return strings.Join(names, " → ")
}

// inherits lists the roles whose privileges a role has without SET ROLE, itself included.
func (c *catalog) inherits(from *role) []uint32 {
	found := []uint32{from.OID}
	for i := 0; i < len(found); i++ {
		for _, m := range c.roles[found[i]].memberOf {
			if m.Inherit && !slices.Contains(found, m.Role) {
				found = append(found, m.Role)
			}
		}
	}
	return found
}

// may reports whether a role has a privilege on the relation or on any of its columns,
// granted to it or to a role it inherits from; what PUBLIC may is not asked.
func (s *state) may(r *relation, by *role, name string) bool {
	return slices.ContainsFunc(s.inherits(by), func(oid uint32) bool {
		return slices.ContainsFunc(r.grants, func(p privilege) bool { return p.Grantee == oid && p.Name == name })
	})
}

// outsiders lists who holds a privilege on a relation and is neither trusted nor its
// owner, each once.
func (s *state) outsiders(r *relation, names ...string) []uint32 {
	var found []uint32
	for _, p := range r.grants {
		if (len(names) == 0 || slices.Contains(names, p.Name)) && p.Grantee != r.Owner && !s.trusted(p.Grantee) && !slices.Contains(found, p.Grantee) {
			found = append(found, p.Grantee)
		}
	}
	return found
}

func (s *state) namesOf(oids []uint32) string {
	names := make([]string, len(oids))
	for i, oid := range oids {
		names[i] = s.roleName(oid)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (s *state) granteesSQL(oids []uint32) string {
	names := make([]string, len(oids))
	for i, oid := range oids {
		names[i] = s.granteeSQL(oid)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
