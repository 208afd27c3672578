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

// An end of the family waits for the session that is opened here, or is seen here.
const shareUserSQL = `SELECT FROM auth.users WHERE id = @user_id FOR SHARE`

const originAllTenantsSQL = `
SELECT s.family_id, s.method, s.user_agent, s.expires_at, s.ended_at IS NULL AND s.expires_at > now() AS running,
	EXISTS (SELECT FROM auth.refresh_tokens r
		WHERE r.user_id = s.user_id AND r.session_id = s.id AND r.spent_at IS NULL AND r.expires_at > now()) AS refreshes
FROM auth.sessions s WHERE s.id = @session_id AND s.user_id = @user_id`

// Switch opens a session of the actor in another tenant, in the family of the session
// the actor is in and with no later end. It has a refresh token where that one has. An
// actor without a session, whose token is older than sessions are, gets an access token
// alone. A user who is no member is NotFound, an ended session SessionEnded; an API key
// and an impersonation stay where they are.
func (m *Minter) Switch(ctx context.Context, db pg.DB, actor session.Session, tenant id.Tenant) (Token, error) {
	if actor.User.IsZero() {
		return Token{}, fault.New(fault.Forbidden, "the operator is no member; use mintToken for a user")
	}
	var minted Token
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, shareUserSQL, pgx.NamedArgs{"user_id": actor.User}); err != nil {
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
		s, err := start(ctx, tx, opening{
			user: actor.User, tenant: tenant, method: from.Method, family: from.Family, agent: from.Agent, until: &from.ExpiresAt,
		}, role)
		if err != nil {
			return err
		}
		if minted, err = m.issue(ctx, tx, s, 0); err != nil {
			return err
		}
		if from.Refreshes {
			if minted.Refresh, err = m.firstRefresh(ctx, tx, s); err != nil {
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

func mayMove(method Method, actor session.Session) error {
	switch {
	case method == ByImpersonation || actor.Impersonator != "":
		return fault.New(fault.Forbidden, "an impersonation stays in its tenant; impersonate again for another")
	case method == ByKey:
		return fault.New(fault.Forbidden, "an API key is of one tenant; make another key there")
	}
	return nil
}
