package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	setLimitMutation = `mutation ($tenant: String!, $meter: String!, $limit: bigint!, $enforcement: String, $expires: timestamptz, $reason: String) {
		reply: setTenantLimit(tenant: $tenant, meter: $meter, limit: $limit, enforcement: $enforcement, expiresAt: $expires, reason: $reason) { ` + limitReply + ` }
	}`
	removeLimitMutation = `mutation ($tenant: String!, $meter: String!) {
		reply: removeTenantLimit(tenant: $tenant, meter: $meter) { ` + limitReply + ` }
	}`
	limitReply = `tenant_id: tenantId meter limit enforcement reason expires_at: expiresAt created_at: createdAt updated_at: updatedAt`

	listLimitsQuery = `query ($where: tenantLimits_bool_exp!) {
		limits: tenantLimits(where: $where, order_by: [{meter: asc}]) {
			tenant_id meter limit enforcement reason expires_at created_at updated_at meter_details { unit } }
	}`
	// listLimitsToTenantQuery leaves out what a tenant's own roles may not see.
	listLimitsToTenantQuery = `query ($where: tenantLimits_bool_exp!) {
		limits: tenantLimits(where: $where, order_by: [{meter: asc}]) {
			tenant_id meter limit enforcement expires_at created_at updated_at meter_details { unit } }
	}`
)

// agreedLimit is what one tenant may use of a meter in place of what its plan says.
type agreedLimit struct {
	TenantID    string     `json:"tenant_id"`
	Meter       string     `json:"meter"`
	Limit       bigint     `json:"limit"`
	Enforcement string     `json:"enforcement"`
	Reason      *string    `json:"reason,omitempty"` // not told to the tenant
	ExpiresAt   *time.Time `json:"expires_at"`
	CreatedAt   *time.Time `json:"created_at"`
	UpdatedAt   *time.Time `json:"updated_at"`
}

// listedLimit is a limit with the unit to show it in.
type listedLimit struct {
	agreedLimit
	Meter struct {
		Unit string `json:"unit"`
	} `json:"meter_details"`
}

func (p *program) limitCommands() *cobra.Command {
	return group("limit", "Agree on limits with one tenant", `Set, list and remove the limits that were agreed with one tenant. They hold in place of
what its plan says, from the next decision on; what was used stays counted.`,
		p.setLimitCommand(), p.listLimitsCommand(), p.removeLimitCommand())
}

func (p *program) setLimitCommand() *cobra.Command {
	var soft bool
	var expires string
	cmd := &cobra.Command{
		Use: "set <tenant> <meter> <limit>", Short: "Set what a tenant may use of a meter",
		Long: `Set what a tenant may use of a meter, in place of what its plan says. The limit is a
whole number, a size such as 100GiB, or the word unlimited. Past a hard limit nothing is
granted; with --soft it warns and never blocks. --expires is a time from now (720h), a
day (2027-01-31: it ends as that day begins, UTC) or a time; the plan's limit holds again
from then on.`,
		Example: `  nself tenant limit set acme users 100
  nself tenant limit set acme storage 250GiB --expires 720h --reason "moves its archive"
  nself tenant limit set acme api_requests unlimited`,
		Args: takes(3, 3),
	}
	flags := cmd.Flags()
	flags.BoolVar(&soft, "soft", false, "warn, and never block")
	flags.StringVar(&expires, "expires", "", "when it ends: 720h, 2027-01-31 or 2027-01-31T12:00:00Z (never)")
	flags.String("reason", "", "why, for the log")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		most, err := typedLimit(args[2])
		if err != nil {
			return err
		}
		variables := map[string]any{"tenant": args[0], "meter": args[1], "limit": most, "enforcement": "hard"}
		if soft {
			variables["enforcement"] = "soft"
		}
		if err := given(cmd, variables, "expires", "reason"); err != nil {
			return err
		}
		if expires != "" {
			end, err := endOf(expires, time.Now())
			if err != nil {
				return err
			}
			variables["expires"] = end.Format(time.RFC3339)
		}
		set, err := act[agreedLimit](cmd.Context(), p, setLimitMutation, variables)
		if err != nil {
			return err
		}
		return p.print(set, func(w *strings.Builder) {
			p.done(w, "Limit set: %s of %s, %s, %s, %s", set.Meter, args[0], limitInUnit(int64(set.Limit), unitOf(set.Meter)), set.Enforcement, until(set.ExpiresAt))
		})
	}
	return cmd
}

// unitOf is the unit of a meter that is shown in another one: of the built-in storage.
func unitOf(meter string) string {
	if meter == "storage" {
		return bytesUnit
	}
	return ""
}

// until says how long a limit holds.
func until(expires *time.Time) string {
	if expires == nil {
		return "until it is removed"
	}
	return "until " + when(expires)
}

func (p *program) listLimitsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list <tenant>", Short: "List the limits that were agreed with a tenant",
		Long: `List the limits that were agreed with a tenant, by meter; those that have ended too, until
they are removed. What else it may use is its plan's: nself tenant usage shows all of it.`,
		Example: `  nself tenant limit list acme
  nself tenant limit list acme --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			limits, err := p.limitsOf(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			plain := make([]agreedLimit, len(limits))
			rows := make([][]string, len(limits))
			for i, l := range limits {
				plain[i] = l.agreedLimit
				rows[i] = []string{l.agreedLimit.Meter, limitInUnit(int64(l.Limit), l.Meter.Unit), l.Enforcement, when(l.ExpiresAt), when(l.UpdatedAt), shorten(value(l.Reason))}
			}
			return p.print(plain, func(w *strings.Builder) {
				table(w, []string{"METER", "LIMIT", "ENFORCEMENT", "EXPIRES", "SET", "REASON"}, rows)
			})
		},
	}
}

func (p *program) limitsOf(ctx context.Context, ref string) ([]listedLimit, error) {
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	found, err := findTenant[tenant](ctx, client, lookup{document: namedTenantQuery, ref: ref})
	if err != nil {
		return nil, err
	}
	var reply struct {
		Limits []listedLimit `json:"limits"`
	}
	variables := map[string]any{"where": map[string]any{"tenant_id": map[string]any{"_eq": found.ID}}}
	err = client.Do(ctx, listLimitsQuery, variables, &reply)
	if closed(err) && !client.Operator() {
		err = client.Do(ctx, listLimitsToTenantQuery, variables, &reply)
	}
	return reply.Limits, err
}

func (p *program) removeLimitCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove <tenant> <meter>", Short: "Remove a limit that was agreed with a tenant",
		Long: `Remove a limit that was agreed with a tenant: what its plan says holds again, from the
next decision on. --yes answers the question, and is needed where there is no terminal
to ask on.`,
		Example: `  nself tenant limit remove acme users --yes`, Args: takes(2, 2),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			doing := fmt.Sprintf("removing the limit on %s of %s", shorten(args[1]), shorten(args[0]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("What %s's plan says of %s holds again at once.", args[0], args[1])); err != nil {
				return err
			}
		}
		removed, err := act[agreedLimit](cmd.Context(), p, removeLimitMutation, map[string]any{"tenant": args[0], "meter": args[1]})
		if err != nil {
			return err
		}
		return p.print(removed, func(w *strings.Builder) {
			p.done(w, "Limit removed: %s of %s (was %s)", removed.Meter, args[0], limitInUnit(int64(removed.Limit), unitOf(removed.Meter)))
		})
	}
	return cmd
}
