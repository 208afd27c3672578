package actions

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/handlers/requestlog"
	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/tenant"
	"github.com/nself/tenancy/internal/token"
)

// forPayer is forTenant through the door of those who pay.
func forPayer[In, Out any](name string, op operation[In, Out]) Action {
	action := newAction(name, payers, enterPayer, op)
	action.serve = tellLoss(action.serve)
	return action
}

// enterPayer is enterTenant, and the way in for an owner whom that one shuts out: nobody
// has a session of a tenant that is out of service, so that whoever owns one which is so for
// what it owes names it without a session there. It runs as nself_server, past row-level
// security, for the walls close such a tenant to everybody else.
func enterPayer(ctx context.Context, tx pgx.Tx, c call, in any) (session.Session, error) {
	s := c.session
	if s.Role != session.User {
		return enterTenant(ctx, tx, c, in)
	}
	if err := token.Admit(ctx, tx, s); err != nil {
		return s, err
	}
	name := in.(tenantNamed).tenantName()
	if name == "" {
		return s, fault.New(fault.TenantRequired,
			"the session names no tenant; choose one with switchTenant, or name one of yours that is out of service for what it owes in the argument tenant")
	}
	named, err := tenant.Resolve(ctx, tx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return s, err
	}
	owned, err := billing.OwnedDebtor(ctx, tx, named, s.User)
	switch {
	case err != nil:
		return s, err
	case !owned:
		return s, fault.New(fault.NotFound,
			"there is no tenant %.80q here that you own and that is out of service for what it owes; of one that is in service choose the session with switchTenant", name)
	}
	s.Tenant = named
	requestlog.Tenant(ctx, named)
	return s, pg.EnterServer(ctx, tx, s)
}
