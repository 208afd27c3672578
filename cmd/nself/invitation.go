package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nself/tenancy/internal/id"
)

const (
	invitationReply = `id tenant_id: tenantId email role created_at: createdAt expires_at: expiresAt accepted_at: acceptedAt
		revoked_at: revokedAt token`

	resendInvitationMutation = `mutation ($tenant: String, $invitation: uuid!) {
		reply: resendInvitation(tenant: $tenant, invitationId: $invitation) { ` + invitationReply + ` }
	}`
	revokeInvitationMutation = `mutation ($tenant: String, $invitation: uuid!) {
		reply: revokeInvitation(tenant: $tenant, invitationId: $invitation) { ` + invitationReply + ` }
	}`
	listInvitationsQuery = `query ($where: tenants_bool_exp!, $invitations: invitations_bool_exp!) {
		tenants(where: $where) { slug invitations(where: $invitations, order_by: [{created_at: desc}, {id: asc}]) {
			id tenant_id email role any_address invited_by created_at expires_at accepted_at revoked_at
		} }
	}`
)

type invitation struct {
	ID         string     `json:"id"`
	TenantID   string     `json:"tenant_id"`
	Email      string     `json:"email"`
	Role       string     `json:"role"`
	AnyAddress *bool      `json:"any_address,omitempty"`
	InvitedBy  *string    `json:"invited_by,omitempty"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	AcceptedAt *time.Time `json:"accepted_at,omitempty"`
	RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	Token      string     `json:"token,omitempty"` // just made, and not in the mail alone
}

// state is where the invitation stands at a time.
func (i invitation) state(now time.Time) string {
	switch {
	case i.AcceptedAt != nil:
		return "accepted"
	case i.RevokedAt != nil:
		return "revoked"
	case i.ExpiresAt != nil && !i.ExpiresAt.After(now):
		return "expired"
	}
	return "open"
}

type invitationsOf struct {
	Slug        string       `json:"slug"`
	Invitations []invitation `json:"invitations"`
}

func (p *program) invitationCommands() *cobra.Command {
	return group("invitation", "Manage a tenant's invitations", "List, resend and revoke the invitations of a tenant. nself tenant member invite makes them.",
		p.listInvitationsCommand(), p.resendInvitationCommand(), p.revokeInvitationCommand())
}

func (p *program) listInvitationsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list <tenant>", Short: "List a tenant's invitations",
		Long: `List a tenant's invitations, the newest first: those that wait to be accepted, also
past their time, when they can be resent; with --all the accepted and revoked ones too.`,
		Example: `  nself tenant invitation list acme
  nself tenant invitation list acme --all --json`,
		Args: takes(1, 1),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those accepted or revoked")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		where := waiting()
		if all {
			where = map[string]any{}
		}
		found, err := p.invitationsOf(cmd.Context(), args[0], where)
		if err != nil {
			return err
		}
		return p.print(found.Invitations, func(w *strings.Builder) { writeInvitations(w, found.Invitations, time.Now()) })
	}
	return cmd
}

// waiting selects the invitations that are neither accepted nor revoked.
func waiting() map[string]any {
	null := map[string]any{"_is_null": true}
	return map[string]any{"accepted_at": null, "revoked_at": null}
}

func (p *program) invitationsOf(ctx context.Context, ref string, where map[string]any) (invitationsOf, error) {
	client, err := p.client()
	if err != nil {
		return invitationsOf{}, err
	}
	return findTenant[invitationsOf](ctx, client, lookup{listInvitationsQuery, ref, map[string]any{"invitations": where}})
}

func writeInvitations(w *strings.Builder, invitations []invitation, now time.Time) {
	rows := make([][]string, len(invitations))
	for n, i := range invitations {
		anyone := ""
		if i.AnyAddress != nil && *i.AnyAddress {
			anyone = "yes"
		}
		rows[n] = []string{i.ID, i.Email, anyone, i.Role, i.state(now), when(i.CreatedAt), when(i.ExpiresAt)}
	}
	table(w, []string{"ID", "EMAIL", "ANY ADDRESS", "ROLE", "STATE", "CREATED", "EXPIRES"}, rows)
}

func (p *program) resendInvitationCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resend <tenant> <invitation>", Short: "Send an invitation again",
		Long: `Send an invitation again, named by id or e-mail address, with a new token and its
full time; the token sent before ends. Where the installation sends no mail, the new
token is printed, once.`,
		Example: `  nself tenant invitation resend acme carol@example.com`,
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := p.findInvitation(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return p.sendInvitation(cmd, sending{resendInvitationMutation, "Invitation resent: %s to %s as %s (ID: %s)", args[0]},
				map[string]any{"tenant": args[0], "invitation": found})
		},
	}
}

// sending is a mutation that makes an invitation's token, how it is told of the address,
// the tenant, the role and the id, and the tenant as it was named.
type sending struct{ document, done, tenant string }

func (p *program) sendInvitation(cmd *cobra.Command, send sending, variables map[string]any) error {
	sent, err := act[invitation](cmd.Context(), p, send.document, variables)
	if err != nil {
		return err
	}
	return p.print(sent, func(w *strings.Builder) {
		p.done(w, send.done, sent.Email, send.tenant, sent.Role, sent.ID)
		way := field{"Token", sent.Token}
		if sent.Token == "" {
			way = field{"Mailed to", sent.Email}
		}
		describe(w, "  ", []field{way, {"Expires", when(sent.ExpiresAt)}})
	})
}

func (p *program) revokeInvitationCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke <tenant> <invitation>", Short: "Take an invitation back",
		Long:    "Take an invitation back, named by id or e-mail address. Its token ends.",
		Example: `  nself tenant invitation revoke acme carol@example.com`,
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := p.findInvitation(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			revoked, err := act[invitation](cmd.Context(), p, revokeInvitationMutation, map[string]any{"tenant": args[0], "invitation": found})
			if err != nil {
				return err
			}
			return p.print(revoked, func(w *strings.Builder) {
				p.done(w, "Invitation revoked: %s to %s as %s (ID: %s)", revoked.Email, args[0], revoked.Role, revoked.ID)
			})
		},
	}
}

// findInvitation turns an id, or the e-mail of an invitation that waits, into an id.
func (p *program) findInvitation(ctx context.Context, tenantRef, ref string) (string, error) {
	if parsed, err := id.Parse[id.Invitation](ref); err == nil {
		return parsed.String(), nil
	}
	email, err := address(ref)
	if err != nil {
		return "", usagef("%q is neither an invitation's id nor an e-mail address", shorten(ref))
	}
	where := waiting()
	where["email"] = map[string]any{"_eq": email}
	found, err := p.invitationsOf(ctx, tenantRef, where)
	if err != nil {
		return "", err
	}
	if len(found.Invitations) == 0 {
		return "", fmt.Errorf("%s has no open invitation of %s; nself tenant invitation list %s shows them", found.Slug, email, found.Slug)
	}
	return found.Invitations[0].ID, nil // one of an address is open at a time
}
