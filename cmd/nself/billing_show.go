package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/text"
)

// billingShown is what show prints with --json. What there is none of is nil.
type billingShown struct {
	tenant
	Account        *account        `json:"account"`
	NextStep       string          `json:"next_step"`
	Subscription   *subscription   `json:"subscription"`
	Customer       *customer       `json:"customer"`
	PaymentMethods []paymentMethod `json:"payment_methods"`
	Addons         []heldAddon     `json:"addons"`
	OpenInvoices   []invoice       `json:"open_invoices"`
	Operations     []operation     `json:"operations"`
	billed         billed
}

const planOfTenantQuery = `query ($where: tenants_bool_exp!) { tenants(where: $where) { id slug name status plan } }`

func (p *program) showBillingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show <tenant>", Short: "Show what a tenant buys and how its account stands",
		Long: `Show what a tenant buys and how its account stands: its subscription, what it pays by, its
add-ons, what is owed, and what happens next. With the --token of a user without a tenant:
of one that is the user's own and out of service for what it owes.`,
		Example: `  nself billing show acme
  nself billing show acme --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			found, err := findTenant[tenant](cmd.Context(), client, lookup{document: planOfTenantQuery, ref: args[0]})
			if closed(err) && !client.Operator() {
				return p.showOutside(cmd.Context(), client, args[0])
			}
			if err != nil {
				return err
			}
			state, err := billingOf(cmd.Context(), client, found.ID)
			if err != nil {
				return err
			}
			shown := billingShown{found, first(state.Accounts), state.nextStep(), first(state.Subscriptions), first(state.Customers),
				state.PaymentMethods, state.Addons, state.OpenInvoices, state.Operations, state}
			return p.print(shown, func(w *strings.Builder) { describe(w, "", shown.fields()) })
		},
	}
}

func (s billingShown) fields() []field {
	standing := s.billed.standing()
	if standing == "" {
		standing = "none"
	}
	fields := []field{{"Tenant", s.Slug}, {"Status", s.Status}, {"Plan", s.Plan}, {"Billing", standing}, {"Grace until", s.billed.graceUntil()}, {"Next step", s.NextStep}}
	if s.Subscription != nil {
		fields = append(fields, s.Subscription.fields()...)
	}
	fields = append(fields, field{"Add-ons", s.billed.addonsHeld()}, field{"Pays by", s.billed.paysBy()})
	if s.Customer != nil {
		fields = append(fields, s.Customer.fields()...)
	}
	for _, open := range s.OpenInvoices {
		fields = append(fields, field{"Owes", open.owed()})
	}
	for _, o := range s.Operations {
		fields = append(fields, field{"Under way", o.Kind + " since " + when(&o.CreatedAt) + " (operation " + o.ID + ")"})
	}
	return fields
}

func (s subscription) fields() []field {
	fields := []field{{"Subscription", s.ID}, {"At Stripe", s.Status}, {"Price", text.Money(int64(s.AmountMinor), s.Currency) + " a month"}}
	if s.Quantity > 1 {
		fields = append(fields, field{"Seats", groupedInt(int64(s.Quantity))})
	}
	return append(fields, field{"Period", when(&s.CurrentPeriodStart) + " to " + when(&s.CurrentPeriodEnd)}, field{"Trial until", when(s.TrialEnd)}, field{"Ended", when(s.EndedAt)})
}

func (c customer) fields() []field {
	balance := ""
	if c.BalanceMinor != 0 && c.Currency != nil {
		balance = text.Money(-int64(c.BalanceMinor), *c.Currency)
	}
	return []field{{"Credit", balance}, {"Customer", c.ID}, {"Deleted there", when(c.DeletedAt)}, {"Test clock", when(c.ClockAt)}}
}
