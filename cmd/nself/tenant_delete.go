package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const deleteTenantMutation = `mutation ($tenant: String, $slug: String!) {
	reply: deleteTenant(tenant: $tenant, confirmSlug: $slug) { ` + tenantReply + ` }
}`

func (p *program) deleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete <tenant>",
		Short: "Take a tenant out of service; it can be restored for a while",
		Long: `Take a tenant out of service. It can be restored until the date printed, then it is
purged. Its subscription ends with the period that is paid. The slug has to be typed
again; --yes answers that, and is needed where there is no terminal to ask on.`,
		Example: `  nself tenant delete acme
  nself tenant delete acme --yes`,
		Args: takes(1, 1),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes && !p.interactive() {
			return usagef("deleting %q needs --yes where there is no terminal to ask on", shorten(args[0]))
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		found, err := findTenant[tenant](cmd.Context(), client, lookup{document: namedTenantQuery, ref: args[0]})
		if err != nil {
			return err
		}
		if !yes {
			typed, err := p.ask(cmd.Context(), fmt.Sprintf("Type %s to delete %s: ", found.Slug, found.Name))
			if err != nil {
				return err
			}
			if typed != found.Slug {
				return fmt.Errorf("nothing was deleted: %q is not %s", shorten(typed), found.Slug)
			}
		}
		return p.changeTenant(cmd, deleteTenantMutation, map[string]any{"tenant": found.ID, "slug": found.Slug}, "deleted")
	}
	return cmd
}
