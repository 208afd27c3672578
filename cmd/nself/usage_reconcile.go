package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const (
	driftReply = `{ tenant_id: tenantId meter period_start: periodStart total counted found_at: foundAt }`

	reconcileMutation = `mutation ($tenant: String!) { reply: reconcileUsage(tenant: $tenant) ` + driftReply + ` }`
	lastDriftQuery    = `query { reply: usageDrift ` + driftReply + ` }`

	tenantSlugsQuery = `query ($where: tenants_bool_exp!) { tenants(where: $where) { id slug } }`
)

// drift is a total that differs from what it is the total of.
type drift struct {
	TenantID    string    `json:"tenant_id"`
	Slug        string    `json:"tenant_slug,omitempty"`
	Meter       string    `json:"meter"`
	PeriodStart time.Time `json:"period_start"`
	Total       amount    `json:"total"`
	Counted     amount    `json:"counted"`
	FoundAt     time.Time `json:"found_at"`
}

func (p *program) reconcileCommand() *cobra.Command {
	var last bool
	cmd := &cobra.Command{
		Use: "reconcile [tenant]", Short: "Compare totals with what they are totals of",
		Long: `Compare every total of a tenant's open periods with its records, with the members and with
the objects that are stored, and tell each that differs; the exit code is 1 then. With
--last, tell what the servers found of all tenants when they last did so, which is once a
day. No total is changed.`,
		Example: `  nself usage reconcile acme
  nself usage reconcile --last --json`,
		Args: takes(0, 1),
	}
	cmd.Flags().BoolVar(&last, "last", false, "what the servers found last, of all tenants")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query, variables := lastDriftQuery, map[string]any{}
		switch {
		case last == (len(args) > 0):
			return usagef("name a tenant or give --last, and not both")
		case !last:
			query, variables["tenant"] = reconcileMutation, args[0]
		}
		drifts, err := act[[]drift](cmd.Context(), p, query, variables)
		if err != nil {
			return err
		}
		if err := p.nameTenants(cmd.Context(), drifts); err != nil {
			return err
		}
		if len(drifts) == 0 {
			drifts = []drift{}
		}
		err = p.print(drifts, func(w *strings.Builder) { p.writeDrifts(w, drifts) })
		if err == nil && len(drifts) > 0 {
			err = fmt.Errorf("%s not what was counted", differ(len(drifts)))
		}
		return err
	}
	return cmd
}

func differ(totals int) string {
	if totals == 1 {
		return "1 total is"
	}
	return fmt.Sprintf("%d totals are", totals)
}

func (p *program) writeDrifts(w *strings.Builder, drifts []drift) {
	if len(drifts) == 0 {
		p.done(w, "every total is what was counted")
		return
	}
	rows := make([][]string, len(drifts))
	for i, d := range drifts {
		name := d.Slug
		if name == "" {
			name = d.TenantID
		}
		rows[i] = []string{name, d.Meter, when(&d.PeriodStart), grouped(d.Total.Decimal), grouped(d.Counted.Decimal), grouped(d.Total.Sub(d.Counted.Decimal))}
	}
	table(w, []string{"TENANT", "METER", "PERIOD", "TOTAL", "COUNTED", "DIFFERENCE"}, rows)
}

// nameTenants adds the slugs. A tenant that was purged meanwhile has none.
func (p *program) nameTenants(ctx context.Context, drifts []drift) error {
	if len(drifts) == 0 {
		return nil
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	ids := make([]string, len(drifts))
	for i, d := range drifts {
		ids[i] = d.TenantID
	}
	slugs, err := slugsOf(ctx, client, ids)
	for i, d := range drifts {
		drifts[i].Slug = slugs[d.TenantID]
	}
	return err
}

func slugsOf(ctx context.Context, client *hasuraapi.Client, ids []string) (map[string]string, error) {
	var reply struct {
		Tenants []tenant `json:"tenants"`
	}
	if len(ids) == 0 {
		return nil, nil
	}
	where := map[string]any{"id": map[string]any{"_in": ids}}
	err := client.Do(ctx, tenantSlugsQuery, map[string]any{"where": where}, &reply)
	slugs := map[string]string{}
	for _, t := range reply.Tenants {
		slugs[t.ID] = t.Slug
	}
	return slugs, err
}
