package contract

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/handlers/actions"
	"github.com/nself/tenancy/internal/config"
	"github.com/nself/tenancy/internal/metadata"
)

// served is the table of actions by name.
func served() map[string]actions.Action {
	byName := map[string]actions.Action{}
	for _, action := range actions.Table(actions.Config{}) {
		byName[action.Name] = action
	}
	return byName
}

func servedAsDeclared(m *metadata.Metadata) []string {
	var faults []string
	unseen := served()
	for _, declared := range m.Actions {
		if _, ok := unseen[declared.Name]; !ok {
			faults = append(faults, fmt.Sprintf("action %s is declared in actions.graphql and not served: add its row to handlers/actions/table.go", declared.Name))
		}
		delete(unseen, declared.Name)
	}
	for name := range unseen {
		faults = append(faults, fmt.Sprintf("action %s is served and not declared: add it to actions.graphql and actions.yaml", name))
	}
	return faults
}

func permittedAsDeclared(m *metadata.Metadata) []string {
	var faults []string
	table := served()
	for _, declared := range m.Actions {
		var want []string
		for _, role := range table[declared.Name].Roles {
			want = append(want, string(role))
		}
		got := slices.Clone(declared.Roles)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			faults = append(faults, fmt.Sprintf("action %s: roles of the table (-) and of actions.yaml (+):\n%s", declared.Name, diff))
		}
	}
	return faults
}

// calledAsServed is about the wire: where Hasura posts, what it shows, how long it waits.
func calledAsServed(m *metadata.Metadata) []string {
	var faults []string
	for _, a := range m.Actions {
		fail := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("action "+a.Name+": "+format, args...))
		}
		if want := "{{NSELF_WEBHOOK_URL}}/actions/" + a.Name; a.Handler != want {
			fail("handler is %s; the server answers at %s", a.Handler, want)
		}
		if !cmp.Equal(a.Headers, webhookHeaders) {
			fail("headers are %v; they must be %v", a.Headers, webhookHeaders)
		}
		if a.Kind != "synchronous" {
			fail("kind is %s; a reply would lose its extensions", a.Kind)
		}
		if a.ForwardClientHeaders {
			fail("forward_client_headers is on: a client's own X-Webhook-Secret could take the place of ours")
		}
		if limit := requestTimeout(); time.Duration(a.TimeoutSec)*time.Second <= limit {
			fail("timeout is %d s; Hasura would give up before the server does (REQUEST_TIMEOUT, %s)", a.TimeoutSec, limit)
		}
	}
	return faults
}

// webhookHeaders prove to the server that it is Hasura who calls.
var webhookHeaders = []metadata.Header{{Name: "X-Webhook-Secret", ValueFromEnv: "NSELF_WEBHOOK_SECRET"}}

// requestTimeout is the server's default; the faults of the settings left out are none
// of this check's business.
func requestTimeout() time.Duration {
	settings, _ := config.Load[config.Server](func(string) string { return "" })
	return settings.RequestTimeout
}

func TestEveryActionIsServedAndNoneIsServedUndeclared(t *testing.T) {
	holds(t, servedAsDeclared)
	sees(t, servedAsDeclared, []sabotage{
		{"one action more", "actions.graphql", "type Query {\n", "type Query {\n  allTenants: [MyTenant!]!\n\n", "allTenants is declared"},
	})
	less := loadMetadata(t)
	gone := less.Actions[0].Name
	less.Actions = less.Actions[1:]
	if diff := cmp.Diff([]string{"action " + gone + " is served and not declared: add it to actions.graphql and actions.yaml"}, servedAsDeclared(less)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryActionIsPermittedToTheRolesOfTheTable(t *testing.T) {
	holds(t, permittedAsDeclared)
	sees(t, permittedAsDeclared, []sabotage{
		{"one role more", "actions.yaml", "permissions:\n      - role: tenant_owner\n      - role: tenant_admin\n",
			"permissions:\n      - role: tenant_owner\n      - role: tenant_admin\n      - role: tenant_guest\n", "tenant_guest"},
	})
}

func TestEveryActionIsCalledWhereAndHowItIsServed(t *testing.T) {
	if requestTimeout() == 0 {
		t.Fatal("the server's default of REQUEST_TIMEOUT cannot be read")
	}
	holds(t, calledAsServed)
	sees(t, calledAsServed, []sabotage{
		{"another path", "actions.yaml", "/actions/deleteTenant", "/actions/removeTenant", "handler is"},
		{"another secret", "actions.yaml", "NSELF_WEBHOOK_SECRET", "OTHER_SECRET", "OTHER_SECRET"},
		{"client headers", "actions.yaml", "timeout: 30", "timeout: 30\n      forward_client_headers: true", "forward_client_headers"},
		{"short timeout", "actions.yaml", "timeout: 30", "timeout: 5", "timeout is 5 s"},
		{"asynchronous", "actions.yaml", "kind: synchronous", "kind: asynchronous", "kind is asynchronous"},
	})
}
