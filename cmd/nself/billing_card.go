package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const setPaymentMethodMutation = `mutation ($tenant: String, $payment_method: String!, $idempotency_key: String) {
	reply: setPaymentMethod(tenant: $tenant, paymentMethod: $payment_method, idempotencyKey: $idempotency_key) ` + purchaseReply + ` }`

func (p *program) cardCommands() *cobra.Command {
	return group("card", "Set what a tenant pays by", `Set the card, or whatever else Stripe takes, that a tenant pays by. nself billing show tells
which it is.`,
		p.setCardCommand())
}

func (p *program) setCardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set <tenant> <payment method>", Short: "Let a tenant pay by this card from now on",
		Long: `Let a tenant pay by this payment method from now on. Where an invoice is overdue, it is
paid by it at once; if that is declined, the card stays set, and the exit code is 1.`,
		Example: `  nself billing card set acme pm_card_visa`, Args: takes(2, 2),
	}
	retryable(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0], "payment_method": args[1]}
		if err := given(cmd, variables, "idempotency-key"); err != nil {
			return err
		}
		return p.purchase(cmd.Context(), setPaymentMethodMutation, variables, fmt.Sprintf("Card set: %s pays by %s", args[0], args[1]))
	}
	return cmd
}
