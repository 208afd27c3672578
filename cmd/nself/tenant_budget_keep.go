package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/budget"
	"github.com/nself/tenancy/internal/doctor"
)

// keptTables are those that hold to budgets of rows now and did not before.
type keptTables struct {
	Tables []string `json:"tables"`
}

func (p *program) keepBudgetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keep", Short: "Make your tables hold tenants to their budgets of rows",
		Long: `Make every table of yours hold its tenants to their budgets of rows: those behind the
wall, and those in schemas of tenants. One table after the other gets its triggers, in a
transaction of its own that waits at most 200 ms for it and is tried again, so no writer
waits for longer. A tenant's schema that is made or migrated later has them of itself.

Set a budget of rows first: until there is one nothing is kept, for keeping has its price.
It connects to DATABASE_URL, as nself_owner or a role that may act for it.`,
		Example: `  nself tenant budget keep`, Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			kept, err := p.keepBudgets(cmd.Context())
			if err != nil {
				return err
			}
			return p.print(kept, func(w *strings.Builder) {
				for _, table := range kept.Tables {
					p.done(w, "%s holds to budgets of rows", table)
				}
				if len(kept.Tables) == 0 {
					w.WriteString("Every table holds to budgets of rows already.\n")
				}
			})
		},
	}
}

func (p *program) keepBudgets(ctx context.Context) (keptTables, error) {
	conn, err := doctor.Connect(ctx, p.getenv("DATABASE_URL"))
	if err != nil {
		return keptTables{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	kept, err := budget.Keep(ctx, conn)
	return keptTables{Tables: append([]string{}, kept...)}, err
}
