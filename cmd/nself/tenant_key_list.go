package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

const listAPIKeysQuery = `query ($where: apiKeys_bool_exp!) {
	keys: apiKeys(where: $where, order_by: [{created_at: desc}, {id: asc}]) {
		tenant_id id name prefix role user_id created_by created_at expires_at last_used_at revoked_at
	}
}`

func (p *program) listKeysCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list <tenant>", Short: "List a tenant's API keys",
		Long: `List a tenant's API keys, the newest first, by the prefix they begin with; with --all
the revoked ones too. The keys themselves are kept nowhere.`,
		Example: `  nself tenant key list acme
  nself tenant key list acme --all --json`,
		Args: takes(1, 1),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those revoked")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, keys, err := p.keysOf(cmd.Context(), args[0], all)
		if err != nil {
			return err
		}
		return p.print(keys, func(w *strings.Builder) { writeKeys(w, keys) })
	}
	return cmd
}

// keysOf are a tenant and its API keys; those not revoked, or all.
func (p *program) keysOf(ctx context.Context, ref string, all bool) (tenant, []apiKey, error) {
	client, err := p.client()
	if err != nil {
		return tenant{}, nil, err
	}
	found, err := findTenant[tenant](ctx, client, lookup{document: namedTenantQuery, ref: ref})
	if err != nil {
		return tenant{}, nil, err
	}
	where := map[string]any{"tenant_id": map[string]any{"_eq": found.ID}}
	if !all {
		where["revoked_at"] = map[string]any{"_is_null": true}
	}
	reply := struct {
		Keys []apiKey `json:"keys"`
	}{Keys: []apiKey{}}
	err = client.Do(ctx, listAPIKeysQuery, map[string]any{"where": where}, &reply)
	return found, reply.Keys, err
}

func writeKeys(w *strings.Builder, keys []apiKey) {
	rows := make([][]string, len(keys))
	for i, k := range keys {
		rows[i] = []string{k.ID, k.beginning(), k.Name, k.Role, when(k.CreatedAt), when(k.ExpiresAt), when(k.LastUsedAt), when(k.RevokedAt)}
	}
	table(w, []string{"ID", "BEGINS WITH", "NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED", "REVOKED"}, rows)
}
