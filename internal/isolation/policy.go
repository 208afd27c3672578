package isolation

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Bound says which rows a policy admits.
type Bound string

// The bounds there are. All but Everything are evaluated once per statement, in a
// subselect, and never per row.
const (
	Everything    Bound = "everything"     // every row: the owner and the server
	ActiveTenant  Bound = "active_tenant"  // the session's tenant, while it is active and the user a member in the session's role
	ClaimedTenant Bound = "claimed_tenant" // the tenant the session names, active or not: what is written after the act that ends a membership
	HasuraSession Bound = "hasura_session" // as ActiveTenant where Hasura sends its session; everything where it sends none (reads) and for the operator
	ActivePeople  Bound = "active_people"  // ActiveTenant, by tenant column or membership
	HasuraPeople  Bound = "hasura_people"  // HasuraSession, by tenant column or membership
)

// The expressions are spelled as pg_get_expr gives them back, so that a policy in the
// catalog can be compared with the list by its text.
const (
	activeTenant  = `( SELECT tenants.active_tenant_id() AS active_tenant_id)`
	claimedTenant = `( SELECT tenants.current_tenant_id() AS current_tenant_id)`
	unbound       = `( SELECT tenants.hasura_is_unbound() AS hasura_is_unbound)`
	membership    = `(EXISTS ( SELECT FROM tenants.tenant_members m WHERE ((m.user_id = %[2]s.id) AND (m.tenant_id = ` + activeTenant + `))))`
)

// bounds are the expressions; %[1]s is the tenant column, %[2]s the table's own name.
var bounds = map[Bound]string{
	Everything:    `true`,
	ActiveTenant:  `(%[1]s = ` + activeTenant + `)`,
	ClaimedTenant: `(%[1]s = ` + claimedTenant + `)`,
	HasuraSession: `(` + unbound + ` OR (%[1]s = ` + activeTenant + `))`,
	ActivePeople:  `((%[1]s = ` + activeTenant + `) OR ` + membership + `)`,
	HasuraPeople:  `(` + unbound + ` OR (%[1]s = ` + activeTenant + `) OR ` + membership + `)`,
}

// expression is the bound's SQL for a table, its names written by quote.
func (t Table) expression(b Bound, quote func(string) string) string {
	form := bounds[b]
	if !strings.Contains(form, "%") {
		return form
	}
	column, table := quote(t.TenantColumn()), quote(t.Name.Name)
	if !strings.Contains(form, "%[2]s") {
		return fmt.Sprintf(form, column)
	}
	return fmt.Sprintf(form, column, table)
}

// standard are the policies of a table that declares none of its own.
var standard = map[Rows][]Policy{
	OfTenant: {
		{Name: "owner_all", To: []string{"nself_owner"}, Using: Everything, Check: Everything},
		{Name: "server_all", To: []string{"nself_server"}, Using: Everything, Check: Everything},
		{Name: "active_tenant", To: []string{"nself_app", "nself_tenant"}, Using: ActiveTenant, Check: ActiveTenant},
		{Name: "hasura_session", To: []string{"nself_hasura"}, Using: HasuraSession, Check: HasuraSession},
	},
	// A tenant writes identities of its own at most; a shared one belongs to its other tenants too.
	OfMembers: {
		{Name: "owner_all", To: []string{"nself_owner"}, Using: Everything, Check: Everything},
		{Name: "server_all", To: []string{"nself_server"}, Using: Everything, Check: Everything},
		{Name: "active_tenant", For: "select", To: []string{"nself_app", "nself_tenant"}, Using: ActivePeople},
		{Name: "hasura_session", For: "select", To: []string{"nself_hasura"}, Using: HasuraPeople},
		{Name: "hasura_insert", For: "insert", To: []string{"nself_hasura"}, Check: HasuraSession},
		{Name: "hasura_update", For: "update", To: []string{"nself_hasura"}, Using: HasuraSession, Check: HasuraSession},
		{Name: "hasura_delete", For: "delete", To: []string{"nself_hasura"}, Using: HasuraSession},
	},
}

// AllPolicies are the policies the table is to have: its own, or the standard ones of
// its kind; none of a shared table.
func (t Table) AllPolicies() []Policy {
	switch {
	case len(t.Policies) > 0:
		return t.Policies
	case t.Rows == "":
		return standard[OfTenant]
	}
	return standard[t.Rows]
}

// CreatePolicy is the statement that makes the policy.
func (t Table) CreatePolicy(p Policy) string {
	statement := fmt.Sprintf("CREATE POLICY %s ON %s", Quote(p.Name), t.Name.Quoted())
	if p.For != "" {
		statement += " FOR " + strings.ToUpper(p.For)
	}
	statement += " TO " + strings.Join(p.To, ", ")
	if p.Using != "" {
		statement += "\n    USING (" + t.expression(p.Using, Quote) + ")"
	}
	if p.Check != "" {
		statement += "\n    WITH CHECK (" + t.expression(p.Check, Quote) + ")"
	}
	return statement
}

// Quote writes an identifier so that no name can be anything else.
func Quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// Quoted is the name with both parts quoted.
func (n Name) Quoted() string { return pgx.Identifier{n.Schema, n.Name}.Sanitize() }
