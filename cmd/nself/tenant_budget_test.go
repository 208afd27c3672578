package main

import (
	"testing"
)

const (
	budgetAsSetUp  = "  Statement timeout: 30s\n  Connections:       10 transactions at once\n  Rows:              no limit\n"
	budgetAsChosen = "  Statement timeout: 2s (its own)\n  Connections:       5 transactions at once (its own)\n  Rows:              10,000 changed by one statement (its own)\n"
)

// aBudgetIsSetShownAndKept needs a table behind the wall: crm.documents.
func aBudgetIsSetShownAndKept(t *testing.T, i installation) {
	t.Helper()
	play(t, i.environment, []line{
		{"tenant|budget|show|acme", 0, budgetAsSetUp},
		{"tenant|budget|keep", 1, "no budget of rows is set: set one first"},
		{"tenant|budget|set|acme|--statement-timeout|2s|--connections|5|--rows|10000", 0,
			"✓ Budget set: acme\n" + budgetAsChosen + "note: 1 tables do not hold to budgets of rows yet: run nself tenant budget keep\n"},
		{"tenant|budget|keep", 0, "✓ crm.documents holds to budgets of rows\n"},
		{"tenant|budget|keep", 0, "Every table holds to budgets of rows already.\n"},
		{"tenant|budget|show|acme", 0, budgetAsChosen},
		{"tenant|budget|show|techco", 0, budgetAsSetUp},
		{"tenant|budget|set|acme|--connections|default|--rows|default", 0, "✓ Budget set: acme\n  Statement timeout: 2s (its own)\n  Connections:       10 transactions at once\n  Rows:              no limit\n"},
		{"tenant|budget|set|--default|--statement-timeout|none|--connections|7", 0, "✓ Budget set: the default\n  Statement timeout: no limit\n  Connections:       7 transactions at once\n  Rows:              no limit\n"},
		{"tenant|budget|show|acme", 0, "  Statement timeout: 2s (its own)\n  Connections:       7 transactions at once\n  Rows:              no limit\n"},
		{"tenant|budget|set|--default|--statement-timeout|30s|--connections|10", 0, "✓ Budget set: the default\n" + budgetAsSetUp},
		{"tenant|budget|set|acme|--statement-timeout|default", 0, "✓ Budget set: acme\n" + budgetAsSetUp},
		{"tenant|budget|show|sun", 1, "no tenant"},
		{"tenant|budget|show", 2, "name one tenant, or --default"},
		{"tenant|budget|show|acme|--default", 2, "name one tenant, or --default"},
		{"tenant|budget|set|acme", 2, "nothing to set"},
		{"tenant|budget|set|acme|--connections|none", 2, "or the word default"},
		{"tenant|budget|set|acme|--connections|-1", 2, "a whole number, at least 1"},
		{"tenant|budget|set|acme|--connections|1001", 1, "1 to 1000"},
		{"tenant|budget|set|acme|--statement-timeout|2.5us", 2, "at least 1ms"},
		{"tenant|budget|set|acme|--rows|1e3", 2, "a whole number, at least 1"},
	})
	owner := environment{"HASURA_GRAPHQL_ENDPOINT": i.environment["HASURA_GRAPHQL_ENDPOINT"]}
	token := i.settings.Get("ACME_OWNER_TOKEN")
	if out := owner.mustDo(t, "tenant", "budget", "show", "acme", "--token", token); out != budgetAsSetUp {
		t.Errorf("an owner reads\n%s", out)
	}
	owner.mustRefuse(t, exitRefused, "may not use setTenantBudget", "tenant", "budget", "set", "acme", "--connections", "9", "--token", token)
	owner.mustRefuse(t, exitRefused, "techco", "tenant", "budget", "show", "techco", "--token", token)
}
