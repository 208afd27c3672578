package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const deletedTenantQuery = `query ($where: tenants_bool_exp!) { tenants(where: $where) { id slug name } }`

const deleteTenantMutation = `mutation ($tenant: String, $slug: String!) {
	reply: deleteTenant(tenant: $tenant, confirmSlug: $slug) { ` + tenantReply + ` }
}`

func (p *program) deleteCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete <tenant>",
		Short: "Take a tenant out of service; it can be restored for a while",
		Long: `Take a tenant out of service. It can be restored until the date printed, then it is
purged. The slug has to be typed again; --yes answers that, and is needed where
there is no terminal to ask on.`,
		Example: `  nself tenant delete acme
  nself tenant delete acme --yes`,
		Args: takes(1, 1),
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes && !p.interactive() {
			return usagef("deleting %q needs --yes where there is no terminal to ask on", shorten(args[0]))
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		found, err := findTenant[tenant](cmd.Context(), client, lookup{document: deletedTenantQuery, ref: args[0]})
		if err != nil {
			return err
		}
		if !yes {
			typed, err := p.ask(cmd.Context(), fmt.Sprintf("Type %s to delete %s: ", found.Slug, found.Name))
			if err != nil {
				return err
			}
			if typed != found.Slug {
				return fmt.Errorf("nothing was deleted: %q is not %s", shorten(typed), found.Slug)
			}
		}
		return p.changeTenant(cmd, deleteTenantMutation, map[string]any{"tenant": found.ID, "slug": found.Slug}, "deleted")
	}
	return cmd
}

// interactive reports whether somebody can be asked.
func (p *program) interactive() bool {
	return p.stdin != nil && term.IsTerminal(int(p.stdin.Fd()))
}

// ask puts a question on stderr and reads the line that answers it. Without an answer,
// or when ctx ends first, that is an error.
func (p *program) ask(ctx context.Context, question string) (string, error) {
	_, _ = fmt.Fprint(p.stderr, clean(question))
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(p.stdin).ReadString('\n')
		answered <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		say(p.stderr, "")
		return "", errors.New("stopped: nothing was done")
	case got := <-answered:
		if got.err != nil {
			return "", errors.New("no answer: nothing was done")
		}
		return strings.TrimSpace(got.line), nil
	}
}
