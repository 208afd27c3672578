package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/rate"
	"github.com/nself/tenancy/internal/session"
)

// How many invitations go out by mail, those that are sent again included.
var (
	invitationsPerAddress = rate.Window{Most: 5, Within: time.Hour} // from all tenants together
	invitationsPerTenant  = rate.Window{Most: 200, Within: time.Hour}
)

// limit is one count that an invitation by mail adds to.
type limit struct {
	what, whose string
	per         rate.Window
	told        string // what is said where it is full
}

func ofTenant(tenant id.Tenant) limit {
	return limit{"invitation-tenant", tenant.String(), invitationsPerTenant,
		fmt.Sprintf("%d invitations an hour leave one tenant", invitationsPerTenant.Most)}
}

func ofAddress(email string) limit {
	return limit{"invitation-address", email, invitationsPerAddress,
		fmt.Sprintf("%d invitations an hour go to %s", invitationsPerAddress.Most, email)}
}

// bound counts an invitation that is about to be mailed, or refuses it with the fault
// too-many-requests. The operator is not bound, nor is anybody where no mail is sent.
//
// A count is locked until the transaction ends. So that no two wait for each other, a
// tenant's comes before anything else that inviting in it locks, and many addresses go in
// the order of the alphabet, whoever invites them.
func (p Post) bound(ctx context.Context, tx pgx.Tx, actor session.Session, limits ...limit) error {
	if !p.Outbox.Open() || actor.IsOperator() {
		return nil
	}
	return pg.AsServer(ctx, tx, func() error {
		for _, l := range limits {
			err := rate.Take(ctx, tx, l.what, l.whose, l.per)
			var full *fault.Fault
			if errors.As(err, &full) {
				full.Message = l.told + ": " + full.Message
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
