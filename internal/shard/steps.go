package shard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// tenantsTable stays on the coordinator, with everything else that is ours.
const tenantsTable = "tenants.tenants"

// functions are what the policies and defaults of shards call: they read the session and no
// table, for a shard cannot ask one on another node.
var functions = []string{"tenants.current_session()", "tenants.current_tenant_id()", "tenants.hasura_is_unbound()"}

// foundations come before everything else.
func (p *planner) foundations() {
	p.plan.Steps = append(p.plan.Steps, Step{
		SQL: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET citus.propagate_set_commands = ''local''', current_database()); END $$`,
		Why: `what SET LOCAL "hasura.user" says has to reach the workers: row-level security decides there`,
	})
	for _, f := range functions {
		p.call("policies and defaults call it on every worker", "create_distributed_function", isolation.Literal(f))
	}
}

// call is a step that calls a function of Citus's.
func (p *planner) call(why, function string, arguments ...string) {
	p.step(why, "%s %s(%s)", "SELECT", function, strings.Join(arguments, ", "))
}

// ourTrigger tells the triggers that the plan takes away: Citus itself refuses to change
// the distribution column, and rows cannot be counted across shards.
func ourTrigger(g trigger) bool {
	return g.Function == "nself.refuse_tenant_change" || g.Function == "nself.refuse_rows_past_budget"
}

// rewritten tells the two policies that stand on every protected table.
func rewritten(y policy) bool {
	return y.Plain == "active_tenant" && slices.Equal(y.Roles, []string{"nself_app", "nself_tenant"}) ||
		y.Plain == "hasura_session" && slices.Equal(y.Roles, []string{"nself_hasura"})
}

// prepare writes what makes a table fit: all of it is of our own making.
func (p *planner) prepare(t *table) {
	for _, g := range t.triggers {
		switch {
		case g.Function == "nself.refuse_tenant_change":
			p.step("Citus itself refuses to change the distribution column", "DROP TRIGGER %s ON %s", g.Name, t.Name)
		case ourTrigger(g):
			p.step("a statement's rows cannot be counted across shards", "DROP TRIGGER %s ON %s", g.Name, t.Name)
		}
	}
	for _, f := range t.foreign {
		if f.To == tenantsTable {
			p.step("no shard can refer to tenants.tenants, which stays on the coordinator", "ALTER TABLE %s DROP CONSTRAINT %s", t.Name, f.Name)
		}
	}
	for _, y := range t.policies {
		if !y.Subquery || !rewritten(y) {
			continue
		}
		bound := p.bound(t)
		if y.Plain == "hasura_session" {
			bound = "tenants.hasura_is_unbound() OR " + bound
		}
		p.step("Citus refuses subqueries in policies", "ALTER POLICY %s ON %s USING (%s) WITH CHECK (%[3]s)", y.Name, t.Name, bound)
	}
}

// bound is the condition on the rows of the session's tenant that a shard can judge.
func (p *planner) bound(t *table) string {
	if p.kinds[t.Key] == ofSchema {
		return fmt.Sprintf("tenants.current_tenant_id() = '%s'::uuid", t.Tenant)
	}
	return isolation.Quote(p.columns[t.Key]) + " = tenants.current_tenant_id()"
}

// inOrder puts tables behind those they refer to. Tables that refer to one another in a
// circle are refused, and left out.
func (p *planner) inOrder(waiting []*table) []*table {
	unplaced := make(map[uint32]bool, len(waiting))
	for _, t := range waiting {
		unplaced[t.ID] = true
	}
	var order []*table
	for rest := waiting; len(rest) > 0; {
		var later []*table
		for _, t := range rest {
			held := slices.ContainsFunc(t.foreign, func(f foreign) bool { return f.ToRelation != t.ID && unplaced[f.ToRelation] })
			if held {
				later = append(later, t)
				continue
			}
			order, unplaced[t.ID] = append(order, t), false
		}
		if len(later) == len(rest) {
			p.refuseCircle(later)
			return order
		}
		rest = later
	}
	return order
}

func (p *planner) refuseCircle(circle []*table) {
	names := make([]string, len(circle))
	for i, t := range circle {
		names[i] = t.Key
	}
	t := circle[0]
	for _, f := range t.foreign {
		if slices.Contains(names, f.To) && f.To != t.Key && p.kinds[t.Key] != ofSchema {
			p.refuse(t.Name, "it refers to tables that refer back to it ("+strings.Join(names, ", ")+"): one of them has to be distributed first; drop the foreign key and add it again afterwards",
				fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", t.Name, f.Name))
			return
		}
	}
}

// distribute writes the statements for reference tables, then for those of tenants: the
// first makes the group in which all others are.
func (p *planner) distribute(order []*table) {
	for _, t := range order {
		if p.kinds[t.Key] == reference {
			p.call("it is the same for all tenants: a copy on every node", "create_reference_table", isolation.Literal(t.Name))
		}
	}
	first := p.already()
	for _, t := range order {
		if p.kinds[t.Key] != distributed || t.Partition {
			continue
		}
		with, why := first, "with the others of the same tenant"
		if with == "" {
			first, with, why = t.Name, "none", "the first of the group"
		}
		p.call(why, "create_distributed_table", isolation.Literal(t.Name), isolation.Literal(p.columns[t.Key]), "colocate_with => "+isolation.Literal(with))
	}
}

// already is a table of the list that is distributed, "" where there is none.
func (p *planner) already() string {
	for _, t := range p.catalog.tables {
		if t.DistributedAs == "distributed" && p.kinds[t.Key] == distributed {
			return t.Name
		}
	}
	return ""
}

func (p *planner) schemas(waiting []*table) {
	seen := map[string]bool{}
	for _, t := range waiting {
		if p.kinds[t.Key] == ofSchema && !seen[t.Schema] {
			seen[t.Schema] = true
			p.call("the schema of one tenant, on one node as a whole", "citus_schema_distribute", isolation.Literal(t.Schema))
		}
	}
}

func (p *planner) consequences() {
	for _, note := range []string{
		`The wall of a distributed table is the session's claim: whether the tenant is active and the user a member is judged on the coordinator, by tenants.enter for services and by the permissions for Hasura, and no longer by each statement on each row.`,
		`A service says SET LOCAL "hasura.user" = '…' in its own words after tenants.enter: what set_config sets does not reach the workers.`,
		`No row of a distributed table goes with its tenant any more: delete a tenant's rows there (DELETE … WHERE tenant_id = …) before it is purged.`,
		`Everything that is ours (the schemas tenants, auth, billing, audit, nself) stays on the coordinator.`,
		`nself tenant protect --check and nself tenant audit tell these policies, triggers and references as differences; on a Citus they are meant.`,
	} {
		p.note(note)
	}
}
