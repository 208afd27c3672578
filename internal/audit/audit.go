// Package audit appends to the audit log: one row per change, in the transaction of
// the change, saying who did what to which target. Rows written past this server (the
// operator through Hasura, a maintenance session) are recorded by a trigger instead.
// Nothing here reads or changes a row that was written.
package audit

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// Entry is one change.
type Entry struct {
	Tenant id.Tenant
	Action string         // what was done, such as "suspend_tenant"
	Target string         // to what: kind and key, such as "member:<user id>"
	Before map[string]any // the values that changed, as they were; nil for something new
	After  map[string]any // the values that changed, as they are; nil for something gone
}

const appendSQL = `
INSERT INTO audit.log (tenant_id, actor_user_id, actor_role, action, target, before, after, request_id, session_id, impersonator)
VALUES (@tenant_id, @actor_user_id, @actor_role, @action, @target, @before, @after, nullif(@request_id, ''), @session_id, nullif(@impersonator, ''))`

// Append records e as done by actor.
func Append(ctx context.Context, db pg.DB, actor session.Session, e Entry) error {
	_, err := db.Exec(ctx, appendSQL, pgx.NamedArgs{
		"tenant_id": e.Tenant, "actor_user_id": actor.User, "actor_role": string(actor.Role),
		"action": e.Action, "target": e.Target, "before": e.Before, "after": e.After, "request_id": actor.RequestID,
		"session_id": actor.ID, "impersonator": actor.Impersonator,
	})
	if err != nil {
		return fmt.Errorf("append %s to the audit log: %w", e.Action, err)
	}
	return nil
}
