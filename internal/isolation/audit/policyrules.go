package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

var policyRules = []Rule{
	{"rls-disabled", Error, policyGroup, "row-level security is off on a table with rows of tenants", rlsDisabled},
	{"rls-not-forced", Error, policyGroup, "row-level security does not bind the table's owner", rlsNotForced},
	{"policy-missing", Warning, policyGroup, "a role has a privilege and no policy that lets it use it", policyMissing},
	{"policy-without-check", Warning, policyGroup, "a policy for writing has no WITH CHECK of its own", policyWithoutCheck},
	{"policy-public", Error, policyGroup, "a permissive policy is for PUBLIC, so for every role there is and will be", policyPublic},
	{"policy-open", Error, policyGroup, "a policy's USING admits rows that are not of the session's tenant", policyOpen},
	{"policy-check-open", Error, policyGroup, "a policy's WITH CHECK lets rows in that are not of the session's tenant", policyCheckOpen},
	{"policy-unvalidated-context", Warning, policyGroup, "a policy trusts the claimed tenant, active and the user's or not", policyUnvalidated},
	{"policy-context-per-row", Warning, policyGroup, "a policy reads the context for every row", policyPerRow},
	{"policy-recursion", Error, policyGroup, "a policy calls itself, by a subselect or through a function", policyRecursion},
	{"policy-other-setting", Warning, policyGroup, "a policy goes by a setting that is not Hasura's session", policyOtherSetting},
	{"policy-function-untrusted", Error, policyGroup, "a policy calls a function that belongs to a role it should bind", policyFunctionUntrusted},
}

func rlsDisabled(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if !t.RLS {
			fix := safe("ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", t.sql())
			fix.Safe = len(t.policies) > 0 // without any, nobody would see a row
			found = append(found, at(t.Title(), fix, "no policy is applied: whoever may use the table sees every tenant's rows"))
		}
	}
	return found
}

func rlsNotForced(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if t.RLS && !t.Forced {
			found = append(found, at(t.Title(), safe("ALTER TABLE %s FORCE ROW LEVEL SECURITY", t.sql()),
				"its owner %s, and every SECURITY DEFINER function of that role, passes the policies", s.roleName(t.Owner)))
		}
	}
	return found
}

// commands are the letters of pg_policy with the privilege each needs.
var commands = []struct{ letter, privilege string }{{"r", "SELECT"}, {"a", "INSERT"}, {"w", "UPDATE"}, {"d", "DELETE"}}

func policyMissing(_ context.Context, s *state) []fault {
	var found []fault
	for _, t := range s.tenants {
		if !t.RLS || t.column == nil {
			continue
		}
		for _, name := range append([]string{ownerRole}, workRoles...) {
			r := s.roleNamed[name]
			if r == nil || s.above(r.OID) {
				continue
			}
			for _, c := range commands {
				if s.may(t.relation, r, c.privilege) && !s.admitted(t, r, c.letter) {
					found = append(found, at(fmt.Sprintf("%s (%s %s)", t.Title(), r.Name, strings.ToLower(c.privilege)), s.admitFix(t, r, c.privilege),
						"%s may %s and no policy admits it to a single row", r.Name, c.privilege))
				}
			}
		}
	}
	return found
}

// admitted reports whether a permissive policy is for the role and the command.
func (s *state) admitted(t *tenantTable, r *role, letter string) bool {
	as := s.inherits(r)
	return slices.ContainsFunc(t.policies, func(p *policy) bool {
		return p.Permissive && (p.Command == "*" || p.Command == letter) &&
			slices.ContainsFunc(p.Roles, func(oid uint32) bool { return oid == 0 || slices.Contains(as, oid) })
	})
}

func policyWithoutCheck(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		if p.Check != "" || p.Using == "" || !strings.Contains("*w", p.Command) {
			return fault{}, false // without either, the policy lets nothing be written
		}
		fix := safe("ALTER POLICY %s ON %s WITH CHECK (%s)", isolation.Quote(p.Name), t.sql(), p.Using)
		if s.mustBind(t, p) && s.gripOf(t, p, p.Using) == loose {
			fix = s.bindFix(t, p) // to write an open USING down again mends nothing
		}
		return at(t.policyTitle(p), fix,
			"what may be written follows from USING alone, and would widen with it"), true
	})
}

func policyPublic(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		if !p.Permissive || !slices.Contains(p.Roles, 0) {
			return fault{}, false
		}
		return at(t.policyTitle(p), s.bindFix(t, p),
			"permissive policies add up: this one is for every role, whatever the others say"), true
	})
}

func policyOpen(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		if p.Command == "a" || !s.mustBind(t, p) {
			return fault{}, false
		}
		if s.gripOf(t, p, p.Using) != loose || declaredAs(t, p, isolation.Everything) {
			return fault{}, false
		}
		return at(t.policyTitle(p), s.bindFix(t, p), "its USING (%s) does not hold %s to the session's tenant", brief(p.Using), s.namesOf(p.Roles)), true
	})
}

func policyCheckOpen(_ context.Context, s *state) []fault {
	return s.eachPolicy(func(t *tenantTable, p *policy) (fault, bool) {
		if p.Check == "" || !s.mustBind(t, p) || s.gripOf(t, p, p.Check) != loose || declaredAs(t, p, isolation.Everything) {
			return fault{}, false
		}
		return at(t.policyTitle(p), s.bindFix(t, p), "its WITH CHECK (%s) lets %s write rows of other tenants", brief(p.Check), s.namesOf(p.Roles)), true
	})
}

// mustBind reports whether a policy widens for roles that are to be held to a tenant. What
// the public may is policy-public's matter.
func (s *state) mustBind(t *tenantTable, p *policy) bool {
	return p.Permissive && t.column != nil && !slices.Contains(p.Roles, 0) &&
		slices.ContainsFunc(p.Roles, func(oid uint32) bool { return !s.trusted(oid) })
}

// gripOf reads an expression; that Hasura is admitted while unbound counts for it alone.
func (s *state) gripOf(t *tenantTable, p *policy, expression string) grip {
	b := s.reading(t).of(expression)
	if b.unbound && slices.ContainsFunc(p.Roles, func(oid uint32) bool { return !s.trusted(oid) && !s.is(oid, hasuraRole) }) {
		return loose
	}
	return b.grip
}

// declaredAs reports whether the list declares the policy with one of the bounds.
func declaredAs(t *tenantTable, p *policy, bounds ...isolation.Bound) bool {
	if t.declared == nil {
		return false
	}
	return slices.ContainsFunc(t.declared.AllPolicies(), func(d isolation.Policy) bool {
		return d.Name == p.Name && (slices.Contains(bounds, d.Using) || slices.Contains(bounds, d.Check))
	})
}

func (t *tenantTable) policyTitle(p *policy) string {
	return fmt.Sprintf("%s (policy %s)", t.Title(), p.Name)
}

// eachPolicy asks of every policy of a tenant table, and of the tables below it, whether
// it is at fault.
func (s *state) eachPolicy(ask func(*tenantTable, *policy) (fault, bool)) []fault {
	var found []fault
	for _, t := range s.withChildren() {
		for _, p := range t.policies {
			if f, bad := ask(t, p); bad {
				found = append(found, f)
			}
		}
	}
	return found
}

func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 160 {
		return string(runes[:160]) + "…"
	}
	return text
}
