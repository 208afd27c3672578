package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/hasuraapi"
	"github.com/nself/tenancy/internal/id"
)

const (
	memberReply = `tenant_id: tenantId user_id: userId role joined_at: joinedAt invited_by: invitedBy`

	addMemberMutation = `mutation ($tenant: String, $user: uuid!, $role: String) {
		reply: addMember(tenant: $tenant, userId: $user, role: $role) { ` + memberReply + ` }
	}`
	updateMemberMutation = `mutation ($tenant: String, $user: uuid!, $role: String!) {
		reply: updateMemberRole(tenant: $tenant, userId: $user, role: $role) { ` + memberReply + ` }
	}`
	removeMemberMutation = `mutation ($tenant: String, $user: uuid!) {
		reply: removeMember(tenant: $tenant, userId: $user) { ` + memberReply + ` }
	}`
	listMembersQuery = `query ($where: tenants_bool_exp!) {
		tenants(where: $where) {
			members(order_by: [{joined_at: asc}, {user_id: asc}]) { tenant_id user_id role joined_at invited_by user { email name kind } }
		}
	}`
	memberByEmailQuery = `query ($where: tenants_bool_exp!, $email: String!) {
		tenants(where: $where) { slug members(where: {user: {email: {_eq: $email}}}, limit: 3, order_by: {user_id: asc}) { user_id } }
	}`
)

type member struct {
	TenantID  string     `json:"tenant_id"`
	UserID    string     `json:"user_id"`
	Email     string     `json:"email,omitempty"`
	Name      string     `json:"name,omitempty"`
	Kind      string     `json:"kind,omitempty"` // person, or service: the identity of an API key
	Role      string     `json:"role"`
	JoinedAt  *time.Time `json:"joined_at"`
	InvitedBy *string    `json:"invited_by"`
}

func (p *program) memberCommands() *cobra.Command {
	return group("member", "Manage a tenant's members", `Add, list, change, remove and invite the members of a tenant, and offer one of them
its ownership. Roles: owner, admin, member, guest.`,
		p.addMemberCommand(), p.listMembersCommand(), p.updateMemberCommand(), p.removeMemberCommand(), p.inviteCommand(), p.transferCommand())
}

func (p *program) addMemberCommand() *cobra.Command {
	return &cobra.Command{
		Use: "add <tenant> <user> [role]", Short: "Make an existing user a member",
		Long: "Make an existing user a member; in the role member where none is given.",
		Example: `  nself tenant member add acme bob@example.com
  nself tenant member add acme bob@example.com admin`,
		Args: takes(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			user, err := findUser(cmd.Context(), client, args[1])
			if err != nil {
				return err
			}
			return p.changeMember(cmd, memberChange{addMemberMutation, "added: %s to %s as %s"}, args, user)
		},
	}
}

func (p *program) updateMemberCommand() *cobra.Command {
	return &cobra.Command{
		Use: "update <tenant> <user> <role>", Short: "Give a member another role",
		Long:    "Give a member another role. It holds from the next statement on; tokens of the old role are refused.",
		Example: `  nself tenant member update acme bob@example.com admin`,
		Args:    takes(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			user, err := p.findMember(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return p.changeMember(cmd, memberChange{updateMemberMutation, "updated: %s in %s is %s"}, args, user)
		},
	}
}

func (p *program) removeMemberCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove <tenant> <user>", Short: "End a membership",
		Long:    "End a membership. The last owner cannot be removed.",
		Example: `  nself tenant member remove acme bob@example.com`,
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			user, err := p.findMember(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return p.changeMember(cmd, memberChange{removeMemberMutation, "removed: %s from %s (was %s)"}, args, user)
		},
	}
}

// memberChange is a mutation and how it is told: of the user, the tenant and the role.
type memberChange struct{ document, done string }

// changeMember sends a mutation for args (tenant, user and perhaps role), where user is
// the id that the second stands for, and says what was done.
func (p *program) changeMember(cmd *cobra.Command, change memberChange, args []string, user string) error {
	variables := map[string]any{"tenant": args[0], "user": user}
	if len(args) > 2 {
		variables["role"] = args[2]
	}
	changed, err := act[member](cmd.Context(), p, change.document, variables)
	if err != nil {
		return err
	}
	return p.print(changed, func(w *strings.Builder) { p.done(w, "Member "+change.done, args[1], args[0], changed.Role) })
}

// findMember turns an id or e-mail into the id of a member of the tenant.
func (p *program) findMember(ctx context.Context, tenantRef, ref string) (string, error) {
	if parsed, err := id.Parse[id.User](ref); err == nil {
		return parsed.String(), nil
	}
	email, err := address(ref)
	if err != nil {
		return "", usagef("%q is neither a user's id nor an e-mail address", shorten(ref))
	}
	client, err := p.client()
	if err != nil {
		return "", err
	}
	type membership struct {
		Slug    string   `json:"slug"`
		Members []member `json:"members"`
	}
	found, err := findTenant[membership](ctx, client, lookup{memberByEmailQuery, tenantRef, map[string]any{"email": email}})
	if err != nil {
		return "", err
	}
	ids := make([]string, len(found.Members))
	for i, m := range found.Members {
		ids[i] = m.UserID
	}
	return only(ids, fmt.Sprintf("%s has no member with the e-mail %s; nself tenant member list %s shows them", found.Slug, email, found.Slug), email)
}

func (p *program) listMembersCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list <tenant>", Short: "List a tenant's members",
		Long: "List a tenant's members, the longest-serving first; also the identities that its API keys act as.",
		Example: `  nself tenant member list acme
  nself tenant member list acme --json`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := p.client()
			if err != nil {
				return err
			}
			members, err := listMembers(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			return p.print(members, func(w *strings.Builder) {
				rows := make([][]string, len(members))
				for i, m := range members {
					rows[i] = []string{m.UserID, m.Email, m.Name, m.Role, when(m.JoinedAt)}
					if m.Kind == service {
						rows[i][1] = "(API key)"
					}
				}
				table(w, []string{"USER ID", "EMAIL", "NAME", "ROLE", "JOINED"}, rows)
			})
		},
	}
}

func listMembers(ctx context.Context, client *hasuraapi.Client, ref string) ([]member, error) {
	type nested struct {
		member
		User *identity `json:"user"`
	}
	type membership struct {
		Members []nested `json:"members"`
	}
	found, err := findTenant[membership](ctx, client, lookup{document: listMembersQuery, ref: ref})
	members := make([]member, len(found.Members))
	for i, m := range found.Members {
		members[i] = m.member
		if m.User != nil {
			members[i].Email, members[i].Name, members[i].Kind = m.User.Email, m.User.Name, m.User.Kind
		}
	}
	return members, err
}
