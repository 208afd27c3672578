package member

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

// The kinds of users: whoever can sign in, and the identity of an API key.
const person = "person"

const addServiceSQL = `
INSERT INTO tenants.tenant_members (tenant_id, user_id, role, invited_by)
SELECT @tenant_id, u.id, @role, @invited_by
FROM auth.users u WHERE u.id = @user_id AND u.tenant_id = @tenant_id AND u.kind = 'service'
RETURNING ` + columns

// AddService makes the identity of an API key a member of the actor's tenant. It is part
// of making the key, whose audit row tells it.
func AddService(ctx context.Context, tx pgx.Tx, actor session.Session, user id.User, role Role) error {
	args := keys(actor, user)
	args["role"], args["invited_by"] = string(role), actor.User
	if _, err := pg.One[Member](ctx, tx, addServiceSQL, args); err != nil {
		return fmt.Errorf("make the identity %s of an API key a member: %w", user, writeFault(err, user))
	}
	return nil
}

const removeServiceSQL = `
DELETE FROM tenants.tenant_members m USING auth.users u
WHERE m.tenant_id = @tenant_id AND m.user_id = @user_id AND u.id = m.user_id AND u.kind = 'service'`

// RemoveService ends the membership of an API key's identity, and with it the key's
// session. One that is gone already is no error. It completes what the caller has done to
// the key, so it runs as the server: were the actor's standing lost in between, row-level
// security would leave a revoked key at work.
func RemoveService(ctx context.Context, tx pgx.Tx, actor session.Session, user id.User) error {
	err := pg.AsServer(ctx, tx, func() error {
		_, err := tx.Exec(ctx, removeServiceSQL, keys(actor, user))
		return err
	})
	if err != nil {
		return fmt.Errorf("end the membership of the identity %s of an API key: %w", user, err)
	}
	return nil
}
