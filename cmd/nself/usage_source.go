package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const (
	sourceReply = `table meter tenant_column: tenantColumn amount_column: amountColumn value_column: valueColumn time_column: timeColumn built_in: builtIn`

	removeSourceMutation = `mutation ($table: String!, $meter: String!) { reply: removeMeterSource(table: $table, meter: $meter) { table meter } }`

	listSourcesQuery = `query { sources: meterSources { ` + sourceReply + ` } meters { code aggregation } }`
)

// source is a table whose events are usage of a meter.
type source struct {
	Table        string  `json:"table"`
	Meter        string  `json:"meter"`
	TenantColumn string  `json:"tenant_column"`
	AmountColumn *string `json:"amount_column"`
	ValueColumn  *string `json:"value_column"`
	TimeColumn   *string `json:"time_column"`
	BuiltIn      bool    `json:"built_in"`
}

func (p *program) sourceCommands() *cobra.Command {
	return group("source", "Manage the tables that usage is counted from", `List, add and remove the tables whose rows are usage: Hasura tells of each change by an event
trigger, and the server counts it.`,
		p.listSourcesCommand(), p.addSourceCommand(), p.removeSourceCommand())
}

// sources are all sources, and the meters' aggregations by code.
func (p *program) sources(ctx context.Context) ([]source, map[string]string, error) {
	client, err := p.client()
	if err != nil {
		return nil, nil, err
	}
	reply := struct {
		Sources []source `json:"sources"`
		Meters  []meter  `json:"meters"`
	}{Sources: []source{}}
	err = client.Do(ctx, listSourcesQuery, nil, &reply)
	aggregations := map[string]string{}
	for _, m := range reply.Meters {
		aggregations[m.Code] = m.Aggregation
	}
	return reply.Sources, aggregations, err
}

func (p *program) listSourcesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tables that usage is counted from",
		Long: `List the tables that usage is counted from, with the columns that say whose it is, how
much, which value and when.`,
		Example: `  nself usage source list
  nself usage source list --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			sources, _, err := p.sources(cmd.Context())
			if err != nil {
				return err
			}
			return p.print(sources, func(w *strings.Builder) {
				rows := make([][]string, len(sources))
				for i, s := range sources {
					rows[i] = []string{s.Table, s.Meter, s.TenantColumn, value(s.AmountColumn), value(s.ValueColumn), value(s.TimeColumn)}
				}
				table(w, []string{"TABLE", "METER", "TENANT COLUMN", "AMOUNT COLUMN", "VALUE COLUMN", "TIME COLUMN"}, rows)
			})
		},
	}
}

func (p *program) removeSourceCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove <schema.table> <meter>", Short: "Count usage from a table no more",
		Long: `Count usage from a table no more; what was counted stays. Where no meter is left for the
table, take its event trigger out of the metadata: what it delivers is parked. --yes
answers the question, and is needed where there is no terminal to ask on.`,
		Example: `  nself usage source remove crm.documents documents --yes`, Args: takes(2, 2),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			doing := fmt.Sprintf("removing the source %s of %s", shorten(args[0]), shorten(args[1]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("Rows of %s are counted as %s no more.", args[0], args[1])); err != nil {
				return err
			}
		}
		removed, err := act[source](cmd.Context(), p, removeSourceMutation, map[string]any{"table": args[0], "meter": args[1]})
		if err != nil {
			return err
		}
		told := map[string]string{"table": removed.Table, "meter": removed.Meter}
		return p.print(told, func(w *strings.Builder) {
			p.done(w, "Source removed: %s counts as %s no more", removed.Table, removed.Meter)
		})
	}
	return cmd
}
