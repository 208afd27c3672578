package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// definers lists the SECURITY DEFINER functions of people, by name.
func (s *state) definers() []*function {
	var found []*function
	for _, f := range s.functions {
		if f.Definer && !f.Extension {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b *function) int { return cmp.Compare(a.Title(), b.Title()) })
	return found
}

func functionSearchPath(_ context.Context, s *state) []fault {
	var found []fault
	for _, f := range s.definers() {
		path, fixed := f.searchPath()
		if fixed && !strings.Contains(path, "$user") {
			continue
		}
		found = append(found, at(f.Title(), repair("ALTER %s SET search_path = pg_catalog, %s, pg_temp", f.sql(), isolation.Quote(f.Schema)),
			"a caller who puts a schema of its own first has its tables and operators used with the rights of %s", s.roleName(f.Owner)))
	}
	return found
}

func functionPathTemp(_ context.Context, s *state) []fault {
	var found []fault
	for _, f := range s.definers() {
		path, fixed := f.searchPath()
		if !fixed || strings.Contains(path, "$user") || endsWithTemp(path) {
			continue
		}
		found = append(found, at(f.Title(), safe("ALTER %s SET search_path = %s", f.sql(), tempLast(path)),
			"where pg_temp is not named last it is searched first, for tables: any caller may make one"))
	}
	return found
}

func pathParts(path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, ",") {
		if part = strings.Trim(strings.TrimSpace(part), `"`); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func endsWithTemp(path string) bool {
	parts := pathParts(path)
	return len(parts) > 0 && parts[len(parts)-1] == "pg_temp"
}

func tempLast(path string) string {
	parts := slices.DeleteFunc(pathParts(path), func(part string) bool { return part == "pg_temp" })
	return quoteAll(append(parts, "pg_temp"))
}

func functionPublic(_ context.Context, s *state) []fault {
	var found []fault
	for _, f := range s.definers() {
		if slices.ContainsFunc(f.grants, func(p privilege) bool { return p.Grantee == 0 && p.Name == "EXECUTE" }) {
			found = append(found, at(f.Title(), safe("REVOKE EXECUTE ON %s FROM PUBLIC", f.sql()),
				"every role there is and will be acts through it as %s", s.roleName(f.Owner)))
		}
	}
	return found
}

func functionAbove(_ context.Context, s *state) []fault {
	var found []fault
	for _, f := range s.definers() {
		if touched := s.touchesDeep(f); s.above(f.Owner) && len(touched) > 0 {
			found = append(found, at(f.Title(), repair("ALTER %s OWNER TO %s", f.sql(), ownerRole),
				"as %s it reads %s whatever the policies say", s.roleName(f.Owner), titles(touched)))
		}
	}
	return found
}

func functionUnbound(_ context.Context, s *state) []fault {
	return s.eachCallable(func(f *function) (string, bool) {
		touched := s.touchesDeep(f)
		return fmt.Sprintf("have it read %s as %s, and it asks for no session", titles(touched), s.roleName(f.Owner)),
			len(touched) > 0 && !s.above(f.Owner) && !s.readsSetting(f, 0)
	})
}

func functionStray(_ context.Context, s *state) []fault {
	return s.eachCallable(func(f *function) (string, bool) {
		return fmt.Sprintf("have it read %s as %s, and one of its statements does so without the session's tenant", titles(s.touchesDeep(f)), s.roleName(f.Owner)),
			!s.above(f.Owner) && s.readsSetting(f, 0) && s.stray(f)
	})
}

func functionWidened(_ context.Context, s *state) []fault {
	return s.eachCallable(func(f *function) (string, bool) {
		return fmt.Sprintf("have it read %s as %s, and one of its conditions on the tenant stands in an OR or a NOT", titles(s.touchesDeep(f)), s.roleName(f.Owner)),
			!s.above(f.Owner) && s.widened(f)
	})
}

func functionUnread(_ context.Context, s *state) []fault {
	return s.eachCallable(func(f *function) (string, bool) {
		unread := f.unread()
		return fmt.Sprintf("run it as %s, and %s: nobody can tell from it which rows it reads", s.roleName(f.Owner), unread), unread != ""
	})
}

// eachCallable asks of every SECURITY DEFINER function that roles to be bound may call
// what they may do with it, and whether that is a fault.
func (s *state) eachCallable(ask func(*function) (what string, bad bool)) []fault {
	var found []fault
	for _, f := range s.definers() {
		callers := s.callers(f)
		if f.Trigger || len(callers) == 0 {
			continue
		}
		if what, bad := ask(f); bad {
			found = append(found, at(f.Title(), repair("REVOKE EXECUTE ON %s FROM %s", f.sql(), s.granteesSQL(callers)), "%s may %s", s.namesOf(callers), what))
		}
	}
	return found
}

// callers are the roles to be bound that may call a function; PUBLIC is another rule's.
func (s *state) callers(f *function) []uint32 {
	var found []uint32
	for _, p := range f.grants {
		if p.Name == "EXECUTE" && p.Grantee != 0 && p.Grantee != f.Owner && !s.trusted(p.Grantee) && !slices.Contains(found, p.Grantee) {
			found = append(found, p.Grantee)
		}
	}
	return found
}

// touchesDeep lists the tenant tables a function reads, itself or by what it calls. What
// the context functions look up to tell the session's tenant is no reading of the caller's.
func (s *state) touchesDeep(f *function) []*tenantTable {
	seen := map[uint32]bool{}
	var visit func(*function) []*tenantTable
	visit = func(f *function) []*tenantTable {
		if seen[f.OID] {
			return nil
		}
		seen[f.OID] = true
		found := s.touches(f)
		for _, g := range s.called(f) {
			if !g.Definer || g.Count > 0 || !s.readsSetting(g, 0) {
				found = append(found, visit(g)...)
			}
		}
		return found
	}
	return visit(f)
}
