package member

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/queue"
	"github.com/nself/tenancy/internal/session"
)

// Links are the addresses that mails lead to.
type Links interface {
	Invitation(token string) string // the page that accepts an invitation
}

// Post sends what has to reach people by mail. The zero Post is an installation without
// mail: whoever invites is shown the token and hands it on.
type Post struct {
	Outbox *queue.Outbox
	Links  Links // nil only where Outbox is
}

// sender is the actor as a mail names them.
type sender struct {
	actor  session.Session
	Tenant string `db:"tenant"`
	Name   string `db:"name"`  // empty: the operator, or somebody without a name
	Email  string `db:"email"` // empty: the operator, or a machine
}

const senderSQL = `
SELECT t.name AS tenant, coalesce(u.name, '') AS name, CASE u.kind WHEN 'person' THEN u.email ELSE '' END AS email
FROM tenants.tenants t LEFT JOIN auth.users u ON u.id = @user_id WHERE t.id = @tenant_id`

func readSender(ctx context.Context, tx pgx.Tx, actor session.Session) (sender, error) {
	from, err := pg.One[sender](ctx, tx, senderSQL, keys(actor, actor.User))
	if err != nil {
		return sender{}, fmt.Errorf("read the names of tenant %s and of user %s: %w", actor.Tenant, actor.User, err)
	}
	from.actor = actor
	return from, nil
}

// called is how the sender is called in a sentence.
func (s sender) called() string {
	switch {
	case s.Name != "":
		return s.Name
	case s.Email != "":
		return s.Email
	}
	return "The operator of " + s.Tenant
}

// shown is the token as the inviter gets to see it. What was mailed is for the address
// alone, unless an owner opened it to any.
func (p Post) shown(i Invitation, token string) string {
	if p.Outbox.Open() && !i.AnyAddress {
		return ""
	}
	return token
}

func (p Post) mailInvitation(ctx context.Context, tx pgx.Tx, from sender, i Invitation, token string) error {
	if !p.Outbox.Open() {
		return nil
	}
	mail := queue.Mail{
		Kind: queue.Invitation, To: i.Email, Tenant: i.TenantID, Until: i.ExpiresAt,
		Values: map[string]string{
			queue.Link: p.Links.Invitation(token), queue.TenantName: from.Tenant, queue.Role: string(i.Role),
			queue.Expires: i.ExpiresAt.Format(time.RFC3339),
		},
	}
	if from.Name != "" {
		mail.Values[queue.InviterName] = from.Name
	}
	if from.Email != "" {
		mail.Values[queue.InviterEmail] = from.Email
	}
	return p.Outbox.Send(ctx, tx, mail)
}

// mailAgain sends an invitation once more, in the actor's name.
func (p Post) mailAgain(ctx context.Context, tx pgx.Tx, actor session.Session, i Invitation, token string) error {
	if err := p.bound(ctx, tx, actor, ofAddress(i.Email)); err != nil {
		return err
	}
	from, err := readSender(ctx, tx, actor)
	if err != nil {
		return err
	}
	return p.mailInvitation(ctx, tx, from, i, token)
}

const addressSQL = `
SELECT u.email FROM auth.users u JOIN tenants.tenant_members m ON m.user_id = u.id
WHERE m.tenant_id = @tenant_id AND m.user_id = @user_id`

func (p Post) mailOffer(ctx context.Context, tx pgx.Tx, actor session.Session, t Transfer) error {
	if !p.Outbox.Open() {
		return nil
	}
	from, err := readSender(ctx, tx, actor)
	if err != nil {
		return err
	}
	to, err := pg.Scalar[string](ctx, tx, addressSQL, keys(actor, t.To))
	if err != nil {
		return fmt.Errorf("read the address of user %s: %w", t.To, err)
	}
	return p.Outbox.Send(ctx, tx, queue.Mail{
		Kind: queue.OwnershipTransfer, To: to, Tenant: t.TenantID, Until: t.ExpiresAt,
		Values: map[string]string{
			queue.TenantName: from.Tenant, queue.From: from.called(), queue.Expires: t.ExpiresAt.Format(time.RFC3339),
		},
	})
}
