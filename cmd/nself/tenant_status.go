package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const (
	suspendTenantMutation  = `mutation ($tenant: String!, $reason: String) { reply: suspendTenant(tenant: $tenant, reason: $reason) { ` + tenantReply + ` } }`
	activateTenantMutation = `mutation ($tenant: String!) { reply: activateTenant(tenant: $tenant) { ` + tenantReply + ` } }`
	restoreTenantMutation  = `mutation ($tenant: String!) { reply: restoreTenant(tenant: $tenant) { ` + tenantReply + ` } }`
)

func (p *program) suspendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suspend <tenant>",
		Short: "Put a tenant out of service until it is activated",
		Long: `Put a tenant out of service until it is activated: its sessions end, and every
channel refuses it from the next statement on. Nothing is deleted.`,
		Example: `  nself tenant suspend acme --reason "invoice 2026-10 unpaid"`,
		Args:    takes(1, 1),
	}
	cmd.Flags().String("reason", "", "why; owners and operators can read it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0]}
		if err := given(cmd, variables, "reason"); err != nil {
			return err
		}
		return p.changeTenant(cmd, suspendTenantMutation, variables, "suspended")
	}
	return cmd
}

func (p *program) activateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "activate <tenant>", Short: "Put a suspended tenant back in service",
		Long:    "Put a suspended tenant back in service. Its members sign in again.",
		Example: `  nself tenant activate acme`, Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeTenant(cmd, activateTenantMutation, map[string]any{"tenant": args[0]}, "activated")
		},
	}
}

func (p *program) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use: "restore <tenant>", Short: "Bring a deleted tenant back as it was",
		Long:    "Bring a deleted tenant back as it was. It can be restored until the date that delete and show print.",
		Example: `  nself tenant restore acme`, Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeTenant(cmd, restoreTenantMutation, map[string]any{"tenant": args[0]}, "restored")
		},
	}
}

// changeTenant sends a mutation that answers with the tenant and says what was done.
func (p *program) changeTenant(cmd *cobra.Command, document string, variables map[string]any, what string) error {
	changed, err := act[tenant](cmd.Context(), p, document, variables)
	if err != nil {
		return err
	}
	return p.print(changed, func(w *strings.Builder) {
		p.done(w, "Tenant %s: %s (ID: %s)", what, changed.Slug, changed.ID)
		describe(w, "  ", append([]field{{"Name", changed.Name}, {"Status", changed.Status}}, changed.ends()...))
	})
}
