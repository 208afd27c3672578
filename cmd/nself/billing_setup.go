package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/text"
)

const setupBillingMutation = `mutation ($webhook_url: String) {
	reply: setupBilling(webhookUrl: $webhook_url) {
		prices { plan addon price_id: priceId amount_minor: amountMinor currency state }
		webhook_endpoint: webhookEndpoint webhook_state: webhookState webhook_secret: webhookSecret
	}
}`

// billingSetup is what plans and add-ons have at Stripe. The secret is told but where the
// endpoint was made just now.
type billingSetup struct {
	Prices          []stripePrice `json:"prices"`
	WebhookEndpoint *string       `json:"webhook_endpoint"`
	WebhookState    *string       `json:"webhook_state"`
	WebhookSecret   *string       `json:"webhook_secret"`
}

// stripePrice is the price of a plan or of an add-on; the other is nil.
type stripePrice struct {
	Plan        *string `json:"plan"`
	Addon       *string `json:"addon"`
	PriceID     string  `json:"price_id"`
	AmountMinor bigint  `json:"amount_minor"`
	Currency    string  `json:"currency"`
	State       string  `json:"state"`
}

func (p *program) setupBillingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make products, prices and the webhook endpoint at Stripe",
		Long: `Make at Stripe what is missing there: a product and a price for each plan and add-on that
costs something, and with --webhook-url the endpoint that Stripe tells of changes. A price
that was changed here becomes a new one there, which new subscribers pay. To run it again
is safe, and changes what differs. The endpoint's secret is told only when it was made: it
belongs into STRIPE_WEBHOOK_SECRET.`,
		Example: `  nself billing setup --webhook-url https://api.example.com/webhooks/stripe
  nself billing setup --json`,
		Args: takes(0, 0),
	}
	cmd.Flags().String("webhook-url", "", "where Stripe reaches the server's /webhooks/stripe (no endpoint is made)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		variables := map[string]any{}
		if err := given(cmd, variables, "webhook-url"); err != nil {
			return err
		}
		made, err := act[billingSetup](cmd.Context(), p, setupBillingMutation, variables)
		if err != nil {
			return err
		}
		return p.print(made, func(w *strings.Builder) { p.writeSetup(w, made) })
	}
	return cmd
}

func (p *program) writeSetup(w *strings.Builder, made billingSetup) {
	rows := make([][]string, len(made.Prices))
	for i, price := range made.Prices {
		of := "plan " + value(price.Plan)
		if price.Addon != nil {
			of = "add-on " + *price.Addon
		}
		rows[i] = []string{of, text.Money(int64(price.AmountMinor), price.Currency), price.PriceID, price.State}
	}
	table(w, []string{"OF", "PRICE", "AT STRIPE", "STATE"}, rows)
	if made.WebhookEndpoint != nil {
		p.done(w, "Webhook endpoint %s: %s", *made.WebhookEndpoint, cmp.Or(value(made.WebhookState), "unchanged"))
	}
	if made.WebhookSecret != nil {
		fmt.Fprintln(w, "  Its secret, told this once: "+clean(*made.WebhookSecret))
		fmt.Fprintln(w, "  Add it to the server's STRIPE_WEBHOOK_SECRET; until then its events are refused.")
	}
}
