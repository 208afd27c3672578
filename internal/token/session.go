package token

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

const endSessionsSQL = `
UPDATE auth.sessions SET ended_at = now(), end_reason = @reason
WHERE tenant_id = @tenant_id AND ended_at IS NULL AND created_at <= @until`

// EndSessions ends every session of the actor's tenant opened until then and records how
// many.
// Sessions opened later stay: an event may arrive after the tenant is back in service.
func EndSessions(ctx context.Context, db pg.DB, actor session.Session, until time.Time, reason string) error {
	return pg.InTx(ctx, db, func(tx pgx.Tx) error {
		ended, err := tx.Exec(ctx, endSessionsSQL, pgx.NamedArgs{"tenant_id": actor.Tenant, "until": until, "reason": reason})
		if err != nil {
			return fmt.Errorf("end the sessions of tenant %s: %w", actor.Tenant, err)
		}
		return audit.Append(ctx, tx, actor, audit.Entry{
			Tenant: actor.Tenant, Action: "end_sessions", Target: "tenant:" + actor.Tenant.String(),
			After: map[string]any{"reason": reason, "ended": ended.RowsAffected()},
		})
	})
}
