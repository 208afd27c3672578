package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
)

func (p *program) tenantCommands() *cobra.Command {
	return group("tenant", "Set up, make and manage tenants", "Set up the installation; make tenants and manage them, their members, invitations, API keys, settings and limits.",
		p.initCommand(), p.protectCommand(), p.tenantMigrateCommand(), p.moveCommand(), p.adoptCommand(), p.auditCommand(), p.proveCommand(), p.testIsolationCommand(), p.createCommand(), p.listCommand(), p.showCommand(), p.statsCommand(), p.usageOfTenantCommand(), p.renameCommand(),
		p.suspendCommand(), p.activateCommand(), p.deleteCommand(), p.restoreCommand(),
		p.memberCommands(), p.invitationCommands(), p.keyCommands(), p.settingCommands(), p.limitCommands(), p.budgetCommands(), p.shardCommands(), p.resourceCommands(), p.cycleCommands())
}

// tenant is a tenant as tables and actions tell it, in the words of --json. What a
// role may not see is empty.
type tenant struct {
	ID            string          `json:"id"`
	Slug          string          `json:"slug"`
	Name          string          `json:"name"`
	Status        string          `json:"status"`
	Strategy      string          `json:"strategy,omitempty"`
	Plan          string          `json:"plan"`
	OwnerUserID   string          `json:"owner_user_id,omitempty"`
	URL           string          `json:"url,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	CreatedAt     *time.Time      `json:"created_at,omitempty"`
	UpdatedAt     *time.Time      `json:"updated_at,omitempty"`
	SuspendedAt   *time.Time      `json:"suspended_at,omitempty"`
	SuspendReason string          `json:"suspend_reason,omitempty"`
	DeletedAt     *time.Time      `json:"deleted_at,omitempty"`
	PurgeAfter    *time.Time      `json:"purge_after,omitempty"`
}

// tenantColumns are the fields of the table, tenantReply those of an action's reply
// under the same names.
const (
	tenantColumns = `id slug name status strategy plan owner_user_id metadata created_at updated_at
		suspended_at suspend_reason deleted_at purge_after`
	tenantReply = `id slug name status strategy plan owner_user_id: ownerUserId url metadata created_at: createdAt
		updated_at: updatedAt suspended_at: suspendedAt suspend_reason: suspendReason deleted_at: deletedAt purge_after: purgeAfter`
)

// namedTenantQuery is the lookup of what a tenant is called.
const namedTenantQuery = `query ($where: tenants_bool_exp!) { tenants(where: $where) { id slug name } }`

// whereTenant selects the tenant named by id or slug.
func whereTenant(ref string) map[string]any {
	column := "slug"
	if _, err := id.Parse[id.Tenant](ref); err == nil {
		column = "id"
	}
	return map[string]any{column: map[string]any{"_eq": ref}}
}

// lookup asks for one tenant: document selects tenants(where: $where), and may take
// more variables.
type lookup struct {
	document  string
	ref       string // id or slug
	variables map[string]any
}

// findTenant is the tenant of a lookup. None is an error that says so.
func findTenant[T any](ctx context.Context, client *hasuraapi.Client, look lookup) (T, error) {
	var reply struct {
		Tenants []T `json:"tenants"`
	}
	variables := map[string]any{"where": whereTenant(look.ref)}
	maps.Copy(variables, look.variables)
	var none T
	if err := client.Do(ctx, look.document, variables, &reply); err != nil {
		return none, err
	}
	if len(reply.Tenants) == 0 {
		return none, fmt.Errorf("there is no tenant %q here; nself tenant list shows them", shorten(look.ref))
	}
	return reply.Tenants[0], nil
}

// act sends an action's mutation and returns the reply under the alias "reply".
func act[T any](ctx context.Context, p *program, document string, variables map[string]any) (T, error) {
	var answer struct {
		Reply T `json:"reply"`
	}
	client, err := p.client()
	if err != nil {
		return answer.Reply, err
	}
	err = client.Do(ctx, document, variables, &answer)
	return answer.Reply, unseen(err, document)
}

// longest is how long the server may take for what takes it minutes, and Hasura waits for
// it (actions.yaml), and a little more.
const longest = 5*time.Minute + 10*time.Second

// actAtLength is act for what takes the server minutes.
func actAtLength[T any](ctx context.Context, p *program, document string, variables map[string]any) (T, error) {
	ctx, done := context.WithTimeout(ctx, longest)
	defer done()
	return act[T](ctx, p, document, variables)
}

// given sets variables, named as the flags with _ for -, for the flags that were given; the others stay absent, which
// the server takes for "not asked". An empty value would be taken for the same, so it
// is refused: most often it is a shell variable that is not set.
func given(cmd *cobra.Command, variables map[string]any, flags ...string) error {
	for _, name := range flags {
		flag := cmd.Flags().Lookup(name)
		switch {
		case !flag.Changed:
		case flag.Value.String() == "":
			return usagef("--%s is empty: give it a value or leave it out", name)
		default:
			variables[strings.ReplaceAll(name, "-", "_")] = flag.Value.String()
		}
	}
	return nil
}
