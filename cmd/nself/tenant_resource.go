package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	listResourcesQuery = `query ($where: tenantResources_bool_exp!) {
		resources: tenantResources(where: $where, order_by: [{kind: asc}]) { tenant_id kind name wanted generation made made_at created_at open failure }
	}`
	// listResourcesToTenantQuery leaves out what a tenant's own roles may not see.
	listResourcesToTenantQuery = `query ($where: tenantResources_bool_exp!) {
		resources: tenantResources(where: $where, order_by: [{kind: asc}]) { tenant_id kind name wanted generation made made_at created_at }
	}`
	rotateResourceMutation = `mutation ($tenant: String!, $kind: String!) {
		reply: rotateTenantResource(tenant: $tenant, kind: $kind) { tenant_id: tenantId kind name generation made open made_at: madeAt failure }
	}`
)

// listedResource is a tenant's place outside the database.
type listedResource struct {
	TenantID   string     `json:"tenant_id"`
	Kind       string     `json:"kind"`
	Name       string     `json:"name"`
	Wanted     bool       `json:"wanted"`
	Generation int        `json:"generation"`
	Made       int        `json:"made"`
	MadeAt     *time.Time `json:"made_at"`
	CreatedAt  *time.Time `json:"created_at"`
	Open       *bool      `json:"open,omitempty"`    // to the operator alone, as what follows
	Failure    *string    `json:"failure,omitempty"` // of the last try
}

// state says in a word how far it is.
func (r listedResource) state() string {
	switch {
	case !r.Wanted:
		return "being removed"
	case r.Made == r.Generation && r.Open != nil && !*r.Open:
		return "closed"
	case r.Made == r.Generation:
		return "made"
	case r.Made == 0:
		return "being made"
	}
	return "being rotated"
}

// rotatedResource is a place whose new credentials were asked for.
type rotatedResource struct {
	TenantID   string     `json:"tenant_id"`
	Kind       string     `json:"kind"`
	Name       string     `json:"name"`
	Generation int        `json:"generation"`
	Made       int        `json:"made"`
	Open       bool       `json:"open"`
	MadeAt     *time.Time `json:"made_at"`
	Failure    *string    `json:"failure"`
}

func (p *program) resourceCommands() *cobra.Command {
	return group("resource", "A tenant's places in Redis and in the S3 server", `List a tenant's places outside the database, rotate their credentials and show them. Every
tenant has a user of Redis where the server has REDIS_URL, and a bucket where it has
S3_ENDPOINT; neither opens anything of another tenant. They are made, closed and removed
with the tenant.`,
		p.listResourcesCommand(), p.rotateResourceCommand(), p.resourceCredentialsCommand())
}

func (p *program) listResourcesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list <tenant>", Short: "List a tenant's places outside the database",
		Long: `List a tenant's places outside the database, and how far each is: the generation of its
credentials that is wanted and the one that stands. What is not so yet is tried again
every minute, and the operator is told what stands in the way.`,
		Example: `  nself tenant resource list acme
  nself tenant resource list acme --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			found, err := findTenant[tenant](cmd.Context(), client, lookup{document: namedTenantQuery, ref: args[0]})
			if err != nil {
				return err
			}
			reply := struct {
				Resources []listedResource `json:"resources"`
			}{[]listedResource{}}
			variables := map[string]any{"where": map[string]any{"tenant_id": map[string]any{"_eq": found.ID}}}
			err = client.Do(cmd.Context(), listResourcesQuery, variables, &reply)
			if closed(err) && !client.Operator() {
				err = client.Do(cmd.Context(), listResourcesToTenantQuery, variables, &reply)
			}
			if err != nil {
				return err
			}
			return p.print(reply.Resources, func(w *strings.Builder) { tellResources(w, reply.Resources) })
		},
	}
}

func tellResources(w *strings.Builder, resources []listedResource) {
	if len(resources) == 0 {
		fmt.Fprintln(w, "None: the server has neither REDIS_URL nor S3_ENDPOINT, or the tenant was made within the last minute.")
		return
	}
	rows := make([][]string, len(resources))
	for i, r := range resources {
		rows[i] = []string{r.Kind, r.Name, r.state(), strconv.Itoa(r.Generation), strconv.Itoa(r.Made), when(r.MadeAt)}
	}
	table(w, []string{"KIND", "NAME", "STATE", "GENERATION", "STANDS", "MADE"}, rows)
	for _, r := range resources {
		if failure := value(r.Failure); failure != "" {
			fmt.Fprintf(w, "%s: %s\n", r.Kind, clean(failure))
		}
	}
}

func (p *program) rotateResourceCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "rotate <tenant> redis|objects", Short: "Make new credentials of a tenant's place",
		Long: `Make new credentials of a tenant's place outside the database. Those of before open nothing
from a moment later on, and whoever is signed in with them is put out: have its services
read the new ones with nself tenant resource credentials. --yes answers the question, and
is needed where there is no terminal to ask on.`,
		Example: `  nself tenant resource rotate acme redis --yes`, Args: takes(2, 2),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := resourceKind(args[1]); err != nil {
			return err
		}
		if !yes {
			doing := fmt.Sprintf("rotating the credentials of %s", shorten(args[0]))
			if err := p.agree(cmd.Context(), doing, fmt.Sprintf("Services of %s that hold the present credentials are put out.", args[0])); err != nil {
				return err
			}
		}
		rotated, err := act[rotatedResource](cmd.Context(), p, rotateResourceMutation, map[string]any{"tenant": args[0], "kind": args[1]})
		if err != nil {
			return err
		}
		return p.print(rotated, func(w *strings.Builder) {
			p.done(w, "New credentials asked for: %s of %s, generation %d", rotated.Kind, args[0], rotated.Generation)
			describe(w, "  ", []field{{"Name", rotated.Name}, {"Show them", "nself tenant resource credentials " + args[0] + " " + rotated.Kind}})
		})
	}
	return cmd
}

// resourceKind refuses a word that names no kind.
func resourceKind(kind string) error {
	if kind != "redis" && kind != "objects" {
		return usagef("%.40q is no kind of resource; it is redis or objects", kind)
	}
	return nil
}
