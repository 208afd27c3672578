package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const resourceCredentialsMutation = `mutation ($tenant: String!, $kind: String!) {
		reply: tenantResourceCredentials(tenant: $tenant, kind: $kind) { tenant_id: tenantId kind generation made open endpoint region username secret scope }
	}`

// resourceCredentials are how a tenant's services reach its place.
type resourceCredentials struct {
	TenantID   string  `json:"tenant_id"`
	Kind       string  `json:"kind"`
	Generation int     `json:"generation"`
	Made       int     `json:"made"`
	Open       bool    `json:"open"`
	Endpoint   string  `json:"endpoint"`
	Region     *string `json:"region"`
	Username   string  `json:"username"`
	Secret     string  `json:"secret"`
	Scope      string  `json:"scope"`
}

func (p *program) resourceCredentialsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "credentials <tenant> redis|objects", Short: "Show the credentials of a tenant's place",
		Long: `Show how a tenant's services reach its place outside the database. It prints a secret, and
that it was shown stands in the audit log. For the operator alone.`,
		Example: `  nself tenant resource credentials acme redis
  nself tenant resource credentials acme objects --json`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := resourceKind(args[1]); err != nil {
				return err
			}
			shown, err := act[resourceCredentials](cmd.Context(), p, resourceCredentialsMutation, map[string]any{"tenant": args[0], "kind": args[1]})
			if err != nil {
				return err
			}
			return p.print(shown, func(w *strings.Builder) { tellCredentials(w, shown) })
		},
	}
}

func tellCredentials(w *strings.Builder, c resourceCredentials) {
	user, secret, scope := "User", "Password", "Keys and channels"
	if c.Kind == "objects" {
		user, secret, scope = "Access key id", "Secret access key", "Bucket"
	}
	fields := []field{{"Endpoint", c.Endpoint}}
	if c.Region != nil {
		fields = append(fields, field{"Region", *c.Region})
	}
	fields = append(fields, field{user, c.Username}, field{secret, c.Secret}, field{scope, c.Scope}, field{"State", credentialsState(c)})
	describe(w, "", fields)
}

func credentialsState(c resourceCredentials) string {
	switch {
	case c.Made < c.Generation:
		return fmt.Sprintf("being made (generation %d; %d stands)", c.Generation, c.Made)
	case !c.Open:
		return "closed: the tenant is out of service"
	}
	return fmt.Sprintf("open (generation %d)", c.Generation)
}
