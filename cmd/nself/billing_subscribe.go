package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const (
	subscribeMutation = `mutation ($tenant: String, $plan: String!, $payment_method: String, $idempotency_key: String) {
		reply: subscribe(tenant: $tenant, plan: $plan, paymentMethod: $payment_method, idempotencyKey: $idempotency_key) ` + purchaseReply + ` }`
	changePlanMutation = `mutation ($tenant: String, $plan: String!, $idempotency_key: String) {
		reply: changePlan(tenant: $tenant, plan: $plan, idempotencyKey: $idempotency_key) ` + purchaseReply + ` }`
	cancelSubscriptionMutation = `mutation ($tenant: String, $at_period_end: Boolean, $idempotency_key: String) {
		reply: cancelSubscription(tenant: $tenant, atPeriodEnd: $at_period_end, idempotencyKey: $idempotency_key) ` + purchaseReply + ` }`
	resumeSubscriptionMutation = `mutation ($tenant: String, $idempotency_key: String) {
		reply: resumeSubscription(tenant: $tenant, idempotencyKey: $idempotency_key) ` + purchaseReply + ` }`
)

func (p *program) subscribeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "subscribe <tenant> <plan>",
		Short: "Subscribe a tenant to a plan",
		Long: `Subscribe a tenant to a plan: its customer is made at Stripe where there is none, and the
first period is paid. --payment-method is the id of one that was made for this customer
or for none; it may be left out where the customer has one, or the plan begins with a
trial. Where the first payment does not come, the exit code is 1, and the invoice can be
paid at the address that is told.`,
		Example: `  nself billing subscribe acme pro --payment-method pm_card_visa
  nself billing subscribe acme pro --json`,
		Args: takes(2, 2),
	}
	cmd.Flags().String("payment-method", "", "Stripe's id of a payment method (the customer's)")
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables, check := map[string]any{"tenant": args[0], "plan": args[1]}, &checks{}
		check.given(cmd, variables, "payment-method", "idempotency-key")
		if err := check.err(); err != nil {
			return err
		}
		return p.purchase(cmd.Context(), subscribeMutation, variables, fmt.Sprintf("Subscribed: %s to %s", args[0], args[1]))
	}
	return cmd
}

func (p *program) changePlanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "change <tenant> <plan>",
		Short: "Change the plan that a tenant pays for",
		Long: `Change the plan that a tenant pays for. A dearer one holds at once, and what it costs more
until the period ends is charged now; if that is declined, nothing is changed. To a
cheaper one the tenant goes when the period it has paid for ends.`,
		Example: `  nself billing change acme enterprise
  nself billing change acme starter --json`,
		Args: takes(2, 2),
	}
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0], "plan": args[1]}
		if err := given(cmd, variables, "idempotency-key"); err != nil {
			return err
		}
		return p.purchase(cmd.Context(), changePlanMutation, variables, fmt.Sprintf("Plan changed: %s to %s", args[0], args[1]))
	}
	return cmd
}

func (p *program) cancelSubscriptionCommand() *cobra.Command {
	var now, yes bool
	cmd := &cobra.Command{
		Use:   "cancel <tenant>",
		Short: "End a tenant's subscription",
		Long: `End a tenant's subscription as the period ends that it has paid for; until then nself
billing resume takes that back. With --now it ends at once, and what is left of the period
is credited. --yes answers the question, and is needed where there is no terminal to ask
on.`,
		Example: `  nself billing cancel acme
  nself billing cancel acme --now --yes`,
		Args: takes(1, 1),
	}
	cmd.Flags().BoolVar(&now, "now", false, "at once, not as the period ends")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0], "at_period_end": !now}
		end, did := "as its period ends", "Subscription of %s ends with its period"
		if now {
			end, did = "at once", "Subscription ended: %s"
		}
		if err := given(cmd, variables, "idempotency-key"); err != nil {
			return err
		}
		if !yes {
			doing := fmt.Sprintf("ending the subscription of %s", shorten(args[0]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("The subscription of %s ends %s.", args[0], end)); err != nil {
				return err
			}
		}
		return p.purchase(cmd.Context(), cancelSubscriptionMutation, variables, fmt.Sprintf(did, args[0]))
	}
	return cmd
}

func (p *program) resumeSubscriptionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume <tenant>", Short: "Keep a subscription that was to end",
		Long: `Keep a subscription that was to end with its period. One that has ended stays ended:
subscribe again.`,
		Example: `  nself billing resume acme`, Args: takes(1, 1),
	}
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0]}
		if err := given(cmd, variables, "idempotency-key"); err != nil {
			return err
		}
		return p.purchase(cmd.Context(), resumeSubscriptionMutation, variables, "Subscription goes on: "+args[0])
	}
	return cmd
}
