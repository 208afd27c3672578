package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const listTenantsQuery = `query ($where: tenants_bool_exp!, $limit: Int) {
	tenants(where: $where, limit: $limit, order_by: {slug: asc}) { ` + tenantColumns + ` }
}`

const myTenantsQuery = `query { tenants: myTenants { id slug name status plan } }`

var statuses = []string{"active", "suspended", "deleted"}

// tenantFilter is what list is asked for; empty means any, and limit 0 all.
type tenantFilter struct {
	status, plan, search string
	limit                int
}

func (p *program) listCommand() *cobra.Command {
	var filter tenantFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tenants by slug",
		Long: `List tenants, by slug. With --token, the tenants its user is a member of. An empty
list is no error.`,
		Example: `  nself tenant list
  nself tenant list --status suspended --json
  nself tenant list --search corp --limit 20`,
		Args: takes(0, 0),
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.status, "status", "", "only "+strings.Join(statuses, ", "))
	flags.StringVar(&filter.plan, "plan", "", "only those on this plan")
	flags.StringVar(&filter.search, "search", "", "only those whose slug or name holds this text")
	flags.IntVar(&filter.limit, "limit", 0, "at most so many; 0 is all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := given(cmd, map[string]any{}, "status", "plan", "search"); err != nil {
			return err
		}
		switch {
		case filter.status != "" && !slices.Contains(statuses, filter.status):
			return usagef("--status %q is none of %s", shorten(filter.status), strings.Join(statuses, ", "))
		case filter.limit < 0:
			return usagef("--limit %d is less than 0", filter.limit)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		tenants, err := listTenants(cmd.Context(), client, filter)
		if err != nil {
			return err
		}
		return p.print(tenants, func(w *strings.Builder) { writeTenants(w, tenants) })
	}
	return cmd
}

func listTenants(ctx context.Context, client *hasuraapi.Client, filter tenantFilter) ([]tenant, error) {
	reply := struct {
		Tenants []tenant `json:"tenants"`
	}{Tenants: []tenant{}}
	if !client.Operator() {
		err := client.Do(ctx, myTenantsQuery, nil, &reply)
		return filter.apply(reply.Tenants), err
	}
	variables := map[string]any{"where": filter.where()}
	if filter.limit > 0 {
		variables["limit"] = filter.limit
	}
	err := client.Do(ctx, listTenantsQuery, variables, &reply)
	return reply.Tenants, err
}

// where is the filter in Hasura's words.
func (f tenantFilter) where() map[string]any {
	where := map[string]any{}
	if f.status != "" {
		where["status"] = map[string]any{"_eq": f.status}
	}
	if f.plan != "" {
		where["plan"] = map[string]any{"_eq": f.plan}
	}
	if f.search != "" {
		where["_or"] = contains(f.search, "slug", "name")
	}
	return where
}

// contains matches rows with text in one of the columns, whatever its case.
func contains(text string, columns ...string) []map[string]any {
	literal := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
	either := make([]map[string]any, 0, len(columns))
	for _, column := range columns {
		either = append(either, map[string]any{column: map[string]any{"_ilike": "%" + literal + "%"}})
	}
	return either
}

// apply is the filter over the few tenants of one user.
func (f tenantFilter) apply(tenants []tenant) []tenant {
	kept := slices.DeleteFunc(tenants, func(t tenant) bool {
		search := strings.ToLower(f.search)
		return f.status != "" && t.Status != f.status || f.plan != "" && t.Plan != f.plan ||
			!strings.Contains(t.Slug, search) && !strings.Contains(strings.ToLower(t.Name), search)
	})
	slices.SortFunc(kept, func(a, b tenant) int { return strings.Compare(a.Slug, b.Slug) })
	if f.limit > 0 && len(kept) > f.limit {
		kept = kept[:f.limit]
	}
	return kept
}

func writeTenants(w *strings.Builder, tenants []tenant) {
	rows := make([][]string, len(tenants))
	for i, t := range tenants {
		rows[i] = []string{t.ID, t.Slug, t.Name, t.Status, t.Plan}
	}
	table(w, []string{"ID", "SLUG", "NAME", "STATUS", "PLAN"}, rows)
}
