package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/id"
)

const revokeAPIKeyMutation = `mutation ($tenant: String, $key: uuid!) {
	reply: revokeApiKey(tenant: $tenant, apiKeyId: $key) { ` + apiKeyReply + ` }
}`

func (p *program) revokeKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke <tenant> <prefix or id>", Short: "Revoke an API key",
		Long: `Revoke an API key, named by its id or by what it begins with, as far as no other key
begins so. It is refused everywhere within a second, for good.`,
		Example: `  nself tenant key revoke acme nsk_4fq2xz7a`,
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := p.findKey(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			revoked, err := act[apiKey](cmd.Context(), p, revokeAPIKeyMutation, map[string]any{"tenant": args[0], "key": key})
			if err != nil {
				return err
			}
			return p.print(revoked, func(w *strings.Builder) {
				p.done(w, "API key revoked: %s (%s) of %s", revoked.Name, revoked.beginning(), args[0])
			})
		},
	}
}

// findKey turns an id, or the beginning of a key that is not revoked, into its id.
func (p *program) findKey(ctx context.Context, tenantRef, ref string) (string, error) {
	if parsed, err := id.Parse[id.APIKey](ref); err == nil {
		return parsed.String(), nil
	}
	if strings.TrimPrefix(ref, keyMark) == "" {
		return "", usagef("%q is neither an API key's id nor what one begins with", ref)
	}
	found, keys, err := p.keysOf(ctx, tenantRef, false)
	if err != nil {
		return "", err
	}
	var fit []apiKey
	for _, k := range keys {
		if k.beginsLike(ref) {
			fit = append(fit, k)
		}
	}
	switch len(fit) {
	case 0:
		return "", fmt.Errorf("%s has no API key that begins with %q; nself tenant key list %s shows them", found.Slug, cut(ref, 12), found.Slug)
	case 1:
		return fit[0].ID, nil
	}
	told := make([]string, len(fit))
	for i, k := range fit {
		told[i] = fmt.Sprintf("%s %q (%s)", k.beginning(), k.Name, k.ID)
	}
	return "", fmt.Errorf("several API keys of %s begin with %q: name one by id, or more of it: %s", found.Slug, cut(ref, 12), strings.Join(told, ", "))
}

// beginsLike reports whether the key begins with what was typed, or is what was typed
// as far as can be told: of a whole key only the beginning is known here.
func (k apiKey) beginsLike(typed string) bool {
	typed = strings.TrimPrefix(typed, keyMark)
	return strings.HasPrefix(k.Prefix, typed) || strings.HasPrefix(typed, k.Prefix+"_")
}
