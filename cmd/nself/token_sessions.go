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
	sessionColumns = `id tenant_id user_id role family_id method reason user_agent created_at refreshed_at expires_at ended_at end_reason`

	listSessionsQuery = `query ($where: sessions_bool_exp!, $limit: Int) {
		sessions(where: $where, limit: $limit, order_by: [{created_at: desc}, {id: asc}]) { ` + sessionColumns + ` user { email name kind } tenant { slug } }
	}`
	// listSessionsByIDQuery is for tokens whose role may not read names.
	listSessionsByIDQuery = `query ($where: sessions_bool_exp!, $limit: Int) {
		sessions(where: $where, limit: $limit, order_by: [{created_at: desc}, {id: asc}]) { ` + sessionColumns + ` }
	}`
)

// signIn is a session as its table tells it. TenantID is nil where no tenant was chosen.
type signIn struct {
	ID          string     `json:"id"`
	TenantID    *string    `json:"tenant_id"`
	Slug        string     `json:"tenant_slug,omitempty"`
	UserID      string     `json:"user_id"`
	Email       string     `json:"email,omitempty"`
	Name        string     `json:"name,omitempty"`
	Kind        string     `json:"kind,omitempty"` // of the user: person, or service for an API key
	Role        string     `json:"role"`
	FamilyID    string     `json:"family_id"`
	Method      string     `json:"method"`
	Reason      *string    `json:"reason"`
	UserAgent   string     `json:"user_agent"`
	CreatedAt   *time.Time `json:"created_at"`
	RefreshedAt *time.Time `json:"refreshed_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	EndedAt     *time.Time `json:"ended_at"`
	EndReason   *string    `json:"end_reason"`
}

// sessionFilter is what sessions is asked for; empty means any, and limit 0 all.
type sessionFilter struct {
	user, tenant string
	all          bool
	limit        int
}

func (p *program) sessionsCommand() *cobra.Command {
	var filter sessionFilter
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List sessions, the newest first",
		Long: `List the sessions that are running, the newest first; with --all those that have
ended too. Of more than --limit the newest are listed, and standard error says so. With
--token, those its role may see. An empty list is no error. A user is named by id or
e-mail; an identity local to a tenant by its e-mail with --tenant.`,
		Example: `  nself token sessions
  nself token sessions --user ada@example.com --all
  nself token sessions --tenant acme --limit 20 --json`,
		Args: takes(0, 0),
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.user, "user", "", "only those of this user: id or e-mail")
	flags.StringVar(&filter.tenant, "tenant", "", "only those in this tenant: id or slug")
	flags.BoolVar(&filter.all, "all", false, "also those that have ended")
	flags.IntVar(&filter.limit, "limit", 100, "at most so many; 0 is all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := given(cmd, map[string]any{}, "user", "tenant"); err != nil {
			return err
		}
		if filter.limit < 0 {
			return usagef("--limit %d is less than 0", filter.limit)
		}
		sessions, err := p.listSessions(cmd.Context(), filter)
		if err != nil {
			return err
		}
		more := filter.limit > 0 && len(sessions) > filter.limit
		if more {
			sessions = sessions[:filter.limit]
		}
		if err := p.print(sessions, func(w *strings.Builder) { writeSessions(w, sessions) }); err != nil || !more {
			return err
		}
		say(p.stderr, fmt.Sprintf("nself: these are the %d newest, and there are more; --limit 0 lists all", filter.limit))
		return nil
	}
	return cmd
}

// listSessions lists one more than the limit where there are more.
func (p *program) listSessions(ctx context.Context, filter sessionFilter) ([]signIn, error) {
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	where, err := p.whereSessions(ctx, client, filter)
	if err != nil {
		return nil, err
	}
	variables := map[string]any{"where": where}
	if filter.limit > 0 {
		variables["limit"] = filter.limit + 1
	}
	sessions, err := askSessions(ctx, client, listSessionsQuery, variables)
	if closed(err) && !client.Operator() {
		return askSessions(ctx, client, listSessionsByIDQuery, variables)
	}
	return sessions, err
}

// whereSessions is the filter in Hasura's words. A user or a tenant that is not there is
// an error.
func (p *program) whereSessions(ctx context.Context, client *hasuraapi.Client, filter sessionFilter) (map[string]any, error) {
	where := map[string]any{}
	if !filter.all {
		where["ended_at"] = map[string]any{"_is_null": true}
		where["expires_at"] = map[string]any{"_gt": time.Now().UTC().Format(time.RFC3339Nano)}
	}
	if filter.tenant != "" {
		found, err := findTenant[tenant](ctx, client, lookup{document: namedTenantQuery, ref: filter.tenant})
		if err != nil {
			return nil, err
		}
		where["tenant_id"] = map[string]any{"_eq": found.ID}
	}
	if filter.user != "" {
		user, err := p.findPerson(ctx, filter.tenant, filter.user)
		if err != nil {
			return nil, err
		}
		where["user_id"] = map[string]any{"_eq": user}
	}
	return where, nil
}

func askSessions(ctx context.Context, client *hasuraapi.Client, document string, variables map[string]any) ([]signIn, error) {
	type named struct {
		signIn
		User   *identity `json:"user"`
		Tenant *struct {
			Slug string `json:"slug"`
		} `json:"tenant"`
	}
	var reply struct {
		Sessions []named `json:"sessions"`
	}
	err := client.Do(ctx, document, variables, &reply)
	sessions := make([]signIn, len(reply.Sessions))
	for i, s := range reply.Sessions {
		sessions[i] = s.signIn
		if s.User != nil {
			sessions[i].Email, sessions[i].Name, sessions[i].Kind = s.User.Email, s.User.Name, s.User.Kind
		}
		if s.Tenant != nil {
			sessions[i].Slug = s.Tenant.Slug
		}
	}
	return sessions, err
}

func writeSessions(w *strings.Builder, sessions []signIn) {
	rows := make([][]string, len(sessions))
	for i, s := range sessions {
		tenant, ended := value(s.TenantID), when(s.EndedAt)
		if s.Slug != "" {
			tenant = s.Slug
		}
		if s.EndedAt != nil {
			ended += " (" + value(s.EndReason) + ")"
		}
		rows[i] = []string{s.ID, s.who(), tenant, s.Role, s.Method, when(s.CreatedAt), when(s.RefreshedAt), when(s.ExpiresAt), ended}
	}
	table(w, []string{"SESSION", "USER", "TENANT", "ROLE", "METHOD", "CREATED", "REFRESHED", "EXPIRES", "ENDED"}, rows)
}

// who is the user as people know them: by e-mail, an API key by its name.
func (s signIn) who() string {
	switch {
	case s.Kind == service:
		return s.Name + " (API key)"
	case s.Email != "":
		return s.Email
	}
	return s.UserID
}
