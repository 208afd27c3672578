package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/text"
)

const (
	setAddonMutation = `mutation ($tenant: String, $addon: String!, $quantity: Int!, $idempotency_key: String) {
		reply: setAddon(tenant: $tenant, addon: $addon, quantity: $quantity, idempotencyKey: $idempotency_key) ` + purchaseReply + ` }`

	listAddonsQuery = `query {
		addons(order_by: [{position: asc}, {code: asc}]) { code name price_minor currency limits(order_by: {meter: asc}) { meter amount } }
		meters { code unit } }`
)

// addon is what a tenant may buy beside its plan. Amounts are what one of it adds to the
// plan's limit, in the meter's own unit.
type addon struct {
	Code       string `json:"code"`
	Name       string `json:"name"`
	PriceMinor bigint `json:"price_minor"`
	Currency   string `json:"currency"`
	Limits     []struct {
		Meter  string `json:"meter"`
		Amount bigint `json:"amount"`
	} `json:"limits"`
}

func (p *program) addonCommands() *cobra.Command {
	return group("addon", "Manage what tenants buy beside their plan", `List the add-ons there are, and set how many of one a tenant has. What a tenant has of them:
nself billing show.`,
		p.listAddonsCommand(), p.setAddonCommand())
}

func (p *program) listAddonsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the add-ons",
		Long: "List the add-ons: what one costs a month, and what it adds to the limits of a plan.",
		Example: `  nself billing addon list
  nself billing addon list --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			reply := struct {
				Addons []addon `json:"addons"`
				Meters []meter `json:"meters"`
			}{Addons: []addon{}}
			if err := client.Do(cmd.Context(), listAddonsQuery, nil, &reply); err != nil {
				return err
			}
			units := map[string]string{}
			for _, m := range reply.Meters {
				units[m.Code] = m.Unit
			}
			return p.print(reply.Addons, func(w *strings.Builder) {
				rows := make([][]string, len(reply.Addons))
				for i, a := range reply.Addons {
					rows[i] = []string{a.Code, a.Name, text.Money(int64(a.PriceMinor), a.Currency), a.adds(units)}
				}
				table(w, []string{"CODE", "NAME", "PRICE", "ADDS"}, rows)
			})
		},
	}
}

// adds says what one of the add-on adds, by the units of the meters.
func (a addon) adds(units map[string]string) string {
	adds := make([]string, len(a.Limits))
	for i, l := range a.Limits {
		adds[i] = limitInUnit(int64(l.Amount), units[l.Meter]) + " " + l.Meter
	}
	return strings.Join(adds, ", ")
}

func (p *program) setAddonCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set <tenant> <add-on> <quantity>", Short: "Set how many of an add-on a tenant has",
		Long: `Set how many of an add-on a tenant has beside its plan; 0 takes it away. What
more of it costs until the period ends is charged now, and where that is declined nothing is
changed; what less of it is worth goes on the next invoice. In a trial, more of it ends the
trial.`,
		Example: `  nself billing addon set acme extra-storage 2
  nself billing addon set acme extra-storage 0`,
		Args: takes(3, 3),
	}
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{"tenant": args[0], "addon": args[1]}, &checks{}
		quantity, err := strconv.ParseInt(args[2], 10, 32)
		if err != nil || quantity < 0 {
			check.fault(fmt.Sprintf("the quantity %q is no whole number of at least 0", shorten(args[2])))
		}
		variables["quantity"] = quantity
		check.given(cmd, variables, "idempotency-key")
		if err := check.err(); err != nil {
			return err
		}
		return p.purchase(cmd.Context(), setAddonMutation, variables, fmt.Sprintf("Add-on set: %s has %d of %s", args[0], quantity, args[1]))
	}
	return cmd
}
