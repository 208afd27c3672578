package audit

import (
	"context"
)

func partitionUnprotected(_ context.Context, s *state) []fault {
	return s.eachChild(func(r *relation) bool { return r.Partition })
}

func childUnprotected(_ context.Context, s *state) []fault {
	return s.eachChild(func(r *relation) bool { return !r.Partition })
}

// eachChild finds the tables below a tenant table that others may use and that have no
// row-level security of their own: a query that names the child passes the parent's.
func (s *state) eachChild(of func(*relation) bool) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, r := range s.below(t.OID) {
			outsiders := s.outsiders(r)
			if s.byOID[r.OID] != nil || !r.table() || !of(r) || r.RLS && r.Forced || len(outsiders) == 0 {
				continue
			}
			found = append(found, at(r.Title(), safe("ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", r.sql()),
				"%s may use it by its own name, past the policies of %s", s.namesOf(outsiders), t.Title()))
		}
	}
	return found
}

// below lists the children of a table and theirs.
func (s *state) below(oid uint32) []*relation {
	var found []*relation
	for _, child := range s.children[oid] {
		if r := s.relations[child]; r != nil {
			found = append(found, r)
		}
		found = append(found, s.below(child)...)
	}
	return found
}

func parentOpen(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		for _, oid := range s.parents[t.OID] {
			parent := s.relations[oid]
			if parent == nil || s.byOID[oid] != nil || t.Partition {
				continue
			}
			found = append(found, at(t.Title(), repair("ALTER TABLE %s NO INHERIT %s", t.sql(), parent.sql()),
				"a query of %s reads its rows under that table's policies, of which there are none", parent.Title()))
		}
	}
	return found
}
