package stripesync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// land applies a fact, settles the account and notes that the hints were answered, in one
// transaction that fails with errLate where the lease is another's by now.
func (s *Sync) land(ctx context.Context, h held, f fact) (state string, err error) {
	err = pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
		tenant, err := s.ownerOf(ctx, tx, f)
		if err != nil {
			return err
		}
		if err := s.hold(ctx, tx, h, f.customer, f.revives(tenant), f.leadsOf(tenant)); err != nil {
			return err
		}
		reason, err := s.apply(ctx, tx, f, tenant)
		if err != nil {
			return err
		}
		state, err = finish(ctx, tx, h, f.customer, reason)
		return err
	})
	return state, err
}

// revives is the reason for which objects of a customer were parked that can be followed
// now that the customer is of a tenant; empty: there are none.
func (f fact) revives(tenant id.Tenant) string {
	if f.binds == nil || tenant.IsZero() {
		return ""
	}
	return orphaned(f.customer)
}

// leadsOf are the objects to follow beside this one: of an object of no tenant the
// customer alone, who may bring the tenant in.
func (f fact) leadsOf(tenant id.Tenant) []named {
	switch {
	case !tenant.IsZero() || f.free:
		return f.leads
	case f.binds == nil && f.customer != "":
		return []named{{Customer, f.customer, f.customer}}
	}
	return nil
}

// apply returns the reason where the object parks.
func (s *Sync) apply(ctx context.Context, tx pgx.Tx, f fact, tenant id.Tenant) (reason string, err error) {
	if f.free {
		return f.apply(ctx, tx, id.Tenant{})
	}
	if tenant.IsZero() {
		return orphaned(f.customer), nil
	}
	if reason, err = f.apply(ctx, tx, tenant); err != nil {
		return "", err
	}
	_, err = s.config.Book.Settle(ctx, tx, tenant)
	return reason, err
}

// orphaned is why an object parks whose customer is of no tenant.
func orphaned(customer string) string {
	if customer == "" {
		return "it is of no customer"
	}
	return "customer " + customer + " is of no tenant here"
}

// What is of one customer is applied by one at a time: an object is not parked as of no
// tenant while the tenant comes in.
const lockCustomerAllTenantsSQL = `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('stripe customer ' || @customer, 0))`

// ownerOf is the tenant that a fact is of; zero: of none here.
func (s *Sync) ownerOf(ctx context.Context, tx pgx.Tx, f fact) (id.Tenant, error) {
	if f.customer == "" {
		return id.Tenant{}, nil
	}
	if _, err := tx.Exec(ctx, lockCustomerAllTenantsSQL, pgx.NamedArgs{"customer": f.customer}); err != nil {
		return id.Tenant{}, fmt.Errorf("lock customer %s: %w", f.customer, err)
	}
	tenant, err := billing.TenantOf(ctx, tx, f.customer)
	if err != nil || !tenant.IsZero() || f.binds == nil {
		return tenant, err
	}
	return claimed(ctx, tx, *f.binds)
}

// Operations of some kinds make a customer, each one, and what made it notes which: an
// answer that was lost leaves nothing noted.
const claimSQL = `
SELECT EXISTS (SELECT FROM billing.operations WHERE tenant_id = @tenant_id AND id = @operation
		AND kind IN ('subscribe', 'checkout', 'set_payment_method', 'start_clock')
		AND coalesce(nullif(results #>> '{customer,id}', ''), @customer) = @customer)
	AND NOT EXISTS (SELECT FROM billing.customers WHERE tenant_id = @tenant_id AND deleted_at IS NULL)`

// claimed is the tenant that a customer's metadata names, where an operation of that very
// tenant made the customer and the tenant has no other; else zero. Metadata alone says
// nothing.
func claimed(ctx context.Context, tx pgx.Tx, c billing.Customer) (id.Tenant, error) {
	if c.Tenant.IsZero() || c.Operation.IsZero() {
		return id.Tenant{}, nil
	}
	good, err := pg.Scalar[bool](ctx, tx, claimSQL, pgx.NamedArgs{"tenant_id": c.Tenant, "operation": c.Operation, "customer": c.ID})
	if err != nil {
		return id.Tenant{}, fmt.Errorf("read whether customer %s is of tenant %s: %w", c.ID, c.Tenant, err)
	}
	if !good {
		return id.Tenant{}, nil
	}
	return c.Tenant, nil
}
