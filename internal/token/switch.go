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

// origin is the session that another tenant is chosen from.
type origin struct {
	Family    id.Session `db:"family_id"`
	Method    Method     `db:"method"`
	Agent     string     `db:"user_agent"`
	ExpiresAt time.Time  `db:"expires_at"`
	Running   bool       `db:"running"`
	Refreshes bool       `db:"refreshes"`
}

const originAllTenantsSQL = `
SELECT s.family_id, s.method, s.user_agent, s.expires_at, s.ended_at IS NULL AND s.expires_at > now() AS running,
	EXISTS (SELECT FROM auth.refresh_tokens r
		WHERE r.session_id = s.id AND r.spent_at IS NULL AND r.expires_at > now()) AS refreshes
FROM auth.sessions s WHERE s.id = @session_id AND s.user_id = @user_id`

// Switch opens a session of the actor in another tenant, in the family of the session
// the actor is in and with no later end; where the family has such a one already it is
// renewed. It has a refresh token where the session the actor is in has one: a first one,
// in the place of the one it had and nobody used, so that a client that goes to and fro
// leaves no heap of them. An actor that names no session (somebody with the admin secret in
// a user's role) gets an access token alone. A user who is no member is NotFound, an ended session SessionEnded; an API key
// and an impersonation stay where they are.
func (m *Minter) Switch(ctx context.Context, db pg.DB, actor session.Session, tenant id.Tenant) (Token, error) {
	if actor.User.IsZero() {
		return Token{}, fault.New(fault.Forbidden, "the operator is no member; use mintToken for a user")
	}
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		// An end of the family waits for the session that is opened here, or is seen here;
		// so does another switch, which then finds it.
		if _, err := tx.Exec(ctx, holdUserSQL, pgx.NamedArgs{"user_id": actor.User}); err != nil {
			return fmt.Errorf("lock user %s: %w", actor.User, err)
		}
		role, err := belongs(ctx, tx, tenant, actor.User)
		if err != nil {
			return err
		}
		from, err := m.origin(ctx, tx, actor)
		if err != nil {
			return err
		}
		s, err := enter(ctx, tx, opening{
			user: actor.User, tenant: tenant, method: from.Method, family: from.Family, agent: from.Agent, until: &from.ExpiresAt,
		}, role)
		if err != nil {
			return err
		}
		if minted, err = m.issue(ctx, tx, s, 0); err != nil {
			return err
		}
		if from.Refreshes {
			if minted.Refresh, err = m.replaceRefresh(ctx, tx, s); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, actor, s.entry("switch_tenant"))
	})
	return forgetOn(err, minted)
}

func (m *Minter) origin(ctx context.Context, tx pgx.Tx, actor session.Session) (origin, error) {
	if actor.ID.IsZero() {
		return origin{Method: ByOperator, ExpiresAt: m.until(time.Now(), 0)}, mayMove(ByOperator, actor)
	}
	from, err := pg.One[origin](ctx, tx, originAllTenantsSQL, pgx.NamedArgs{"session_id": actor.ID, "user_id": actor.User})
	switch {
	case pg.NoRow(err):
		return origin{}, sessionEnded()
	case err != nil:
		return origin{}, fmt.Errorf("read session %s: %w", actor.ID, err)
	case !from.Running:
		return origin{}, sessionEnded()
	}
	return from, mayMove(from.Method, actor)
}

const enterAgainSQL = `
UPDATE auth.sessions SET role = @role, refreshed_at = now()
WHERE ended_at IS NULL AND id = (
	SELECT id FROM auth.sessions
	WHERE family_id = @family_id AND user_id = @user_id AND tenant_id IS NOT DISTINCT FROM @tenant_id AND method = @method
		AND ended_at IS NULL AND expires_at > now() AND expires_at <= @until
	ORDER BY created_at DESC, id LIMIT 1)
RETURNING id, expires_at`

type entered struct {
	ID        id.Session `db:"id"`
	ExpiresAt time.Time  `db:"expires_at"`
}

// enter is the running session that the family has of such a kind already, or a new one.
func enter(ctx context.Context, tx pgx.Tx, o opening, role session.Role) (opened, error) {
	at, err := pg.One[entered](ctx, tx, enterAgainSQL, pgx.NamedArgs{
		"family_id": o.family, "user_id": o.user, "tenant_id": o.tenant, "method": string(o.method), "role": string(role), "until": o.until,
	})
	switch {
	case pg.NoRow(err):
		return start(ctx, tx, o, role)
	case err != nil:
		return opened{}, fmt.Errorf("enter a session of family %s again: %w", o.family, err)
	}
	return opened{ID: at.ID, Family: o.family, Tenant: o.tenant, User: o.user, Role: role, Method: o.method, ExpiresAt: at.ExpiresAt}, nil
}

const dropUnspentSQL = `
DELETE FROM auth.refresh_tokens
WHERE session_id = @session_id AND tenant_id IS NOT DISTINCT FROM @tenant_id AND spent_at IS NULL`

// replaceRefresh gives the session a first refresh token in the place of the unspent one.
func (m *Minter) replaceRefresh(ctx context.Context, tx pgx.Tx, s opened) (string, error) {
	if _, err := tx.Exec(ctx, dropUnspentSQL, pgx.NamedArgs{"session_id": s.ID, "tenant_id": s.Tenant}); err != nil {
		return "", fmt.Errorf("take back the refresh token of session %s: %w", s.ID, err)
	}
	return m.firstRefresh(ctx, tx, s)
}

func mayMove(method Method, actor session.Session) error {
	switch {
	case method == ByImpersonation || actor.Impersonator != "":
		return fault.New(fault.Forbidden, "an impersonation stays in its tenant; impersonate again for another")
	case method == ByKey:
		return fault.New(fault.Forbidden, "an API key is of one tenant; make another key there")
	}
	return nil
}
