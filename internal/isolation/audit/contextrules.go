package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

func policyUnvalidated(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		if !s.mustBind(t, p) || declaredAs(t, p, isolation.ClaimedTenant) {
			return fault{}, false
		}
		if (p.Using == "" || s.gripOf(t, p, p.Using) != claimed) && (p.Check == "" || s.gripOf(t, p, p.Check) != claimed) {
			return fault{}, false
		}
		return at(t.policyTitle(p), s.bindFix(t, p),
			"it asks which tenant the session names, not whether that is active and the user still a member: use tenants.active_tenant_id()"), true
	})
}

func policyPerRow(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		if s.mustBind(t, p) && p.Using != "" && s.gripOf(t, p, p.Using) == loose {
			return fault{}, false // policy-open's fix writes it anew
		}
		using, usingChanged := s.wrap(p.Using)
		check, checkChanged := s.wrap(p.Check)
		if !usingChanged && !checkChanged {
			return fault{}, false
		}
		statement := "ALTER POLICY " + isolation.Quote(p.Name) + " ON " + t.sql()
		if usingChanged {
			statement += " USING (" + using + ")"
		}
		if checkChanged {
			statement = fmt.Sprintf("%s WITH CHECK (%s)", statement, check)
		}
		return at(t.policyTitle(p), safe("%s", statement), "Postgres calls the context function for each row it looks at, unless it stands in a subselect of its own"), true
	})
}

// wrap puts each bare reading of the context into a subselect.
func (s *state) wrap(expression string) (string, bool) {
	all := calls(tokenize(expression))
	changed := false
	for _, c := range slices.Backward(all) {
		if c.wrapped || c.name != "current_setting" && !s.contextFunction(c.name) {
			continue
		}
		expression = expression[:c.start] + "(SELECT " + expression[c.start:c.end] + ")" + expression[c.end:]
		changed = true
	}
	return expression, changed
}

func policyOtherSetting(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		others := otherSettings(p.Using + " " + p.Check)
		for _, oid := range p.Functions {
			if f := s.functions[oid]; f != nil && len(others) == 0 {
				others = otherSettings(f.Source)
			}
		}
		if len(others) == 0 {
			return fault{}, false
		}
		return at(t.policyTitle(p), s.bindFix(t, p), "it reads %s; the session is in hasura.user, and every role may SET any other", strings.Join(others, ", ")), true
	})
}

func policyFunctionUntrusted(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		for _, oid := range p.Functions {
			if f := s.functions[oid]; f != nil && !f.Extension && !s.trusted(f.Owner) {
				return at(t.policyTitle(p), repair("ALTER %s OWNER TO %s", f.sql(), ownerRole),
					"%s belongs to %s, who may replace what it says", f.Title(), s.roleName(f.Owner)), true
			}
		}
		return fault{}, false
	})
}

func policyRecursion(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		for _, oid := range p.Roles {
			actor := s.roles[oid]
			if oid == 0 {
				actor = &role{Name: "PUBLIC"}
			}
			w := &walk{s: s, goal: t.OID, seen: map[visit]bool{}}
			if actor == nil || s.above(actor.OID) || !w.policy(p, actor.OID) {
				continue
			}
			return at(t.policyTitle(p), s.recursionFix(t, p, w.through),
				"under it %s has to read %s again%s: Postgres ends in an error or runs out of stack", actor.Name, t.Title(), through(w.through)), true
		}
		return fault{}, false
	})
}

func through(f *function) string {
	if f == nil {
		return ""
	}
	return " through " + f.Title()
}

func (s *state) recursionFix(t *tenantTable, p *policy, f *function) Fix {
	if f == nil {
		return s.bindFix(t, p)
	}
	return repair("ALTER %s OWNER TO %s;\nALTER %[1]s SECURITY DEFINER SET search_path = pg_catalog, pg_temp;\nREVOKE EXECUTE ON %[1]s FROM PUBLIC;\nGRANT EXECUTE ON %[1]s TO %[3]s",
		f.sql(), ownerRole, s.granteesSQL(p.Roles))
}

// visit is a table as a role reads it.
type visit struct {
	table, role uint32
}

// walk follows what a policy makes a role read, until it comes to the goal again.
type walk struct {
	s       *state
	goal    uint32
	seen    map[visit]bool
	through *function // the first function on the way
}

func (w *walk) policy(p *policy, as uint32) bool {
	for _, oid := range p.Functions {
		if f := w.s.functions[oid]; f != nil && w.function(f, as, 0) {
			return true
		}
	}
	return slices.ContainsFunc(p.Reads, func(oid uint32) bool {
		return (oid != p.Relation || w.s.selectsOwn(p)) && w.table(oid, as)
	})
}

// selectsOwn reports whether a subselect of the policy reads the policy's own table: in the
// catalog that looks like the use of a column.
func (s *state) selectsOwn(p *policy) bool {
	own := s.relations[p.Relation]
	tokens := tokenize(p.Using + " " + p.Check)
	for i, t := range tokens {
		name := plainName(t.text)
		if i > 0 && slices.Contains([]string{"FROM", "JOIN", "ONLY", ",", "("}, tokens[i-1].text) && (name == own.Name || name == own.Title()) {
			return true
		}
	}
	return false
}

func (w *walk) function(f *function, as uint32, depth int) bool {
	if f.Definer {
		as = f.Owner
	}
	if depth == deepest || w.s.above(as) {
		return false
	}
	for _, t := range w.s.touches(f) {
		if w.table(t.OID, as) {
			if w.through == nil {
				w.through = f
			}
			return true
		}
	}
	return slices.ContainsFunc(w.s.called(f), func(g *function) bool { return w.function(g, as, depth+1) })
}

// table reports whether reading the table as the role comes back to the goal.
func (w *walk) table(oid, as uint32) bool {
	t := w.s.byOID[oid]
	if t == nil || !t.RLS || t.Owner == as && !t.Forced || w.free(t, as) {
		return false
	}
	if oid == w.goal && w.applies(t, as) {
		return true
	}
	here := visit{oid, as}
	if w.seen[here] {
		return false
	}
	w.seen[here] = true
	for _, p := range t.policies {
		if w.isFor(p, as) && w.policy(p, as) {
			return true
		}
	}
	return false
}

// free reports whether a policy admits the role to every row: Postgres sees the constant
// and evaluates none of the others.
func (w *walk) free(t *tenantTable, as uint32) bool {
	return slices.ContainsFunc(t.policies, func(p *policy) bool {
		return p.Permissive && p.Using == "true" && strings.Contains("*r", p.Command) && w.isFor(p, as)
	})
}

// applies reports whether a policy that reads anything binds the role on the goal.
func (w *walk) applies(t *tenantTable, as uint32) bool {
	return slices.ContainsFunc(t.policies, func(p *policy) bool {
		reads := len(p.Functions) > 0 || w.s.selectsOwn(p) || slices.ContainsFunc(p.Reads, func(oid uint32) bool { return oid != p.Relation })
		return reads && w.isFor(p, as) && (p.Command == "*" || p.Command == "r")
	})
}

func (w *walk) isFor(p *policy, as uint32) bool {
	roles := []uint32{as}
	if r := w.s.roles[as]; r != nil {
		roles = w.s.inherits(r)
	}
	return slices.ContainsFunc(p.Roles, func(oid uint32) bool { return oid == 0 || slices.Contains(roles, oid) })
}
