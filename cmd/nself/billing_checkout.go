package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	checkoutMutation = `mutation ($tenant: String, $plan: String!, $success_url: String, $cancel_url: String, $idempotency_key: String) {
		reply: createCheckoutSession(tenant: $tenant, plan: $plan, successUrl: $success_url, cancelUrl: $cancel_url, idempotencyKey: $idempotency_key) {
			operation_id: operationId url expires_at: expiresAt } }`
	portalMutation = `mutation ($tenant: String, $return_url: String, $idempotency_key: String) {
		reply: createPortalSession(tenant: $tenant, returnUrl: $return_url, idempotencyKey: $idempotency_key) { url } }`
)

// page is one of Stripe's, made for one customer. Whoever has its address acts as them.
type page struct {
	OperationID string     `json:"operation_id,omitempty"`
	URL         string     `json:"url"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty"`
}

func (p *program) checkoutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkout <tenant> <plan>",
		Short: "Make a page where a tenant subscribes",
		Long: `Make a page at Stripe where the tenant's owner enters a card and subscribes to the plan. Its
address is printed on stdout; an earlier page that is still open is closed.`,
		Example: `  nself billing checkout acme pro
  nself billing checkout acme pro --success-url https://acme.example.com/welcome`,
		Args: takes(2, 2),
	}
	cmd.Flags().String("success-url", "", "where the browser goes then (the tenant's own address)")
	cmd.Flags().String("cancel-url", "", "where it goes from the page's way back (the tenant's own address)")
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{"tenant": args[0], "plan": args[1]}, &checks{}
		check.given(cmd, variables, "success-url", "cancel-url", "idempotency-key")
		if err := check.err(); err != nil {
			return err
		}
		made, err := act[page](cmd.Context(), p, checkoutMutation, variables)
		if err != nil {
			return err
		}
		if made.ExpiresAt != nil {
			say(p.stderr, clean("The page is open until "+when(made.ExpiresAt)))
		}
		return p.print(made, func(w *strings.Builder) { w.WriteString(clean(made.URL) + "\n") })
	}
	return cmd
}

func (p *program) portalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "portal <tenant>",
		Short: "Make a page where a tenant manages what it pays",
		Long: `Make a page at Stripe where the tenant's owner changes the card, sees the invoices and ends
the subscription. Its address is printed on stdout, and is good for a short while.`,
		Example: `  nself billing portal acme
  nself billing portal acme --return-url https://acme.example.com/settings`,
		Args: takes(1, 1),
	}
	cmd.Flags().String("return-url", "", "where the page's way back leads (the tenant's own address)")
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{"tenant": args[0]}, &checks{}
		check.given(cmd, variables, "return-url", "idempotency-key")
		if err := check.err(); err != nil {
			return err
		}
		made, err := act[page](cmd.Context(), p, portalMutation, variables)
		if err != nil {
			return err
		}
		return p.print(made, func(w *strings.Builder) { w.WriteString(clean(made.URL) + "\n") })
	}
	return cmd
}
