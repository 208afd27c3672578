package token

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// endRunning is the second half of every statement that ends sessions. The rows are
// locked in one order, so that two that end the same ones do not stop each other.
const endRunning = ` AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE)
UPDATE auth.sessions s SET ended_at = now(), end_reason = @reason FROM running WHERE s.id = running.id`

// ending is what ends together.
type ending struct {
	holds []string     // statements that lock what has to stay as it is meanwhile
	still func() error // asked once it is locked; nil: nothing
	end   string
	args  pgx.NamedArgs
}

func finish(ctx context.Context, tx pgx.Tx, e ending) (ended int64, err error) {
	for _, holdSQL := range e.holds {
		if _, err := tx.Exec(ctx, holdSQL, e.args); err != nil {
			return 0, fmt.Errorf("lock whose sessions end: %w", err)
		}
	}
	if e.still != nil {
		if err := e.still(); err != nil {
			return 0, err
		}
	}
	tag, err := tx.Exec(ctx, e.end, e.args)
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	return tag.RowsAffected(), nil
}

// Whoever chooses another tenant holds the user's row as well: a session that is being
// opened from one that ends here is waited for and ends too, or is refused.
const holdUserSQL = `SELECT FROM auth.users WHERE id = @user_id FOR NO KEY UPDATE`

// Removing a member deletes the sessions in an order of its own, so it is kept waiting.
const holdMembershipsAllTenantsSQL = `
SELECT FROM tenants.tenant_members WHERE user_id = @user_id ORDER BY tenant_id FOR KEY SHARE`

const endFamilyAllTenantsSQL = `
WITH running AS (SELECT id FROM auth.sessions WHERE family_id = @family_id AND user_id = @user_id` + endRunning

const endUserAllTenantsSQL = `
WITH running AS (SELECT id FROM auth.sessions WHERE user_id = @user_id AND method <> 'api_key'` + endRunning

// SigningOut says which sessions end: one, the caller's own where none is given, or all.
type SigningOut struct {
	User       id.User    // whose, for the operator alone
	Session    id.Session // zero: the one the caller is in
	Everywhere bool       // all of the user
}

type target struct {
	Tenant id.Tenant  `db:"tenant_id"`
	User   id.User    `db:"user_id"`
	Family id.Session `db:"family_id"`
	Method Method     `db:"method"`
}

const targetAllTenantsSQL = `
SELECT tenant_id, user_id, family_id, method FROM auth.sessions
WHERE id = @session_id AND (@user_id::uuid IS NULL OR user_id = @user_id)`

// SignOut ends sessions of the caller, or of anybody for the operator, and counts them.
// A session ends with its family, in every tenant. One that has ended already counts
// nothing and is no error; another's is NotFound. The session of an API key ends with
// the key alone, so asking for it is Forbidden.
func SignOut(ctx context.Context, db pg.DB, actor session.Session, in SigningOut) (ended int64, err error) {
	user := actor.User
	switch {
	case actor.Impersonator != "" && (in.Everywhere || !in.Session.IsZero() && in.Session != actor.ID):
		return 0, fault.New(fault.Forbidden, "whoever acts in a user's place signs out of that visit alone")
	case actor.IsOperator():
		user = in.User
		if in.Everywhere && user.IsZero() {
			return 0, fault.New(fault.InvalidInput, "the operator says whose sessions end: give userId")
		}
	case !in.User.IsZero() && in.User != user:
		return 0, fault.New(fault.Forbidden, "only the operator signs others out")
	}
	err = pg.InTx(ctx, db, func(tx pgx.Tx) error {
		entry := audit.Entry{Action: "sign_out", Target: "user:" + user.String()}
		if in.Everywhere {
			ended, err = everywhere(ctx, tx, actor, user)
		} else {
			ended, err = signOutOne(ctx, tx, outOf{actor, user, in.Session}, &entry)
		}
		if err != nil || ended == 0 {
			return err
		}
		entry.After = map[string]any{"ended": ended, "everywhere": in.Everywhere}
		return audit.Append(ctx, tx, actor, entry)
	})
	return ended, err
}

func reasonOf(actor session.Session) string {
	if actor.IsOperator() {
		return "signed out by the operator"
	}
	return "signed out"
}

func everywhere(ctx context.Context, tx pgx.Tx, actor session.Session, user id.User) (int64, error) {
	if !actor.ID.IsZero() && !actor.IsOperator() {
		if _, err := find(ctx, tx, actor.ID, user); err != nil && !fault.Is(err, fault.NotFound) {
			return 0, err
		}
	}
	return finish(ctx, tx, ending{
		holds: []string{holdUserSQL, holdMembershipsAllTenantsSQL}, end: endUserAllTenantsSQL, args: pgx.NamedArgs{"user_id": user, "reason": reasonOf(actor)},
	})
}

type outOf struct {
	actor   session.Session
	user    id.User // zero: whosever it is
	session id.Session
}

func signOutOne(ctx context.Context, tx pgx.Tx, out outOf, entry *audit.Entry) (int64, error) {
	one := out.session
	if one.IsZero() {
		one = out.actor.ID
	}
	if one.IsZero() {
		return 0, fault.New(fault.InvalidInput, "your token names no session; give sessionId, or everywhere")
	}
	found, err := find(ctx, tx, one, out.user)
	if out.session.IsZero() && fault.Is(err, fault.NotFound) {
		return 0, nil // gone with the membership it rested on
	}
	if err != nil {
		return 0, err
	}
	entry.Tenant, entry.Target = found.Tenant, "session:"+one.String()
	return finish(ctx, tx, ending{holds: []string{holdUserSQL, holdMembershipsAllTenantsSQL}, end: endFamilyAllTenantsSQL, args: pgx.NamedArgs{
		"family_id": found.Family, "user_id": found.User, "reason": reasonOf(out.actor),
	}})
}

// find reads a session that may be signed out of.
func find(ctx context.Context, tx pgx.Tx, one id.Session, user id.User) (target, error) {
	found, err := pg.One[target](ctx, tx, targetAllTenantsSQL, pgx.NamedArgs{"session_id": one, "user_id": user})
	switch {
	case pg.NoRow(err):
		return target{}, fault.New(fault.NotFound, "there is no session %s of yours", one)
	case err != nil:
		return target{}, fmt.Errorf("read session %s: %w", one, err)
	case found.Method == ByKey:
		return target{}, fault.New(fault.Forbidden, "an API key does not sign out; revoke the key")
	}
	return found, nil
}

const holdTenantSQL = `
SELECT FROM tenants.tenant_members WHERE tenant_id = @tenant_id ORDER BY user_id FOR KEY SHARE`

const endTenantSQL = `
WITH running AS (SELECT id FROM auth.sessions
	WHERE tenant_id = @tenant_id AND created_at <= @until AND method <> 'api_key'` + endRunning

// EndSessions ends every session of the actor's tenant opened until then and records how
// many. Sessions opened later stay: an event may arrive after the tenant is back in
// service. Those of API keys stay too: they are the tenant's machines, which nobody can
// sign in again, and are to work once it is back; meanwhile both walls refuse them by
// the tenant's status.
func EndSessions(ctx context.Context, db pg.DB, actor session.Session, until time.Time, reason string) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		ended, err := finish(ctx, tx, ending{holds: []string{holdTenantSQL}, end: endTenantSQL, args: pgx.NamedArgs{"tenant_id": actor.Tenant, "until": until, "reason": reason}})
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: actor.Tenant, Action: "end_sessions", Target: "tenant:" + actor.Tenant.String(),
			After: map[string]any{"reason": reason, "ended": ended},
		})
	})
}
