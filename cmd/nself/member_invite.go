package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	inviteMemberMutation = `mutation ($tenant: String, $email: String!, $role: String, $any_address: Boolean) {
		reply: inviteMember(tenant: $tenant, email: $email, role: $role, anyAddress: $any_address) { ` + invitationReply + ` }
	}`
	inviteMembersMutation = `mutation ($tenant: String, $emails: [String!]!, $role: String) {
		reply: inviteMembers(tenant: $tenant, emails: $emails, role: $role) {
			email invitation_id: invitationId role expires_at: expiresAt token code message
		}
	}`
)

// invitedAddress is what became of one address of several: an invitation, or the code
// and message of what is wrong.
type invitedAddress struct {
	Email        string     `json:"email"`
	InvitationID *string    `json:"invitation_id"`
	Role         *string    `json:"role"`
	ExpiresAt    *time.Time `json:"expires_at"`
	Token        *string    `json:"token"`
	Code         *string    `json:"code"`
	Message      *string    `json:"message"`
}

func (p *program) inviteCommand() *cobra.Command {
	var anyAddress bool
	cmd := &cobra.Command{
		Use: "invite <tenant> <e-mail>... [role]", Short: "Invite one address or several",
		Long: `Invite addresses to a tenant; in the role member where none is given. The address
gets the token by mail; where the installation sends no mail, the token is printed,
once. Who has it and signs in with that address joins; with --any-address, whoever
has it, and it is printed in any case.

Of several addresses each has its own outcome, and one that is refused does not
keep the others from being invited; the exit code is 1 then.`,
		Example: `  nself tenant member invite acme carol@example.com guest
  nself tenant member invite acme carol@example.com dave@example.com erin@example.com
  nself tenant member invite acme carol@example.com --any-address`,
		Args: takes(2, math.MaxInt),
	}
	cmd.Flags().BoolVar(&anyAddress, "any-address", false, "let whoever has the token accept, whatever their address")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		variables := map[string]any{"tenant": args[0]}
		emails := args[1:]
		if last := len(emails) - 1; last > 0 && !strings.Contains(emails[last], "@") {
			variables["role"] = emails[last]
			emails = emails[:last]
		}
		if len(emails) > 1 && anyAddress {
			return usagef("--any-address goes with one address; got %d", len(emails))
		}
		if len(emails) > 1 {
			variables["emails"] = emails
			return p.inviteSeveral(cmd, variables)
		}
		if anyAddress {
			variables["any_address"] = true
		}
		var err error
		if variables["email"], err = address(emails[0]); err != nil {
			return err
		}
		return p.sendInvitation(cmd, sending{inviteMemberMutation, "Invited: %s to %s as %s (ID: %s)", args[0]}, variables)
	}
	return cmd
}

func (p *program) inviteSeveral(cmd *cobra.Command, variables map[string]any) error {
	outcomes, err := act[[]invitedAddress](cmd.Context(), p, inviteMembersMutation, variables)
	if err != nil {
		return err
	}
	refused := 0
	rows := make([][]string, len(outcomes))
	for i, o := range outcomes {
		outcome := "invited"
		switch {
		case o.InvitationID == nil:
			outcome = value(o.Message)
			refused++
		case o.Token == nil:
			outcome = "invited by mail"
		}
		rows[i] = []string{o.Email, value(o.InvitationID), value(o.Role), when(o.ExpiresAt), value(o.Token), outcome}
	}
	err = p.print(outcomes, func(w *strings.Builder) {
		table(w, []string{"EMAIL", "INVITATION", "ROLE", "EXPIRES", "TOKEN", "OUTCOME"}, rows)
	})
	if err == nil && refused > 0 {
		err = fmt.Errorf("%d of %d addresses were not invited", refused, len(outcomes))
	}
	return err
}

// value is what text holds; "" where it is nil.
func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
