package token

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

func sessionEnded() error {
	return fault.New(fault.SessionEnded, "this session has ended: it was signed out or revoked, or its time is over; sign in again")
}

type standing struct {
	Running bool `db:"running"`
	Stands  bool `db:"stands"` // and the membership too
}

// standingOf is what both questions after a session have in common: whether it and the
// membership stand, and the rows to tell from. A caller who chose no tenant may be in a
// session of one.
const standingOf = `
	s.id IS NOT NULL AND (@tenant_id::uuid IS NULL OR coalesce(t.status = 'active' AND 'tenant_' || m.role = @role, false)) AS stands
FROM (SELECT) AS one
	LEFT JOIN auth.sessions s ON s.id = @session_id AND s.user_id = @user_id AND s.ended_at IS NULL AND s.expires_at > now()
		AND (@tenant_id::uuid IS NULL OR s.tenant_id = @tenant_id)
	LEFT JOIN tenants.tenants t ON t.id = @tenant_id
	LEFT JOIN tenants.tenant_members m ON m.tenant_id = @tenant_id AND m.user_id = @user_id`

const standingSQL = `SELECT s.id IS NOT NULL AS running,` + standingOf

// Admit says whether the actor may still act: in its tenant, where it names one, with
// the faults of member.Admit, and by its session, where it names one, which has not
// ended (SessionEnded). What is wrong with the membership is told first: it is the
// reason why the session is gone. An actor without a session is judged by the
// membership, one with neither is admitted. Both walls hold the same rule.
func Admit(ctx context.Context, db pg.DB, s session.Session) error {
	if s.ID.IsZero() {
		return admitMember(ctx, db, s)
	}
	at, err := pg.One[standing](ctx, db, standingSQL, pgx.NamedArgs{
		"session_id": s.ID, "tenant_id": s.Tenant, "user_id": s.User, "role": string(s.Role),
	})
	if err != nil {
		return fmt.Errorf("read the standing of session %s: %w", s.ID, err)
	}
	if at.Stands {
		return nil
	}
	if err := admitMember(ctx, db, s); err != nil {
		return err
	}
	if !at.Running {
		return sessionEnded()
	}
	return nil
}

func admitMember(ctx context.Context, db pg.DB, s session.Session) error {
	if s.Tenant.IsZero() {
		return nil
	}
	return member.Admit(ctx, db, s)
}
