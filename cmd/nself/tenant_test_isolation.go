package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/doctor"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/isolation/drill"
)

// drillCandidates is how many active tenants are looked at for two that have rows.
const drillCandidates = 50

func (p *program) testIsolationCommand() *cobra.Command {
	var tables, tenants []string
	cmd := &cobra.Command{
		Use:   "test-isolation",
		Short: "Try the wall between two tenants as the least role",
		Long: `Try the wall with two tenants that have rows, in every declared table that nself_app
may read, and in every partition that it may name: each sees its own rows and none of
the other's, nobody sees anything without a context, and neither can insert, move,
update, delete or truncate anything of the other's; as a service, and in every role with
and without a member. Updates and deletes are tried without a condition, too. All of it
happens in one transaction that is rolled back; the rows of the two tenants are locked
for as long, so take staging where they have many.

DATABASE_URL connects as nself_app, or as a role that may become it. A superuser, an
owner and whoever bypasses row-level security are refused: they would prove nothing.
nself_app cannot list tenants, so name two by id; slugs, and the choice of two where
--tenants is left out, are asked of Hasura (HASURA_GRAPHQL_ENDPOINT).

The exit code is 0 where the wall held, 1 where something leaked or nothing was proved
(with --tables: where one check of theirs was not), 2 for arguments. A line with a dash
proves nothing: there are no rows to see, or the attempt failed before the wall was met.
The last line counts them.`,
		Example: `  nself tenant test-isolation --tenants 8f14e45f-ceea-467f-a8f1-0a1f5b6d2c11,c9f0f895-fb98-4b91-a1d5-7a1a36c2b5e0
  nself tenant test-isolation --tables crm.contacts,crm.deals --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := p.drillConfig(cmd.Context(), tables, tenants)
			if err != nil {
				return err
			}
			return p.testIsolation(cmd.Context(), config)
		},
	}
	cmd.Flags().StringSliceVar(&tables, "tables", nil, "only these tables, schema.table")
	cmd.Flags().StringSliceVar(&tenants, "tenants", nil, "the two tenants, by id or slug (default: two that have rows)")
	return cmd
}

func (p *program) testIsolation(ctx context.Context, config drill.Config) error {
	conn, err := doctor.Connect(ctx, p.getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing is left to write
	report, err := drill.Run(ctx, conn, config)
	if err != nil {
		return err
	}
	if err := p.print(report, func(w *strings.Builder) { p.drilled(w, report) }); err != nil {
		return err
	}
	if !report.Held {
		return errTold
	}
	return nil
}

// drilled writes a line for every check, and one that says what comes of them.
func (p *program) drilled(w *strings.Builder, report drill.Report) {
	leaks, proved := 0, 0
	for _, c := range report.Checks {
		sign := p.mark(!c.Leak)
		switch {
		case c.Leak:
			leaks++
		case c.Proved:
			proved++
		default:
			sign = "-"
		}
		fmt.Fprintln(w, sign+" "+clean(c.Table+": "+c.Name+": "+c.Detail))
	}
	verdict := "the wall held"
	switch {
	case leaks > 0:
		verdict = "the wall leaks"
	case !report.Held:
		verdict = "not proved: see the lines with a dash, and take tenants that have rows in these tables"
	}
	told := fmt.Sprintf("%s: %s and %s as %s, %d checks proved, %d leaks", verdict, report.Tenants[0].Name, report.Tenants[1].Name, report.Role, proved, leaks)
	if report.Unproved > 0 {
		told += fmt.Sprintf("; %d checks could not be made (-)", report.Unproved)
	}
	fmt.Fprintln(w, p.mark(report.Held)+" "+clean(told))
}

// drillConfig reads the flags, and asks Hasura for what they do not tell.
func (p *program) drillConfig(ctx context.Context, tables, tenants []string) (drill.Config, error) {
	var config drill.Config
	if p.getenv("DATABASE_URL") == "" {
		return config, usagef("DATABASE_URL is not set")
	}
	for _, text := range tables {
		var name isolation.Name
		if err := name.UnmarshalText([]byte(text)); err != nil {
			return config, usagef("--tables: %s", shorten(err.Error()))
		}
		config.Tables = append(config.Tables, name)
	}
	var err error
	switch len(tenants) {
	case 0:
		config.Tenants, err = p.activeTenants(ctx)
	case 2:
		config.Tenants, err = p.namedTenants(ctx, tenants)
	default:
		err = usagef("--tenants names %d tenants; it takes two, with a comma between", len(tenants))
	}
	return config, err
}

// namedTenants are tenants given by id, which needs no one's help, or by slug.
func (p *program) namedTenants(ctx context.Context, refs []string) ([]drill.Tenant, error) {
	var found []drill.Tenant
	for _, ref := range refs {
		if parsed, err := id.Parse[id.Tenant](ref); err == nil {
			found = append(found, drill.Tenant{ID: parsed, Name: ref})
			continue
		}
		if p.endpointSetting() == "" {
			return nil, usagef("--tenants: %q is no id; for slugs set HASURA_GRAPHQL_ENDPOINT, as nself_app cannot list tenants", shorten(ref))
		}
		client, err := p.client()
		if err != nil {
			return nil, err
		}
		one, err := findTenant[tenant](ctx, client, lookup{document: `query ($where: tenants_bool_exp!) { tenants(where: $where) { id slug } }`, ref: ref})
		if err != nil {
			return nil, err
		}
		parsed, err := id.Parse[id.Tenant](one.ID)
		if err != nil {
			return nil, err
		}
		found = append(found, drill.Tenant{ID: parsed, Name: one.Slug})
	}
	if found[0].ID == found[1].ID {
		return nil, usagef("--tenants names the same tenant twice; it takes two")
	}
	return found, nil
}

// activeTenants asks Hasura for tenants of which two may have rows.
func (p *program) activeTenants(ctx context.Context) ([]drill.Tenant, error) {
	if p.endpointSetting() == "" {
		return nil, usagef("name two tenants with --tenants, or set HASURA_GRAPHQL_ENDPOINT: nself_app cannot list them")
	}
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	var reply struct {
		Tenants []tenant `json:"tenants"`
	}
	variables := map[string]any{"where": map[string]any{"status": map[string]any{"_eq": "active"}}, "limit": drillCandidates}
	if err := client.Do(ctx, listTenantsQuery, variables, &reply); err != nil {
		return nil, err
	}
	found := make([]drill.Tenant, len(reply.Tenants))
	for i, one := range reply.Tenants {
		parsed, err := id.Parse[id.Tenant](one.ID)
		if err != nil {
			return nil, errors.New("a tenant in Hasura's answer has no id")
		}
		found[i] = drill.Tenant{ID: parsed, Name: one.Slug}
	}
	return found, nil
}
