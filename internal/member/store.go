package member

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/session"
)

const columns = `tenant_id, user_id, role, joined_at, invited_by`

type locked struct {
	Member
	Kind string `db:"kind"`
}

const lockSQL = `
SELECT m.tenant_id, m.user_id, m.role, m.joined_at, m.invited_by, u.kind
FROM tenants.tenant_members m JOIN auth.users u ON u.id = m.user_id
WHERE m.tenant_id = @tenant_id AND m.user_id = @user_id FOR NO KEY UPDATE OF m`

// lock reads a member of the actor's tenant, a person, and keeps others from changing it
// until the transaction ends. Members are locked before their tenant, here and by the
// rule that an owner stays (tenants.keep_an_owner): two orders would be a deadlock.
func lock(ctx context.Context, db pg.DB, actor session.Session, user id.User) (Member, error) {
	m, err := pg.One[locked](ctx, db, lockSQL, keys(actor, user))
	switch {
	case pg.NoRow(err):
		return Member{}, notFound(user)
	case err != nil:
		return Member{}, fmt.Errorf("read member %s: %w", user, err)
	case m.Kind != person:
		return Member{}, ofAKey(user)
	}
	return m.Member, nil
}

func keys(actor session.Session, user id.User) pgx.NamedArgs {
	return pgx.NamedArgs{"tenant_id": actor.Tenant, "user_id": user}
}

// The condition is part of the statement, so that nothing can change between the look
// and the act. Of a tenant's people, row-level security holds it a second time: the
// users they do not see cannot be added.
const addSQL = `
INSERT INTO tenants.tenant_members (tenant_id, user_id, role, invited_by)
SELECT @tenant_id, u.id, @role, @invited_by
FROM auth.users u WHERE u.id = @user_id AND u.kind = 'person' AND (u.tenant_id = @tenant_id OR @any_user)
RETURNING ` + columns

// Add makes a user a member of the actor's tenant without asking that user, so that all
// but the operator may add only the tenant's own identities. A shared one joins by
// accepting an invitation. Whoever may not be added is the same not-found as nobody.
func Add(ctx context.Context, db pg.DB, actor session.Session, user id.User, role Role) (Member, error) {
	if err := mayGive(actor, role); err != nil {
		return Member{}, err
	}
	args := keys(actor, user)
	args["role"], args["invited_by"], args["any_user"] = string(role), actor.User, actor.IsOperator()
	added, err := insert(ctx, db, actor, addSQL, args)
	if !pg.NoRow(err) {
		return added, writeFault(err, user)
	}
	switch _, err := pg.One[Member](ctx, db, memberSQL, keys(actor, user)); {
	case err == nil:
		return Member{}, alreadyMember(user)
	case !pg.NoRow(err):
		return Member{}, fmt.Errorf("read member %s: %w", user, err)
	}
	return Member{}, notToBeAdded(user)
}

// insert writes a membership in the actor's tenant and its audit row.
func insert(ctx context.Context, db pg.DB, actor session.Session, sql string, args pgx.NamedArgs) (Member, error) {
	var added Member
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if added, err = pg.One[Member](ctx, tx, sql, args); err != nil {
			return err
		}
		return audit.Append(ctx, tx, actor, entry("add_member", nil, &added))
	})
	return added, err
}

// entry is the audit entry for a membership that was, is, or changed.
func entry(action string, before, after *Member) audit.Entry {
	e := audit.Entry{Action: action}
	for _, side := range []struct {
		member *Member
		values *map[string]any
	}{{before, &e.Before}, {after, &e.After}} {
		if side.member != nil {
			e.Tenant, e.Target = side.member.TenantID, "member:"+side.member.UserID.String()
			*side.values = map[string]any{"role": side.member.Role}
		}
	}
	return e
}

const updateRoleSQL = `
UPDATE tenants.tenant_members SET role = @role
WHERE tenant_id = @tenant_id AND user_id = @user_id RETURNING ` + columns

// UpdateRole gives a member another role; tokens with the former one are refused by
// the next statement.
func UpdateRole(ctx context.Context, db pg.DB, actor session.Session, user id.User, role Role) (Member, error) {
	var after Member
	err := pg.InTx(ctx, db, func(tx pgx.Tx) error {
		before, err := lock(ctx, tx, actor, user)
		if err != nil {
			return err
		}
		if err := mayGive(actor, before.Role, role); err != nil {
			return err
		}
		args := keys(actor, user)
		args["role"] = string(role)
		if after, err = pg.One[Member](ctx, tx, updateRoleSQL, args); err != nil {
			return writeFault(err, user)
		}
		return audit.Append(ctx, tx, actor, entry("update_member_role", &before, &after))
	})
	return after, err
}

const removeSQL = `
DELETE FROM tenants.tenant_members WHERE tenant_id = @tenant_id AND user_id = @user_id RETURNING ` + columns

// Remove ends a membership and returns it as it was.
func Remove(ctx context.Context, db pg.DB, actor session.Session, user id.User) (Member, error) {
	return end(ctx, db, actor, user, "remove_member")
}

// Leave ends the actor's own membership.
func Leave(ctx context.Context, db pg.DB, actor session.Session) (Member, error) {
	if actor.User.IsZero() {
		return Member{}, fault.New(fault.Forbidden, "the operator is no member; name the user with removeMember")
	}
	return end(ctx, db, actor, actor.User, "leave_tenant")
}

func end(ctx context.Context, db pg.DB, actor session.Session, user id.User, action string) (Member, error) {
	var before Member
	err := pg.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		if before, err = lock(ctx, tx, actor, user); err != nil {
			return err
		}
		if user != actor.User {
			if err := mayGive(actor, before.Role); err != nil {
				return err
			}
		}
		// The locked row is there; it is gone from sight where the actor's standing is gone.
		if _, err := pg.One[Member](ctx, tx, removeSQL, keys(actor, user)); err != nil {
			return fmt.Errorf("end the membership of user %s: %w", user, writeFault(err, user))
		}
		return audit.Append(ctx, tx, actor, entry(action, &before, nil))
	})
	return before, err
}
