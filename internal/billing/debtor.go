package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// Both rows are held, so that neither the ownership nor the suspension ends between this
// look and what the caller does with it.
const ownedDebtorSQL = `
SELECT true FROM tenants.tenants t
	JOIN tenants.tenant_members m ON m.tenant_id = t.id AND m.user_id = @user_id AND m.role = 'owner'
	JOIN billing.accounts a ON a.tenant_id = t.id AND a.suspended_at = t.suspended_at
WHERE t.id = @tenant_id AND t.status = 'suspended' FOR SHARE OF t, m`

// OwnedDebtor reports whether the tenant is out of service by billing's doing, and not the
// operator's, and the user owns it. Both stay so until db, a transaction, ends.
func OwnedDebtor(ctx context.Context, db pg.DB, tenant id.Tenant, user id.User) (bool, error) {
	owned, err := pg.Scalar[bool](ctx, db, ownedDebtorSQL, pgx.NamedArgs{"tenant_id": tenant, "user_id": user})
	if err != nil && !pg.NoRow(err) {
		return false, fmt.Errorf("read who owns %s and why it is out of service: %w", tenant, err)
	}
	return owned, nil
}
