package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	budgetReply      = `statement_timeout_ms: statementTimeoutMs connections rows unkept_tables: unkeptTables`
	setBudgetChanges = `statementTimeoutMs: $timeout, connections: $connections, rows: $rows`

	setBudgetMutation = `mutation ($tenant: String!, $timeout: Int, $connections: Int, $rows: bigint) {
		reply: setTenantBudget(tenant: $tenant, ` + setBudgetChanges + `) { tenant_id: tenantId own ` + budgetReply + ` }
	}`
	setDefaultBudgetMutation = `mutation ($timeout: Int, $connections: Int, $rows: bigint) {
		reply: setDefaultBudget(` + setBudgetChanges + `) { ` + budgetReply + ` }
	}`
	budgetQuery        = `query ($tenant: String!) { reply: tenantBudget(tenant: $tenant) { tenant_id: tenantId own ` + budgetReply + ` } }`
	defaultBudgetQuery = `query { reply: defaultBudget { ` + budgetReply + ` } }`
)

// budgetOf is what a tenant may take of the database at once; null: no limit.
type budgetOf struct {
	TenantID           string   `json:"tenant_id,omitempty"` // empty: the default
	StatementTimeoutMS *int     `json:"statement_timeout_ms"`
	Connections        *int     `json:"connections"`
	Rows               *bigint  `json:"rows"`
	Own                []string `json:"own,omitempty"`
	UnkeptTables       int      `json:"unkept_tables"`
}

func (p *program) budgetCommands() *cobra.Command {
	return group("budget", "Bound what a tenant takes of the database at once", `Show and set what one tenant may take of the database at once, so that it cannot starve
the rest: how long a statement runs, how many transactions are open, how many rows one
statement changes. What is not set for a tenant is the default's.`,
		p.showBudgetCommand(), p.setBudgetCommand(), p.keepBudgetCommand())
}

func (p *program) showBudgetCommand() *cobra.Command {
	var usual bool
	cmd := &cobra.Command{
		Use: "show <tenant>", Short: "Show the budget that holds for a tenant, or the default",
		Long: `Show the budget that holds for a tenant, or with --default the one of every tenant that
has none of its own.`,
		Example: `  nself tenant budget show acme
  nself tenant budget show --default --json`,
	}
	cmd.Flags().BoolVar(&usual, "default", false, "the budget of tenants without one of their own")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		found, err := p.askBudget(cmd, asked{usual, args}, budgetDocuments{budgetQuery, defaultBudgetQuery}, map[string]any{})
		if err != nil {
			return err
		}
		return p.print(found, func(w *strings.Builder) { tellBudget(w, found) })
	}
	return cmd
}

// asked is whose budget a command is about.
type asked struct {
	usual bool // the default
	args  []string
}

// budgetDocuments are the same question about a tenant and about the default.
type budgetDocuments struct{ tenant, usual string }

// askBudget sends the document that fits whose budget is asked for.
func (p *program) askBudget(cmd *cobra.Command, of asked, documents budgetDocuments, variables map[string]any) (budgetOf, error) {
	if of.usual == (len(of.args) > 0) || len(of.args) > 1 {
		return budgetOf{}, usagef("name one tenant, or --default: usage: %s", cmd.UseLine())
	}
	if of.usual {
		return act[budgetOf](cmd.Context(), p, documents.usual, variables)
	}
	variables["tenant"] = of.args[0]
	return act[budgetOf](cmd.Context(), p, documents.tenant, variables)
}

