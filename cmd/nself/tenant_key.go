package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const createAPIKeyMutation = `mutation ($tenant: String, $name: String!, $role: String, $expires: timestamptz) {
	reply: createApiKey(tenant: $tenant, name: $name, role: $role, expiresAt: $expires) { ` + apiKeyReply + ` key }
}`

const apiKeyReply = `tenant_id: tenantId id name prefix role user_id: userId created_at: createdAt expires_at: expiresAt
	last_used_at: lastUsedAt revoked_at: revokedAt`

// apiKey is an API key as its table and actions tell it.
type apiKey struct {
	TenantID   string     `json:"tenant_id"`
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix"`
	Role       string     `json:"role"`
	UserID     string     `json:"user_id"`
	CreatedBy  *string    `json:"created_by,omitempty"` // of the table alone
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	Key        string     `json:"key,omitempty"` // only where it was just made
}

// keyMark is what every API key begins with; its prefix follows.
const keyMark = "nsk_"

// beginning is what the key begins with, to recognise it by.
func (k apiKey) beginning() string { return keyMark + k.Prefix }

func (p *program) keyCommands() *cobra.Command {
	return group("key", "Manage a tenant's API keys", `Make, list and revoke the API keys of a tenant, by which machines act in it in one
role: admin, member or guest.`,
		p.createKeyCommand(), p.listKeysCommand(), p.revokeKeyCommand())
}

func (p *program) createKeyCommand() *cobra.Command {
	var expires string
	cmd := &cobra.Command{
		Use:   "create <tenant> <name>",
		Short: "Make an API key",
		Long: `Make an API key, by which a machine acts in the tenant in one role. The key alone is
printed on stdout, once, and kept nowhere; what it is for is said on stderr. --expires
is a time from now (720h), a day (2027-01-31: it ends as that day begins, UTC) or a
time (2027-01-31T12:00:00Z); without it the key is good until it is revoked.`,
		Example: `  nself tenant key create acme "nightly export"
  KEY=$(nself tenant key create acme ci --role admin --expires 720h)`,
		Args: takes(2, 2),
	}
	cmd.Flags().String("role", "", "admin, member or guest (member)")
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends: 720h, 2027-01-31 or 2027-01-31T12:00:00Z (never)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0], "name": args[1]}
		if err := given(cmd, variables, "role", "expires"); err != nil {
			return err
		}
		if expires != "" {
			end, err := endOf(expires, time.Now())
			if err != nil {
				return err
			}
			variables["expires"] = end.Format(time.RFC3339)
		}
		return p.createKey(cmd.Context(), args[0], variables)
	}
	return cmd
}

func (p *program) createKey(ctx context.Context, tenantRef string, variables map[string]any) error {
	made, err := act[apiKey](ctx, p, createAPIKeyMutation, variables)
	if err != nil {
		return err
	}
	until := "until it is revoked"
	if made.ExpiresAt != nil {
		until = "until " + when(made.ExpiresAt)
	}
	say(p.stderr, clean(fmt.Sprintf("API key %s (%s) of %s as %s, %s; it is shown this once", made.Name, made.beginning(), tenantRef, made.Role, until)))
	return p.print(made, func(w *strings.Builder) { fmt.Fprintln(w, clean(made.Key)) })
}

// endOf is the time that --expires names: a duration from now, a day or a time, and in
// the future.
func endOf(typed string, now time.Time) (time.Time, error) {
	end, err := time.Parse(time.RFC3339, typed)
	if err != nil {
		end, err = time.Parse(time.DateOnly, typed)
	}
	if err != nil {
		var life time.Duration
		if life, err = time.ParseDuration(typed); err == nil {
			end = now.Add(life)
		}
	}
	switch {
	case err != nil:
		return end, usagef("--expires %q is neither a time from now (720h), a day (2027-01-31) nor a time (2027-01-31T12:00:00Z)", shorten(typed))
	case !end.After(now):
		return end, usagef("--expires %s is not in the future", shorten(typed))
	}
	return end.UTC(), nil
}
