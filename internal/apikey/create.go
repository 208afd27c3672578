package apikey

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/member"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
	"github.com/nself/tenancy/internal/session"
	"github.com/nself/tenancy/internal/token"
)

const insertIdentitySQL = `
INSERT INTO auth.users (id, tenant_id, kind, email, name)
VALUES (@user_id::uuid, @tenant_id, 'service', (@user_id::uuid)::text || '@key.invalid', @name)`

const insertSQL = `
INSERT INTO auth.api_keys (tenant_id, name, prefix, key_hash, role, user_id, created_by, expires_at)
VALUES (@tenant_id, @name, @prefix, @hash, @role, @user_id, @created_by, @expires_at)
RETURNING ` + columns

// Held until the key is there: whoever takes the maker's right away waits, and then ends
// the key too (tenants.end_keys_of_maker).
const holdMakerSQL = `
SELECT role FROM tenants.tenant_members
WHERE tenant_id = @tenant_id AND user_id = @created_by AND role IN ('owner', 'admin') FOR SHARE`

const byServiceSQL = `
SELECT EXISTS (SELECT FROM auth.users WHERE id = @created_by AND tenant_id = @tenant_id AND kind = 'service')`

// Create makes a key of the actor's tenant with the identity it acts as and the session
// it acts in. The key is in Plain of the result and nowhere else. A key makes no keys, or
// one that got out would outlive its revocation: that is Forbidden. The key ends when its
// maker is no owner or admin of the tenant any more; the operator's has no maker.
func Create(ctx context.Context, tx pgx.Tx, actor session.Session, minter *token.Minter, in CreateInput) (Key, error) {
	plain, prefix := newKey()
	args := pgx.NamedArgs{
		"tenant_id": actor.Tenant, "user_id": id.New[id.User](), "name": in.Name, "prefix": prefix, "hash": secret.Hash(plain),
		"role": string(in.Role), "created_by": actor.User, "expires_at": in.ExpiresAt,
	}
	switch machine, err := pg.Scalar[bool](ctx, tx, byServiceSQL, args); {
	case err != nil:
		return Key{}, fmt.Errorf("look whether user %s is the identity of an API key: %w", actor.User, err)
	case machine:
		return Key{}, fault.New(fault.Forbidden, "an API key makes no API keys; a person, who is an owner or admin, does")
	}
	if actor.IsOperator() {
		args["created_by"] = id.User{} // nobody whose leaving would end it
	} else if _, err := pg.Scalar[string](ctx, tx, holdMakerSQL, args); err != nil {
		return Key{}, fmt.Errorf("hold the membership of user %s: %w", actor.User, err)
	}
	if err := identify(ctx, tx, actor, args); err != nil {
		return Key{}, err
	}
	made, err := pg.One[Key](ctx, tx, insertSQL, args)
	if err != nil {
		return Key{}, fmt.Errorf("store API key %q: %w", in.Name, err)
	}
	made.Plain = plain
	err = minter.OpenForKey(ctx, tx, actor, token.KeySession{
		User: made.UserID, Tenant: made.TenantID, Role: made.Role.Session(), ExpiresAt: made.ExpiresAt,
	})
	if err != nil {
		return Key{}, fmt.Errorf("open the session of API key %s: %w", made.ID, err)
	}
	return made, audit.Append(ctx, tx, actor, entry("create_api_key", made))
}

// identify makes the identity of a key and its membership. No tenant writes users, so the
// first is written as the server.
func identify(ctx context.Context, tx pgx.Tx, actor session.Session, args pgx.NamedArgs) error {
	err := pg.AsServer(ctx, tx, func() error {
		_, err := tx.Exec(ctx, insertIdentitySQL, args)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the identity of API key %q: %w", args["name"], err)
	}
	return member.AddService(ctx, tx, actor, args["user_id"].(id.User), member.Role(args["role"].(string)))
}

func entry(action string, k Key) audit.Entry {
	return audit.Entry{
		Tenant: k.TenantID, Action: action, Target: "api_key:" + k.ID.String(),
		After: map[string]any{
			"name": k.Name, "prefix": k.Prefix, "role": k.Role, "user_id": k.UserID,
			"expires_at": k.ExpiresAt, "revoked_at": k.RevokedAt,
		},
	}
}

const lockSQL = `
SELECT ` + columns + ` FROM auth.api_keys WHERE tenant_id = @tenant_id AND id = @key_id FOR NO KEY UPDATE`

const revokeSQL = `
UPDATE auth.api_keys SET revoked_at = now() WHERE tenant_id = @tenant_id AND id = @key_id RETURNING ` + columns

// Revoke ends a key of the actor's tenant and, by its membership, the session of whatever
// acts with it now. Its identity stays, for the log. Revoking again changes nothing.
func Revoke(ctx context.Context, tx pgx.Tx, actor session.Session, key id.APIKey) (Key, error) {
	args := pgx.NamedArgs{"tenant_id": actor.Tenant, "key_id": key}
	k, err := pg.One[Key](ctx, tx, lockSQL, args)
	switch {
	case pg.NoRow(err):
		return Key{}, fault.New(fault.NotFound, "there is no API key %s in this tenant", key)
	case err != nil:
		return Key{}, fmt.Errorf("read API key %s: %w", key, err)
	case k.RevokedAt != nil:
		return k, nil
	}
	if k, err = pg.One[Key](ctx, tx, revokeSQL, args); err != nil {
		return Key{}, fmt.Errorf("revoke API key %s: %w", key, err)
	}
	if err := audit.Append(ctx, tx, actor, entry("revoke_api_key", k)); err != nil {
		return Key{}, err
	}
	return k, member.RemoveService(ctx, tx, actor, k.UserID)
}