func (p *program) setBudgetCommand() *cobra.Command {
	var usual bool
	cmd := &cobra.Command{
		Use: "set <tenant>", Short: "Set what a tenant may take of the database at once",
		Long: `Set what a tenant may take of the database at once, from its next transaction on. What
is not given stays as it is. The word default makes a value the default's again; of the
default itself, which --default sets, the word none takes the limit away.

Transactions and statement timeouts are held to wherever a transaction enters the tenant:
by this server's own, and by services that call tenants.enter. Rows are held to on the
tables that nself tenant budget keep made keep them. Hasura's own statements have the
timeout of its role (docs/scaling.md).`,
		Example: `  nself tenant budget set acme --statement-timeout 2s --connections 5 --rows 10000
  nself tenant budget set acme --connections default
  nself tenant budget set --default --statement-timeout 30s --rows none`,
	}
	flags := cmd.Flags()
	flags.BoolVar(&usual, "default", false, "the budget of tenants without one of their own")
	flags.String("statement-timeout", "", "how long one statement may run: 500ms, 2s, 1m")
	flags.String("connections", "", "how many transactions may be open at once: 1 to 1000")
	flags.String("rows", "", "how many rows one statement may change")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, err := budgetVariables(cmd, usual)
		if err != nil {
			return err
		}
		set, err := p.askBudget(cmd, asked{usual, args}, budgetDocuments{setBudgetMutation, setDefaultBudgetMutation}, variables)
		if err != nil {
			return err
		}
		return p.print(set, func(w *strings.Builder) {
			p.done(w, "Budget set: %s", strings.Join(append(args, "the default")[:1], ""))
			tellBudget(w, set)
		})
	}
	return cmd
}

// budgetVariables reads the flags that were given.
func budgetVariables(cmd *cobra.Command, usual bool) (map[string]any, error) {
	none := map[bool]string{true: "none", false: "default"}[usual]
	given := map[string]any{}
	for flag, read := range map[string]struct {
		variable string
		value    func(string) (int64, error)
		example  string
	}{
		"statement-timeout": {"timeout", typedTimeout, "a time such as 500ms or 2s, at least 1ms"},
		"connections":       {"connections", typedCount, "a whole number, at least 1"},
		"rows":              {"rows", typedCount, "a whole number, at least 1"},
	} {
		found := cmd.Flags().Lookup(flag)
		if !found.Changed {
			continue
		}
		typed := found.Value.String()
		if typed == none {
			given[read.variable] = 0
			continue
		}
		value, err := read.value(typed)
		if err != nil {
			return nil, usagef("--%s is %q: give %s, or the word %s", flag, shorten(typed), read.example, none)
		}
		given[read.variable] = value
	}
	if len(given) == 0 {
		return nil, usagef("nothing to set: give --statement-timeout, --connections or --rows")
	}
	return given, nil
}

func typedTimeout(typed string) (int64, error) {
	length, err := time.ParseDuration(typed)
	if err != nil || length < time.Millisecond || length%time.Millisecond != 0 {
		return 0, fmt.Errorf("not whole milliseconds: %q", typed)
	}
	return length.Milliseconds(), nil
}

func typedCount(typed string) (int64, error) {
	n, err := strconv.ParseInt(typed, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("no count: %q", typed)
	}
	return n, nil
}

func tellBudget(w *strings.Builder, b budgetOf) {
	shown := map[string]string{"statement_timeout": "no limit", "connections": "no limit", "rows": "no limit"}
	if b.StatementTimeoutMS != nil {
		shown["statement_timeout"] = (time.Duration(*b.StatementTimeoutMS) * time.Millisecond).String()
	}
	if b.Connections != nil {
		shown["connections"] = groupedInt(int64(*b.Connections)) + " transactions at once"
	}
	if b.Rows != nil {
		shown["rows"] = groupedInt(int64(*b.Rows)) + " changed by one statement"
	}
	for _, own := range b.Own {
		shown[own] += " (its own)"
	}
	describe(w, "  ", []field{{"Statement timeout", shown["statement_timeout"]}, {"Connections", shown["connections"]}, {"Rows", shown["rows"]}})
	if b.UnkeptTables > 0 {
		fmt.Fprintf(w, "note: %d tables do not hold to budgets of rows yet: run nself tenant budget keep\n", b.UnkeptTables)
	}
}
