package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	tokenReply = `access_token: accessToken token_type: tokenType expires_at: expiresAt session_id: sessionId
		user_id: userId tenant_id: tenantId role`

	mintTokenMutation = `mutation ($user: uuid!, $tenant: String, $ttl: Int) {
		reply: mintToken(userId: $user, tenant: $tenant, ttlSeconds: $ttl) { ` + tokenReply + ` }
	}`
)

// accessToken is a token that was just made.
type accessToken struct {
	AccessToken string     `json:"access_token"`
	TokenType   string     `json:"token_type"`
	ExpiresAt   *time.Time `json:"expires_at"`
	SessionID   string     `json:"session_id"`
	UserID      string     `json:"user_id"`
	TenantID    *string    `json:"tenant_id"`
	Role        string     `json:"role"`
}

func (p *program) tokenCommands() *cobra.Command {
	return group("token", "Mint and end tokens", `Mint tokens for users, as the operator; list and end the sessions that tokens belong
to; replace the key that signs them.`,
		p.mintCommand(), p.impersonateCommand(), p.sessionsCommand(), p.revokeCommand(), p.rotateKeyCommand())
}

func (p *program) mintCommand() *cobra.Command {
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
	ttl := lifeFlag(cmd, "its life, such as 15m or 24h (the installation's default)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{}
		if err := given(cmd, variables, "tenant"); err != nil {
			return err
		}
		if err := ttl.given(variables); err != nil {
			return err
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		if variables["user"], err = findUser(cmd.Context(), client, args[0]); err != nil {
			return err
		}
		return p.handOut(cmd, handing{mintTokenMutation, "Token for " + args[0]}, variables)
	}
	return cmd
}

// life is the flag --ttl.
type life struct {
	cmd *cobra.Command
	ttl time.Duration
}

func lifeFlag(cmd *cobra.Command, help string) *life {
	l := &life{cmd: cmd}
	cmd.Flags().DurationVar(&l.ttl, "ttl", 0, help)
	return l
}

// given sets the variable ttl, in seconds, where the flag was given.
func (l *life) given(variables map[string]any) error {
	if !l.cmd.Flags().Changed("ttl") {
		return nil
	}
	if l.ttl < time.Second || l.ttl%time.Second != 0 {
		return usagef("--ttl %s is not a whole number of seconds, at least 1s", l.ttl)
	}
	variables["ttl"] = int64(l.ttl / time.Second)
	return nil
}

// handing is a mutation that answers with a token, and what that token is.
type handing struct{ document, what string }

// handOut prints the token alone on stdout, and what it is on stderr.
func (p *program) handOut(cmd *cobra.Command, h handing, variables map[string]any) error {
	made, err := act[accessToken](cmd.Context(), p, h.document, variables)
	if err != nil {
		return err
	}
	say(p.stderr, clean(fmt.Sprintf("%s as %s, until %s", h.what, made.Role, when(made.ExpiresAt))))
	return p.print(made, func(w *strings.Builder) { fmt.Fprintln(w, clean(made.AccessToken)) })
}
