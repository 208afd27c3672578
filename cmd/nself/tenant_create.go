package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const createTenantMutation = `mutation ($name: String!, $slug: String, $plan: String, $owner: uuid, $strategy: String, $idempotency_key: String) {
	reply: createTenant(name: $name, slug: $slug, plan: $plan, ownerUserId: $owner, strategy: $strategy, idempotencyKey: $idempotency_key) { ` + tenantReply + ` }
}`

func (p *program) createCommand() *cobra.Command {
	var owner string
	cmd := &cobra.Command{
		Use:   "create <name>",
		Short: "Make a tenant with its owner",
		Long: `Make a tenant with its owner. Without --slug one is made from the name; a slug that
is taken or reserved is refused and another proposed. The same --idempotency-key
again, with the same values, answers with the tenant made the first time.`,
		Example: `  nself tenant create "Acme Corp" --slug acme --plan pro --owner ada@example.com
  nself tenant create "Techco" --owner 7e1f7a6e-9a2b-4c63-8f0e-0a4f3c1d2b5a --strategy schema`,
		Args: takes(1, 1),
	}
	flags := cmd.Flags()
	flags.String("slug", "", "the tenant's name in its address: a-z, 0-9 and hyphens")
	flags.String("plan", "", "code of a plan (free)")
	flags.StringVar(&owner, "owner", "", "who owns it: a user's id or e-mail; with --token the user of the token")
	flags.String("strategy", "", "rls: shared tables, or schema: a schema of its own (the installation's default)")
	flags.String("idempotency-key", "", "makes it safe to try again")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"name": args[0]}
		if err := given(cmd, variables, "slug", "plan", "strategy", "idempotency-key"); err != nil {
			return err
		}
		if cmd.Flags().Changed("owner") {
			client, err := p.client()
			if err != nil {
				return err
			}
			user, err := findUser(cmd.Context(), client, owner)
			if err != nil {
				return err
			}
			variables["owner"] = user
		} else if p.token == "" {
			return usagef("--owner is needed: the id or e-mail of the user who owns the tenant")
		}
		made, err := act[tenant](cmd.Context(), p, createTenantMutation, variables)
		if err != nil {
			return err
		}
		if owner == "" {
			owner = made.OwnerUserID
		}
		return p.print(made, func(w *strings.Builder) {
			p.done(w, "Tenant created: %s (ID: %s)", made.Slug, made.ID)
			describe(w, "  ", []field{{"Owner", owner}, {"Plan", made.Plan}, {"URL", made.URL}})
		})
	}
	return cmd
}
