package member

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/secret"
)

// vouched is true of an invitation i whose sender may send such a one still. An invitation
// must not outlive the right to make it: somebody who is put out could come back by their
// own, or let others in. Where the sender's account is gone, nobody vouches; nor does an
// API key past its time.
const vouched = `(i.by_operator OR EXISTS (SELECT FROM tenants.tenant_members m
		WHERE m.tenant_id = i.tenant_id AND m.user_id = i.invited_by
			AND (m.role = 'owner' OR (m.role = 'admin' AND i.role <> 'owner' AND NOT i.any_address))
			AND NOT EXISTS (SELECT FROM auth.api_keys k
				WHERE k.tenant_id = m.tenant_id AND k.user_id = m.user_id AND k.expires_at <= statement_timestamp())))`

// acceptable is true of an invitation i to a tenant t that Accept takes from whom it is
// for: open, in time, of a tenant in service, and sent by somebody who may send it still.
const acceptable = `i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > statement_timestamp() AND t.status = 'active'
	AND ` + vouched

const invitedSQL = `
SELECT EXISTS (SELECT FROM tenants.tenant_invitations i JOIN tenants.tenants t ON t.id = i.tenant_id
WHERE i.email = @email AND NOT i.any_address AND (i.tenant_id = @tenant_id OR @tenant_id::uuid IS NULL) AND ` + acceptable + `)`

// Invited says whether an address, in the form of text.Email, is invited to the tenant, or
// with the zero tenant to any. An invitation that any address may accept names nobody.
func Invited(ctx context.Context, db pg.DB, tenant id.Tenant, email string) (bool, error) {
	invited, err := pg.Scalar[bool](ctx, db, invitedSQL, pgx.NamedArgs{"email": email, "tenant_id": tenant})
	if err != nil {
		return false, fmt.Errorf("look for an invitation of an address: %w", err)
	}
	return invited, nil
}

const acceptableAllTenantsSQL = `
SELECT EXISTS (SELECT FROM tenants.tenant_invitations i JOIN tenants.tenants t ON t.id = i.tenant_id
WHERE i.token_hash = @hash AND ` + acceptable + `)`

// Acceptable says whether the invitation that a token opens can still be accepted by it:
// one that was sent again has another token since.
func Acceptable(ctx context.Context, db pg.DB, token string) (bool, error) {
	open, err := pg.Scalar[bool](ctx, db, acceptableAllTenantsSQL, pgx.NamedArgs{"hash": secret.Hash(token)})
	if err != nil {
		return false, fmt.Errorf("look for the invitation of a token: %w", err)
	}
	return open, nil
}
