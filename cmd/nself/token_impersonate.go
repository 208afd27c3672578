package main

import (
	"context"

	"github.com/spf13/cobra"
)

const impersonateMutation = `mutation ($user: uuid!, $tenant: String, $reason: String!, $ttl: Int) {
	reply: impersonate(userId: $user, tenant: $tenant, reason: $reason, ttlSeconds: $ttl) { ` + tokenReply + ` }
}`

func (p *program) impersonateCommand() *cobra.Command {
	var tenantRef string
	cmd := &cobra.Command{
		Use:   "impersonate <user>",
		Short: "Act as a user, on the record",
		Long: `Mint a short-lived token that acts as a user, in one tenant or in none. That the
operator sits in the user's place is in the token's claims, and with the reason in
the list of sessions and in the audit log, where the tenant's owners read it. The
token alone is printed on stdout; the rest on stderr. nself token revoke ends it.`,
		Example: `  nself token impersonate ada@example.com --tenant acme --reason "ticket 4711: empty invoice list"
  TOKEN=$(nself token impersonate ada@example.com --reason "ticket 4711" --ttl 5m)`,
		Args: takes(1, 1),
	}
	flags := cmd.Flags()
	flags.StringVar(&tenantRef, "tenant", "", "id or slug of the tenant")
	flags.String("reason", "", "why; it is kept, and can be read")
	ttl := lifeFlag(cmd, "its life, at most 1h (15m)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{}
		if err := given(cmd, variables, "tenant", "reason"); err != nil {
			return err
		}
		if variables["reason"] == nil {
			return usagef("--reason is needed: why you act as %s", shorten(args[0]))
		}
		if err := ttl.given(variables); err != nil {
			return err
		}
		var err error
		if variables["user"], err = p.findPerson(cmd.Context(), tenantRef, args[0]); err != nil {
			return err
		}
		return p.handOut(cmd, handing{impersonateMutation, "Token to act as " + args[0]}, variables)
	}
	return cmd
}

// findPerson turns an id or e-mail into the id of a member of the tenant, who may be an
// identity local to it; where no tenant is named, of a user.
func (p *program) findPerson(ctx context.Context, tenantRef, ref string) (string, error) {
	if tenantRef != "" {
		return p.findMember(ctx, tenantRef, ref)
	}
	client, err := p.client()
	if err != nil {
		return "", err
	}
	return findUser(ctx, client, ref)
}
