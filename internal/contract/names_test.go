package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
)

// taken finds names that two parts of the graph claim: root fields of tables and
// actions, types of tables and custom types; and tables without a short name.
func namesAreFree(m *metadata.Metadata) []string {
	var faults []string
	fields, types := map[string]string{}, map[string]string{}
	claim := func(names map[string]string, name, owner string) {
		if other, taken := names[name]; taken {
			faults = append(faults, fmt.Sprintf("%s and %s both claim the name %s", other, owner, name))
		}
		if strings.HasPrefix(name, "__") {
			faults = append(faults, fmt.Sprintf("%s: names that begin with __ are GraphQL's own", name))
		}
		names[name] = owner
	}
	for _, table := range m.Tables {
		name, owner := table.Configuration.CustomName, "table "+table.Table.Schema+"."+table.Table.Name
		if name == "" {
			faults = append(faults, owner+" has no custom_name: its root fields would carry the schema's name")
			continue
		}
		claim(types, name, owner)
		for _, form := range []string{"%s", "%s_by_pk", "%s_aggregate", "insert_%s", "insert_%s_one", "update_%s", "update_%s_by_pk", "delete_%s", "delete_%s_by_pk"} {
			claim(fields, fmt.Sprintf(form, name), owner)
		}
	}
	for _, action := range m.Actions {
		claim(fields, action.Name, "action "+action.Name)
	}
	for _, object := range m.CustomTypes.Objects {
		claim(types, object.Name, "type "+object.Name)
	}
	return faults
}

func TestNoTwoPartsOfTheGraphClaimAName(t *testing.T) {
	const members = "databases/default/tables/tenants_tenant_members.yaml"
	holds(t, namesAreFree)
	sees(t, namesAreFree, []sabotage{
		{"two tables", members, "custom_name: members", "custom_name: tenants", "claim the name tenants_by_pk"},
		{"table and action", members, "custom_name: members", "custom_name: myTenants", "claim the name myTenants"},
		{"table and type", members, "custom_name: members", "custom_name: Member", "type Member both claim the name Member"},
		{"no short name", members, "custom_name: members", "custom_name: ''", "has no custom_name"},
	})
}

// reservedWords are names an installation serves itself, or that would pass for it.
var reservedWords = []string{"www", "api", "admin", "app", "auth", "mail", "static", "assets", "status", "hasura", "console", "graphql", "nself", "localhost"}

func TestReservedWordsAreNoTenantsSlug(t *testing.T) {
	operator := session.Session{Role: session.Operator}
	for _, word := range reservedWords {
		_, err := tenant.Create(t.Context(), pgtest.Tx(t, "nself_server"), operator, tenant.CreateInput{Name: "Reserved", Slug: word, Plan: "free"},
			tenant.Defaults{Strategies: []tenant.Strategy{tenant.RLS}})
		if !fault.Is(err, fault.SlugReserved) {
			t.Errorf("slug %s: %v", word, err)
		}
	}
}
