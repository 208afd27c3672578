package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	setSettingMutation = `mutation ($tenant: String, $key: String!, $value: jsonb!) {
		reply: setTenantSetting(tenant: $tenant, key: $key, value: $value) { tenant_id: tenantId key value updated_at: updatedAt }
	}`
	removeSettingMutation = `mutation ($tenant: String, $key: String!) {
		reply: removeTenantSetting(tenant: $tenant, key: $key) { tenant_id: tenantId key value updated_at: updatedAt }
	}`
	listSettingsQuery = `query ($where: tenants_bool_exp!, $settings: settings_bool_exp!) {
		tenants(where: $where) { slug settings(where: $settings, order_by: {key: asc}) { tenant_id key value updated_at } }
	}`
)

type setting struct {
	TenantID  string          `json:"tenant_id"`
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"`
	UpdatedAt *time.Time      `json:"updated_at"`
}

type settingsOf struct {
	Slug     string    `json:"slug"`
	Settings []setting `json:"settings"`
}

func (p *program) settingCommands() *cobra.Command {
	return group("setting", "Manage a tenant's settings", "Set, get, list and remove the settings of a tenant. A value is any JSON.",
		p.setSettingCommand(), p.getSettingCommand(), p.listSettingsCommand(), p.removeSettingCommand())
}

func (p *program) setSettingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set <tenant> <key> <value>", Short: "Set a setting",
		Long: "Set a setting. The value is JSON where it is valid JSON, and a string otherwise.",
		Example: `  nself tenant setting set acme locale fr
  nself tenant setting set acme features '{"beta": true, "seats": 12}'`,
		Args: takes(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			variables := map[string]any{"tenant": args[0], "key": args[1], "value": valueOf(args[2])}
			set, err := act[setting](cmd.Context(), p, setSettingMutation, variables)
			if err != nil {
				return err
			}
			return p.print(set, func(w *strings.Builder) { p.done(w, "Setting set: %s = %s", set.Key, compact(set.Value)) })
		},
	}
}

func valueOf(typed string) any {
	if json.Valid([]byte(typed)) {
		return json.RawMessage(typed)
	}
	return typed
}

func (p *program) getSettingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "get <tenant> <key>", Short: "Print a setting's value",
		Long: "Print a setting's value: a string as it is, anything else as JSON. With --json, always JSON.",
		Example: `  nself tenant setting get acme locale
  nself tenant setting get acme features --json`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := p.settingsOf(cmd.Context(), args[0], map[string]any{"key": map[string]any{"_eq": args[1]}})
			if err != nil {
				return err
			}
			if len(found.Settings) == 0 {
				return fmt.Errorf("%s has no setting %q; nself tenant setting list %s shows them", found.Slug, shorten(args[1]), found.Slug)
			}
			value := found.Settings[0].Value
			return p.print(value, func(w *strings.Builder) { fmt.Fprintln(w, shownValue(value)) })
		},
	}
}

// shownValue is a string without its quotes, line by line, and other JSON in one line.
func shownValue(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return compact(value)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n")
}

func compact(value json.RawMessage) string {
	var line bytes.Buffer
	if json.Compact(&line, value) != nil {
		return clean(string(value))
	}
	return escaped(line.String())
}

func (p *program) settingsOf(ctx context.Context, ref string, where map[string]any) (settingsOf, error) {
	client, err := p.client()
	if err != nil {
		return settingsOf{}, err
	}
	return findTenant[settingsOf](ctx, client, lookup{listSettingsQuery, ref, map[string]any{"settings": where}})
}

func (p *program) listSettingsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list <tenant>", Short: "List a tenant's settings",
		Long: "List a tenant's settings, by key. Long values are cut; --json prints them whole.",
		Example: `  nself tenant setting list acme
  nself tenant setting list acme --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := p.settingsOf(cmd.Context(), args[0], map[string]any{})
			if err != nil {
				return err
			}
			return p.print(found.Settings, func(w *strings.Builder) {
				rows := make([][]string, len(found.Settings))
				for i, s := range found.Settings {
					rows[i] = []string{s.Key, shorten(compact(s.Value)), when(s.UpdatedAt)}
				}
				table(w, []string{"KEY", "VALUE", "UPDATED"}, rows)
			})
		},
	}
}

func (p *program) removeSettingCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove <tenant> <key>", Short: "Remove a setting",
		Long:    "Remove a setting. Its last value is printed with --json.",
		Example: `  nself tenant setting remove acme locale`, Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			removed, err := act[setting](cmd.Context(), p, removeSettingMutation, map[string]any{"tenant": args[0], "key": args[1]})
			if err != nil {
				return err
			}
			return p.print(removed, func(w *strings.Builder) { p.done(w, "Setting removed: %s", removed.Key) })
		},
	}
}
