package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (p *program) billingCommands() *cobra.Command {
	return group("billing", "What tenants buy, and what Stripe has of it", `Subscribe tenants to plans and look after what follows: payments, invoices, add-ons, and
the events by which Stripe tells of changes. Prices and the webhook endpoint are set up
once, with nself billing setup. Amounts are in the currency of the plan.`,
		p.plansCommand(), p.showBillingCommand(), p.subscribeCommand(), p.changePlanCommand(), p.cancelSubscriptionCommand(), p.resumeSubscriptionCommand(),
		p.cardCommands(), p.addonCommands(), p.checkoutCommand(), p.portalCommand(), p.invoicesCommand(), p.paymentsCommand(),
		p.setupBillingCommand(), p.billingEventCommands(), p.reconcileBillingCommand(), p.clockCommands(), p.simulateCommand())
}

// purchaseReply are the fields of a change's outcome. What a browser needs to confirm a
// payment is not asked for: it is good for paying.
const purchaseReply = `{ operation_id: operationId state subscription_id: subscriptionId status plan next_plan: nextPlan current_period_end: currentPeriodEnd
	trial_end: trialEnd cancel_at_period_end: cancelAtPeriodEnd hosted_invoice_url: hostedInvoiceUrl }`

// purchased is what became of a change of what a tenant buys. What there is none of is nil.
type purchased struct {
	OperationID       string     `json:"operation_id"`
	State             string     `json:"state"`
	SubscriptionID    *string    `json:"subscription_id"`
	Status            *string    `json:"status"`
	Plan              string     `json:"plan"`
	NextPlan          *string    `json:"next_plan"`
	CurrentPeriodEnd  *time.Time `json:"current_period_end"`
	TrialEnd          *time.Time `json:"trial_end"`
	CancelAtPeriodEnd bool       `json:"cancel_at_period_end"`
	HostedInvoiceURL  *string    `json:"hosted_invoice_url"`
}

// Stripe's words for a subscription.
const (
	statusIncomplete = "incomplete" // the first payment has not come
	statusTrialing   = "trialing"
	statusPastDue    = "past_due"
	statusCanceled   = "canceled"
)

// operationOpen is the state of an operation that goes on by itself.
const operationOpen = "open"

// incomplete reports whether the first payment has not come.
func (b purchased) incomplete() bool { return value(b.Status) == statusIncomplete }

func (b purchased) fields() []field {
	plan := b.Plan
	if b.NextPlan != nil {
		plan = fmt.Sprintf("%s until %s, then %s", b.Plan, when(b.CurrentPeriodEnd), *b.NextPlan)
	}
	fields := []field{{"Status", value(b.Status)}, {"Plan", plan}}
	switch {
	case b.TrialEnd != nil && value(b.Status) == statusTrialing:
		fields = append(fields, field{"Trial ends", when(b.TrialEnd)})
	case b.CancelAtPeriodEnd:
		fields = append(fields, field{"Ends", when(b.CurrentPeriodEnd)})
	case !b.incomplete() && value(b.Status) != statusCanceled:
		fields = append(fields, field{"Period ends", when(b.CurrentPeriodEnd)})
	}
	if b.incomplete() {
		fields = append(fields, field{"Pay at", value(b.HostedInvoiceURL)})
	}
	return fields
}

// unfinished says what a change still waits for; nil where it is done.
func (b purchased) unfinished() error {
	switch {
	case b.State == operationOpen:
		return fmt.Errorf("operation %s is not done yet; it goes on by itself", b.OperationID)
	case b.incomplete():
		return fmt.Errorf("the first payment of %s has not come", value(b.SubscriptionID))
	}
	return nil
}

// purchase sends a change of what a tenant buys and says what was done. One that waits for
// something is told, and is an error.
func (p *program) purchase(ctx context.Context, document string, variables map[string]any, did string) error {
	changed, err := act[purchased](ctx, p, document, variables)
	if err != nil {
		return err
	}
	left := changed.unfinished()
	err = p.print(changed, func(w *strings.Builder) {
		if left != nil {
			did = "Not yet: " + did
		}
		fmt.Fprintln(w, p.mark(left == nil)+" "+clean(did))
		describe(w, "  ", changed.fields())
	})
	return cmp.Or(err, left)
}

// retryable adds the flag that makes an action safe to send again.
func retryable(flags *pflag.FlagSet) {
	flags.String("idempotency-key", "", "makes it safe to try again")
}

// checks collects what is wrong with a command's flags, so that all of it is told at once.
type checks struct{ settings }

func (c *checks) check(err error) {
	if err != nil {
		c.fault(err.Error())
	}
}

// given is the function given for each flag on its own.
func (c *checks) given(cmd *cobra.Command, variables map[string]any, flags ...string) {
	for _, name := range flags {
		c.check(given(cmd, variables, name))
	}
}

// listing are the flags of a list that may be long.
func listing(flags *pflag.FlagSet, limit *int) {
	flags.IntVar(limit, "limit", 100, "at most so many; 0 is all")
}

// limited sets the variable: one more than is shown, so that it is known whether there are more.
func (c *checks) limited(variables map[string]any, limit int) {
	switch {
	case limit < 0:
		c.fault(fmt.Sprintf("--limit %d is less than 0", limit))
	case limit > 0:
		variables["limit"] = limit + 1
	}
}

// shownOf leaves limit rows of those found and says on stderr where there were more.
func shownOf[T any](p *program, found []T, limit int) []T {
	if limit == 0 || len(found) <= limit {
		return found
	}
	say(p.stderr, fmt.Sprintf("nself: these are the %d newest, and there are more; --limit 0 lists all", limit))
	return found[:limit]
}
