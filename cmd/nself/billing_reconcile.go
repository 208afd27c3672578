package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const reconcileBillingMutation = `mutation ($tenant: String, $fix: Boolean) {
	reply: reconcileBilling(tenant: $tenant, fix: $fix) { customers subscriptions invoices charges fixed drift { tenant_id: tenantId object_id: objectId what here there } }
}`

// comparison is what a comparison with Stripe found: how much was compared, how many
// differences are gone, and those that are left.
type comparison struct {
	Customers     int           `json:"customers"`
	Subscriptions int           `json:"subscriptions"`
	Invoices      int           `json:"invoices"`
	Charges       int           `json:"charges"`
	Fixed         int           `json:"fixed"`
	Drift         []stripeDrift `json:"drift"`
}

// stripeDrift is where Stripe has something else than is kept here. What is not there, or of
// nobody, is nil.
type stripeDrift struct {
	TenantID *string `json:"tenant_id"`
	Slug     string  `json:"tenant_slug,omitempty"`
	ObjectID string  `json:"object_id"`
	What     string  `json:"what"`
	Here     *string `json:"here"`
	There    *string `json:"there"`
}

func (p *program) reconcileBillingCommand() *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use: "reconcile [tenant]", Short: "Compare what is kept here with Stripe",
		Long: `Compare the customers, subscriptions, invoices and charges (of the last 90 days) that are
kept here with Stripe's, of one tenant or of all, and tell each difference. --fix brings
what differs into line with Stripe, and takes in what is missing here: after a database was
restored, too. Where a difference is left, the exit code is 1. It may take minutes.`,
		Example: `  nself billing reconcile
  nself billing reconcile acme --fix
  nself billing reconcile --json`,
		Args: takes(0, 1),
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "bring what differs into line with Stripe")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"fix": fix}
		if len(args) > 0 {
			variables["tenant"] = args[0]
		}
		found, err := p.compare(cmd.Context(), variables)
		if err != nil {
			return err
		}
		if err := p.print(found, func(w *strings.Builder) { p.writeComparison(w, found) }); err != nil {
			return err
		}
		if len(found.Drift) > 0 {
			return fmt.Errorf("%s left", number(len(found.Drift), "difference"))
		}
		return nil
	}
	return cmd
}

// compare has the server compare, and adds the tenants' slugs.
func (p *program) compare(ctx context.Context, variables map[string]any) (comparison, error) {
	found, err := actAtLength[comparison](ctx, p, reconcileBillingMutation, variables)
	if err != nil || len(found.Drift) == 0 {
		found.Drift = []stripeDrift{}
		return found, err
	}
	var ids []string
	for _, d := range found.Drift {
		if d.TenantID != nil && !slices.Contains(ids, *d.TenantID) {
			ids = append(ids, *d.TenantID)
		}
	}
	client, err := p.client()
	if err != nil {
		return found, err
	}
	slugs, err := slugsOf(ctx, client, ids)
	for i, d := range found.Drift {
		found.Drift[i].Slug = slugs[value(d.TenantID)]
	}
	return found, err
}

func (p *program) writeComparison(w *strings.Builder, found comparison) {
	compared := fmt.Sprintf("%s, %s, %s, %s", number(found.Customers, "customer"), number(found.Subscriptions, "subscription"),
		number(found.Invoices, "invoice"), number(found.Charges, "charge"))
	if len(found.Drift) > 0 {
		rows := make([][]string, len(found.Drift))
		for i, d := range found.Drift {
			rows[i] = []string{cmp.Or(d.Slug, value(d.TenantID)), d.ObjectID, d.What, cut(value(d.Here), 60), cut(value(d.There), 60)}
		}
		table(w, []string{"TENANT", "OBJECT", "WHAT", "HERE", "AT STRIPE"}, rows)
	} else {
		p.done(w, "Everything is as Stripe has it")
	}
	fixed := ""
	if found.Fixed > 0 {
		fixed = number(found.Fixed, "difference")
	}
	describe(w, "  ", []field{{"Compared", compared}, {"Fixed", fixed}})
}
