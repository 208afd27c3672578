package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	defineMeterMutation = `mutation ($code: String!, $name: String, $unit: String, $aggregation: String, $deciding: String, $lease_size: bigint, $on_outage: String, $default_limit: bigint) {
		reply: defineMeter(code: $code, name: $name, unit: $unit, aggregation: $aggregation, deciding: $deciding,
			leaseSize: $lease_size, onOutage: $on_outage, defaultLimit: $default_limit) {
			code name unit aggregation deciding lease_size: leaseSize on_outage: onOutage default_limit: defaultLimit built_in: builtIn created_at: createdAt
		}
	}`
	removeMeterMutation = `mutation ($code: String!) { reply: removeMeter(code: $code) { code } }`

	listMetersQuery = `query { meters(order_by: [{built_in: desc}, {code: asc}]) {
		code name unit aggregation deciding lease_size on_outage default_limit built_in created_at } }`
	// listMetersToTenantQuery leaves out how a meter decides, which is the operator's.
	listMetersToTenantQuery = `query { meters(order_by: [{code: asc}]) { code name unit aggregation default_limit } }`
)

// meter is what usage is counted in. What a role may not see is empty.
type meter struct {
	Code         string     `json:"code"`
	Name         string     `json:"name"`
	Unit         string     `json:"unit"`
	Aggregation  string     `json:"aggregation"`
	Deciding     string     `json:"deciding,omitempty"`
	LeaseSize    bigint     `json:"lease_size,omitempty"`
	OnOutage     string     `json:"on_outage,omitempty"`
	DefaultLimit bigint     `json:"default_limit"`
	BuiltIn      bool       `json:"built_in,omitempty"`
	CreatedAt    *time.Time `json:"created_at,omitempty"`
}

func (p *program) meterCommands() *cobra.Command {
	return group("meter", "Manage what usage is counted in", `List the meters that usage is counted in, and define and remove those of your own.`,
		p.listMetersCommand(), p.defineMeterCommand(), p.removeMeterCommand())
}

func (p *program) listMetersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the meters",
		Long: `List the meters, the built-in ones first: how their totals come about, how they decide,
and the limit where a plan says nothing of them.`,
		Example: `  nself usage meter list
  nself usage meter list --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			meters, err := p.meters(cmd.Context())
			if err != nil {
				return err
			}
			return p.print(meters, func(w *strings.Builder) {
				rows := make([][]string, len(meters))
				for i, m := range meters {
					rows[i] = []string{m.Code, m.Name, m.Unit, m.Aggregation, m.decides(), m.OnOutage, limitInUnit(int64(m.DefaultLimit), m.Unit)}
				}
				table(w, []string{"CODE", "NAME", "UNIT", "AGGREGATION", "DECIDING", "ON OUTAGE", "DEFAULT LIMIT"}, rows)
			})
		},
	}
}

// decides says how the meter decides, and of leases how large they are.
func (m meter) decides() string {
	if m.Deciding == "leased" {
		return fmt.Sprintf("%s by %s", m.Deciding, groupedInt(int64(m.LeaseSize)))
	}
	return m.Deciding
}

func (p *program) meters(ctx context.Context) ([]meter, error) {
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	reply := struct {
		Meters []meter `json:"meters"`
	}{Meters: []meter{}}
	err = client.Do(ctx, listMetersQuery, nil, &reply)
	if closed(err) && !client.Operator() {
		err = client.Do(ctx, listMetersToTenantQuery, nil, &reply)
	}
	return reply.Meters, err
}

func (p *program) defineMeterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "define <code>", Short: "Define a meter, or change one",
		Long: `Define a meter of your own, or change what is given of one that is there. Its aggregation
says what a period's total is: sum or count of the amounts, max, unique (how many
different values) or level (what there is now, as a table has it); it cannot change once
the meter is used. A strict meter is decided in the database; a leased one in a server's
memory, over parts of at most --lease-size units.`,
		Example: `  nself usage meter define documents --aggregation count --name Documents
  nself usage meter define tokens --aggregation sum --deciding leased --lease-size 5000 --on-outage allow
  nself usage meter define tokens --default-limit 1000000`,
		Args: takes(1, 1),
	}
	flags := cmd.Flags()
	flags.String("name", "", "what it is called (the code)")
	flags.String("unit", "", "what its amounts are, such as pages")
	flags.String("aggregation", "", "sum, count, max, unique or level (sum)")
	flags.String("deciding", "", "strict or leased (strict)")
	flags.String("lease-size", "", "the most that one server holds at once (100)")
	flags.String("on-outage", "", "while the database is away: refuse or allow (refuse)")
	flags.String("default-limit", "", "of plans that say nothing of it: a limit or unlimited (unlimited)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, err := meterVariables(cmd, args[0])
		if err != nil {
			return err
		}
		defined, err := act[meter](cmd.Context(), p, defineMeterMutation, variables)
		if err != nil {
			return err
		}
		return p.print(defined, func(w *strings.Builder) {
			p.done(w, "Meter defined: %s", defined.Code)
			describe(w, "  ", []field{{"Name", defined.Name}, {"Unit", defined.Unit}, {"Aggregation", defined.Aggregation}, {"Deciding", defined.decides()},
				{"On Outage", defined.OnOutage}, {"Default Limit", limitInUnit(int64(defined.DefaultLimit), "")}})
		})
	}
	return cmd
}

// meterVariables are the code and the flags that were given.
func meterVariables(cmd *cobra.Command, code string) (map[string]any, error) {
	variables := map[string]any{"code": code}
	if err := given(cmd, variables, "name", "unit", "aggregation", "deciding", "lease-size", "on-outage", "default-limit"); err != nil {
		return nil, err
	}
	if typed, is := variables["lease_size"].(string); is {
		size, err := strconv.ParseInt(typed, 10, 64)
		if err != nil || size < 1 {
			return nil, usagef("--lease-size %q is no whole number above 0", shorten(typed))
		}
		variables["lease_size"] = size
	}
	if typed, is := variables["default_limit"].(string); is {
		limit, err := typedLimit(typed)
		if err != nil {
			return nil, err
		}
		variables["default_limit"] = limit
	}
	return variables, nil
}

func (p *program) removeMeterCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove <code>", Short: "Remove a meter that was never used",
		Long: `Remove a meter of your own that was never used, with what plans and tenants were allowed
of it and the tables it is counted from. --yes answers the question, and is needed where
there is no terminal to ask on.`,
		Example: `  nself usage meter remove documents --yes`, Args: takes(1, 1),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			doing := fmt.Sprintf("removing the meter %s", shorten(args[0]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("The meter %s goes, with its limits and sources.", args[0])); err != nil {
				return err
			}
		}
		removed, err := act[meter](cmd.Context(), p, removeMeterMutation, map[string]any{"code": args[0]})
		if err != nil {
			return err
		}
		return p.print(map[string]string{"code": removed.Code}, func(w *strings.Builder) { p.done(w, "Meter removed: %s", removed.Code) })
	}
	return cmd
}
