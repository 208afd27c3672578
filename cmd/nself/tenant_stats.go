package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
)

const tenantStatsQuery = `query ($tenant: String) {
	stats: tenantStats(tenant: $tenant) {
		tenant_id: tenantId slug status plan members owners admins guests open_invitations: openInvitations settings
		active_sessions: activeSessions max_users: maxUsers audit_entries: auditEntries
		last_activity_at: lastActivityAt created_at: createdAt
	}
}`

const allStatsQuery = `query {
	tenants: tenants_aggregate { aggregate { count } }
	active: tenants_aggregate(where: {status: {_eq: "active"}}) { aggregate { count } }
	suspended: tenants_aggregate(where: {status: {_eq: "suspended"}}) { aggregate { count } }
	deleted: tenants_aggregate(where: {status: {_eq: "deleted"}}) { aggregate { count } }
	members: members_aggregate { aggregate { count } }
	users: users_aggregate { aggregate { count } }
}`

type tenantStats struct {
	TenantID        string     `json:"tenant_id"`
	Slug            string     `json:"slug"`
	Status          string     `json:"status"`
	Plan            string     `json:"plan"`
	Members         int        `json:"members"`
	Owners          int        `json:"owners"`
	Admins          int        `json:"admins"`
	Guests          int        `json:"guests"`
	OpenInvitations int        `json:"open_invitations"`
	Settings        int        `json:"settings"`
	ActiveSessions  int        `json:"active_sessions"`
	MaxUsers        int64      `json:"max_users"`
	AuditEntries    int64      `json:"audit_entries"`
	LastActivityAt  *time.Time `json:"last_activity_at"`
	CreatedAt       *time.Time `json:"created_at"`
}

// counted is one aggregate of allStatsQuery.
type counted struct {
	Aggregate struct {
		Count int `json:"count"`
	} `json:"aggregate"`
}

func (p *program) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats [tenant]",
		Short: "Show figures of one tenant, or of all",
		Long: `Show figures of one tenant, counted now. Without a tenant: of the whole installation,
or with --token of the token's own tenant.`,
		Example: `  nself tenant stats acme
  nself tenant stats --json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			if len(args) == 0 && client.Operator() {
				return p.allStats(cmd.Context(), client)
			}
			return p.oneStats(cmd.Context(), client, args)
		},
	}
}

func (p *program) oneStats(ctx context.Context, client *hasuraapi.Client, args []string) error {
	variables := map[string]any{}
	if len(args) > 0 {
		variables["tenant"] = args[0]
	}
	var reply struct {
		Stats tenantStats `json:"stats"`
	}
	if err := client.Do(ctx, tenantStatsQuery, variables, &reply); err != nil {
		return err
	}
	s := reply.Stats
	members := strconv.Itoa(s.Members) + " of " + strconv.FormatInt(s.MaxUsers, 10)
	if s.MaxUsers == unlimited {
		members = strconv.Itoa(s.Members) + " (unlimited)"
	}
	return p.print(s, func(w *strings.Builder) {
		describe(w, "", []field{
			{"ID", s.TenantID}, {"Slug", s.Slug}, {"Status", s.Status}, {"Plan", s.Plan}, {"Members", members},
			{"Owners", strconv.Itoa(s.Owners)}, {"Admins", strconv.Itoa(s.Admins)}, {"Guests", strconv.Itoa(s.Guests)},
			{"Open Invitations", strconv.Itoa(s.OpenInvitations)}, {"Settings", strconv.Itoa(s.Settings)},
			{"Active Sessions", strconv.Itoa(s.ActiveSessions)}, {"Audit Entries", plainNumber(s.AuditEntries)},
			{"Last Activity", when(s.LastActivityAt)}, {"Created", when(s.CreatedAt)},
		})
	})
}

func (p *program) allStats(ctx context.Context, client *hasuraapi.Client) error {
	var reply map[string]counted
	if err := client.Do(ctx, allStatsQuery, nil, &reply); err != nil {
		return err
	}
	counts := map[string]int{}
	for name, counted := range reply {
		counts[name] = counted.Aggregate.Count
	}
	return p.print(counts, func(w *strings.Builder) {
		var fields []field
		for _, name := range []string{"Tenants", "Active", "Suspended", "Deleted", "Members", "Users"} {
			fields = append(fields, field{name, strconv.Itoa(counts[string(name[0]+'a'-'A')+name[1:]])})
		}
		describe(w, "", fields)
	})
}
