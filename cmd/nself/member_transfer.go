package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	offerReply = `id tenant_id: tenantId from_user_id: fromUserId to_user_id: toUserId created_at: createdAt
		expires_at: expiresAt ended_at: endedAt`

	transferOwnershipMutation = `mutation ($tenant: String, $user: uuid!) {
		reply: transferOwnership(tenant: $tenant, userId: $user) { ` + offerReply + ` }
	}`
	cancelTransferMutation = `mutation ($tenant: String) {
		reply: cancelOwnershipTransfer(tenant: $tenant) { ` + offerReply + ` }
	}`
)

// ownershipOffer is an offer that its receiver has yet to accept, or one taken back.
type ownershipOffer struct {
	ID         string     `json:"id"`
	TenantID   string     `json:"tenant_id"`
	FromUserID string     `json:"from_user_id"`
	ToUserID   string     `json:"to_user_id"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	EndedAt    *time.Time `json:"ended_at"`
}

func (p *program) transferCommand() *cobra.Command {
	var cancel bool
	cmd := &cobra.Command{
		Use: "transfer <tenant> <user>", Short: "Offer a member the ownership of a tenant",
		Long: `Offer a member the ownership of a tenant. Nothing changes until they accept, signed
in as themselves; then they own it and the present owner becomes an admin. One offer
is open at a time; --cancel, without a user, takes it back.`,
		Example: `  nself tenant member transfer acme bob@example.com
  nself tenant member transfer acme --cancel`,
		Args: takes(1, 2),
	}
	cmd.Flags().BoolVar(&cancel, "cancel", false, "take the open offer back")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cancel == (len(args) > 1) {
			return usagef("name the user to offer it to, or give --cancel, and not both; usage: %s", cmd.UseLine())
		}
		if cancel {
			return p.cancelTransfer(cmd, args[0])
		}
		user, err := p.findMember(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		offer, err := act[ownershipOffer](cmd.Context(), p, transferOwnershipMutation, map[string]any{"tenant": args[0], "user": user})
		if err != nil {
			return err
		}
		return p.print(offer, func(w *strings.Builder) {
			p.done(w, "Ownership offered: of %s to %s (ID: %s)", args[0], args[1], offer.ID)
			describe(w, "  ", []field{{"Accept by", when(offer.ExpiresAt)}})
		})
	}
	return cmd
}

func (p *program) cancelTransfer(cmd *cobra.Command, tenantRef string) error {
	offer, err := act[ownershipOffer](cmd.Context(), p, cancelTransferMutation, map[string]any{"tenant": tenantRef})
	if err != nil {
		return err
	}
	return p.print(offer, func(w *strings.Builder) {
		p.done(w, "Offer taken back: of %s to user %s (ID: %s)", tenantRef, offer.ToUserID, offer.ID)
	})
}
