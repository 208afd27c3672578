package main

import "github.com/spf13/cobra"

const updateTenantMutation = `mutation ($tenant: String, $name: String, $slug: String) {
	reply: updateTenant(tenant: $tenant, name: $name, slug: $slug) { ` + tenantReply + ` }
}`

func (p *program) renameCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rename <tenant>",
		Short: "Change a tenant's name or slug",
		Long:  "Change a tenant's name, its slug, or both. A new slug is a new address; the old one ends.",
		Example: `  nself tenant rename acme --name "Acme Incorporated"
  nself tenant rename acme --slug acme-inc`,
		Args: takes(1, 1),
	}
	cmd.Flags().String("name", "", "the new name")
	cmd.Flags().String("slug", "", "the new slug")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0]}
		if err := given(cmd, variables, "name", "slug"); err != nil {
			return err
		}
		if len(variables) == 1 {
			return usagef("nothing to change: give --name, --slug or both")
		}
		return p.changeTenant(cmd, updateTenantMutation, variables, "renamed")
	}
	return cmd
}
