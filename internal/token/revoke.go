package token

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Revoking names what is taken back: one session, or all of a user; not both.
type Revoking struct {
	Session id.Session
	User    id.User
}

const endFamilyHereSQL = `
WITH running AS (SELECT id FROM auth.sessions WHERE tenant_id = @tenant_id AND family_id = @family_id
	AND method <> 'api_key'` + endRunning

const endUserHereSQL = `
WITH running AS (SELECT id FROM auth.sessions WHERE tenant_id = @tenant_id AND user_id = @user_id
	AND method <> 'api_key'` + endRunning

type revocable struct {
	User   id.User     `db:"user_id"`
	Family id.Session  `db:"family_id"`
	Role   member.Role `db:"role"`   // of the user, at present
	Method Method      `db:"method"` // of the session, where one was asked for
}

const sessionHereSQL = `
SELECT s.user_id, s.family_id, m.role, s.method
FROM auth.sessions s JOIN tenants.tenant_members m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
WHERE s.tenant_id = @tenant_id AND s.id = @session_id`

const userHereSQL = `
SELECT user_id, NULL::uuid AS family_id, role, '' AS method
FROM tenants.tenant_members WHERE tenant_id = @tenant_id AND user_id = @user_id`

// Revoke ends sessions inside the actor's tenant and counts them: one, with what else of
// its family is in this tenant, or all of a member. The session of an API key ends with the
// key alone, so asking for it is Forbidden. It is for owners, admins and the operator, and owners'
// sessions are not for admins. Sessions of the same people in other tenants are not this
// tenant's, and its members may sign in again: who is to stay out is removed. What is
// not in the tenant is NotFound.
func Revoke(ctx context.Context, tx pgx.Tx, actor session.Session, in Revoking) (ended int64, err error) {
	if !actor.IsOperator() && actor.Role != session.TenantOwner && actor.Role != session.TenantAdmin {
		return 0, fault.New(fault.Forbidden, "only owners and admins revoke sessions")
	}
	if in.Session.IsZero() == in.User.IsZero() {
		return 0, fault.New(fault.InvalidInput, "say what is revoked: give sessionId or userId, and not both")
	}
	err = pg.AsServer(ctx, tx, func() error {
		ended, err = revoke(ctx, tx, actor, in)
		return err
	})
	return ended, err
}

func revoke(ctx context.Context, tx pgx.Tx, actor session.Session, in Revoking) (int64, error) {
	args := pgx.NamedArgs{"tenant_id": actor.Tenant, "reason": "revoked"}
	findSQL, endSQL, entry := sessionHereSQL, endFamilyHereSQL, audit.Entry{Tenant: actor.Tenant, Action: "revoke_sessions"}
	if in.Session.IsZero() {
		findSQL, endSQL, entry.Target = userHereSQL, endUserHereSQL, "user:"+in.User.String()
		args["user_id"] = in.User
	} else {
		args["session_id"], entry.Target = in.Session, "session:"+in.Session.String()
	}
	found, err := pg.One[revocable](ctx, tx, findSQL, args)
	switch {
	case pg.NoRow(err):
		return 0, fault.New(fault.NotFound, "there is no %s in this tenant", entry.Target)
	case err != nil:
		return 0, fmt.Errorf("read %s: %w", entry.Target, err)
	case found.Role == member.Owner && actor.Role == session.TenantAdmin:
		return 0, fault.New(fault.Forbidden, "only an owner may revoke an owner's sessions")
	case found.Method == ByKey:
		return 0, fault.New(fault.Forbidden, "this is the session of an API key; revoke the key")
	}
	args["family_id"], args["user_id"] = found.Family, found.User
	all := ending{holds: []string{holdUserSQL, holdMemberSQL}, end: endSQL, args: args}
	if !actor.IsOperator() { // who may have waited for the locks, and the server is held by no wall
		all.still = func() error { return Admit(ctx, tx, actor) }
	}
	ended, err := finish(ctx, tx, all)
	if err != nil || ended == 0 {
		return 0, err
	}
	entry.After = map[string]any{"user_id": found.User, "ended": ended}
	return ended, audit.Append(ctx, tx, actor, entry)
}
