package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/text"
)

const listPlansQuery = `query { plans(order_by: [{position: asc}, {code: asc}]) { code name price_minor currency per_seat trial_days } }`

// plan is what a tenant may subscribe to. The price is for a month, of each seat where
// PerSeat; TrialDays are of a tenant's first subscription.
type plan struct {
	Code       string `json:"code"`
	Name       string `json:"name"`
	PriceMinor bigint `json:"price_minor"`
	Currency   string `json:"currency"`
	PerSeat    bool   `json:"per_seat"`
	TrialDays  int    `json:"trial_days"`
}

func (p *program) plansCommand() *cobra.Command {
	return &cobra.Command{
		Use: "plans", Short: "List the plans and their prices",
		Long: `List the plans and what they cost a month. A seat is a member of the tenant; a trial is of
its first subscription.`,
		Example: `  nself billing plans
  nself billing plans --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			reply := struct {
				Plans []plan `json:"plans"`
			}{Plans: []plan{}}
			if err := client.Do(cmd.Context(), listPlansQuery, nil, &reply); err != nil {
				return err
			}
			return p.print(reply.Plans, func(w *strings.Builder) {
				rows := make([][]string, len(reply.Plans))
				for i, plan := range reply.Plans {
					rows[i] = []string{plan.Code, plan.Name, plan.price(), plan.trial()}
				}
				table(w, []string{"CODE", "NAME", "PRICE", "TRIAL"}, rows)
			})
		},
	}
}

func (p plan) price() string {
	switch {
	case p.PriceMinor == 0:
		return "free"
	case p.PerSeat:
		return text.Money(int64(p.PriceMinor), p.Currency) + " a seat"
	}
	return text.Money(int64(p.PriceMinor), p.Currency)
}

func (p plan) trial() string {
	if p.TrialDays == 0 {
		return ""
	}
	return strconv.Itoa(p.TrialDays) + " days"
}
