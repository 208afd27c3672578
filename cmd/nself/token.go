package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const mintTokenMutation = `mutation ($user: uuid!, $tenant: String, $ttl: Int) {
	reply: mintToken(userId: $user, tenant: $tenant, ttlSeconds: $ttl) {
		access_token: accessToken token_type: tokenType expires_at: expiresAt session_id: sessionId
		user_id: userId tenant_id: tenantId role
	}
}`

type token struct {
	AccessToken string     `json:"access_token"`
	TokenType   string     `json:"token_type"`
	ExpiresAt   *time.Time `json:"expires_at"`
	SessionID   string     `json:"session_id"`
	UserID      string     `json:"user_id"`
	TenantID    *string    `json:"tenant_id"`
	Role        string     `json:"role"`
}

func (p *program) tokenCommands() *cobra.Command {
	return group("token", "Mint tokens", "Mint tokens for users, as the operator.", p.mintCommand())
}

func (p *program) mintCommand() *cobra.Command {
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "mint <user>",
		Short: "Mint a token for a user",
		Long: `Mint a token for a user: in a tenant the user is a member of, or without --tenant in
none (role user). The token alone is printed on stdout, so that it can be captured;
what it is for is said on stderr.`,
		Example: `  nself token mint ada@example.com --tenant acme
  TOKEN=$(nself token mint ada@example.com --tenant acme --ttl 1h)`,
		Args: takes(1, 1),
	}
	cmd.Flags().String("tenant", "", "id or slug of the tenant")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "its life, such as 15m or 24h (the installation's default)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{}
		if err := given(cmd, variables, "tenant"); err != nil {
			return err
		}
		if cmd.Flags().Changed("ttl") {
			if ttl < time.Second || ttl%time.Second != 0 {
				return usagef("--ttl %s is not a whole number of seconds, at least 1s", ttl)
			}
			variables["ttl"] = int64(ttl / time.Second)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		if variables["user"], err = findUser(cmd.Context(), client, args[0]); err != nil {
			return err
		}
		minted, err := act[token](cmd.Context(), p, mintTokenMutation, variables)
		if err != nil {
			return err
		}
		say(p.stderr, clean(fmt.Sprintf("Token for %s as %s, until %s", args[0], minted.Role, when(minted.ExpiresAt))))
		return p.print(minted, func(w *strings.Builder) { fmt.Fprintln(w, clean(minted.AccessToken)) })
	}
	return cmd
}
