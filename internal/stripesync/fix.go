package stripesync

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/nself/tenancy/internal/billing"
	"github.com/nself/tenancy/internal/id"
	"github.com/nself/tenancy/internal/pg"
)

// fix binds the customers that can be bound, follows each object that differs, and says
// what differs still and how many differences are gone.
func (s *Sync) fix(ctx context.Context, c *comparison) (left []Drift, fixed int, err error) {
	before := c.report.Drift
	claims := map[id.Tenant][]Drift{}
	for _, d := range before {
		if !d.claim.IsZero() {
			claims[d.claim] = append(claims[d.claim], d)
		}
	}
	for tenant, claimants := range claims {
		if len(claimants) != 1 {
			continue
		}
		bound, err := s.bind(ctx, tenant, claimants[0].ObjectID)
		if err != nil {
			return nil, 0, err
		}
		if !bound {
			continue
		}
		its, err := s.compare(ctx, &tenant, nil)
		if err != nil {
			return nil, 0, err
		}
		before = append(before, its.report.Drift...)
	}
	priced, err := s.nowPriced(ctx, c.only)
	if err != nil {
		return nil, 0, err
	}
	if _, err := s.again(ctx, append(curables(before), priced...)); err != nil {
		return nil, 0, err
	}
	left, err = s.recheck(ctx, c.only, before)
	return left, max(0, len(before)-len(left)), err
}

const pricedAllTenantsSQL = `
SELECT o.object_id FROM billing.stripe_objects o LEFT JOIN billing.customers c ON c.stripe_id = o.customer_id
WHERE o.state = 'parked' AND o.kind = 'subscription' AND (@tenant::uuid IS NULL OR c.tenant_id = @tenant::uuid)
	AND EXISTS (SELECT FROM billing.prices p WHERE starts_with(o.reason, @unpriced || p.price_id || ':'))`

// nowPriced are the subscriptions that were parked for want of a price that is known since.
func (s *Sync) nowPriced(ctx context.Context, only *id.Tenant) ([]named, error) {
	ids, err := texts(ctx, s.config.DB, pricedAllTenantsSQL, pgx.NamedArgs{"tenant": orZero(only), "unpriced": unpriced})
	if err != nil {
		return nil, fmt.Errorf("read what was parked for want of a price: %w", err)
	}
	objects := make([]named, len(ids))
	for i, object := range ids {
		objects[i] = named{kind: Subscription, id: object}
	}
	return objects, nil
}

// recheck compares anew each object that differed, as long as there is time.
func (s *Sync) recheck(ctx context.Context, only *id.Tenant, before []Drift) ([]Drift, error) {
	if len(before) == 0 {
		return nil, nil
	}
	c, err := s.newComparison(ctx, only, nil)
	if err != nil {
		return nil, err
	}
	looking, cancel := lasting(ctx)
	defer cancel()
	all := errgroup.Group{}
	all.SetLimit(atOnce)
	for _, d := range before {
		all.Go(func() error {
			if err := c.examine(looking, d.object()); err != nil && looking.Err() == nil {
				return fmt.Errorf("look at %s again: %w", d.ObjectID, err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	for _, d := range before {
		if !c.seen[d.ObjectID] {
			c.add(d)
		}
	}
	slices.SortFunc(c.report.Drift, inTurn)
	return c.report.Drift, nil
}

const bindableSQL = `
SELECT EXISTS (SELECT FROM tenants.tenants WHERE id = @tenant_id)
	AND NOT EXISTS (SELECT FROM billing.customers WHERE tenant_id = @tenant_id AND deleted_at IS NULL)`

// bind makes a customer the tenant's, on the word of whoever had differences fixed. It
// reports false where the tenant is none, or has a customer.
func (s *Sync) bind(ctx context.Context, tenant id.Tenant, customer string) (bound bool, err error) {
	there, err := s.config.Stripe.Customer(ctx, customer)
	if err != nil {
		return false, fmt.Errorf("fetch %s: %w", customer, err)
	}
	if there.Deleted || there.Tenant != tenant {
		return false, nil
	}
	err = pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
		if owner, err := s.ownerOf(ctx, tx, fact{customer: customer}); err != nil || !owner.IsZero() {
			return err
		}
		free, err := pg.Scalar[bool](ctx, tx, bindableSQL, pgx.NamedArgs{"tenant_id": tenant})
		if err != nil || !free {
			return err
		}
		bound = true
		return s.bring(ctx, tx, tenant, there)
	})
	if err != nil {
		return false, fmt.Errorf("bind %s to tenant %s: %w", customer, tenant, err)
	}
	return bound, nil
}

// bring has the customer's row there, and the customer itself followed, which hints at
// what was parked for want of a tenant.
func (s *Sync) bring(ctx context.Context, tx pgx.Tx, tenant id.Tenant, c billing.Customer) error {
	if _, err := s.hint(ctx, tx, []named{{Customer, c.ID, c.ID}}); err != nil {
		return err
	}
	return s.config.Book.ApplyCustomer(ctx, tx, tenant, c)
}

const onTheWayAllTenantsSQL = `
SELECT object_id FROM billing.stripe_objects WHERE object_id = ANY (@objects::text[])
	AND (hinted_at >= @start OR applied_at >= @start OR state = 'waiting' AND tries = 0 AND hinted_at > @start - interval '2 minutes')`

// settled are the differences without those of objects that changed while the lists were
// gone through, or that somebody follows just now.
func (s *Sync) settled(ctx context.Context, c *comparison) ([]Drift, error) {
	found := c.report.Drift
	ids := make([]string, len(found))
	for i, d := range found {
		ids[i] = d.ObjectID
	}
	moving, err := texts(ctx, s.config.DB, onTheWayAllTenantsSQL, pgx.NamedArgs{"objects": ids, "start": c.start})
	if err != nil {
		return nil, fmt.Errorf("read what is on the way: %w", err)
	}
	onTheWay := setOf(moving)
	return slices.DeleteFunc(found, func(d Drift) bool { return onTheWay[d.ObjectID] }), nil
}

const forgetDriftAllTenantsSQL = `DELETE FROM billing.drift WHERE @tenant::uuid IS NULL OR tenant_id = @tenant::uuid`

const noteDriftSQL = `
INSERT INTO billing.drift (tenant_id, object_id, what, here, there, found_at)
SELECT t.id, @object, @what, nullif(@here, ''), nullif(@there, ''), @found_at FROM tenants.tenants t WHERE t.id = @tenant_id
ON CONFLICT (tenant_id, object_id, what) DO UPDATE SET here = excluded.here, there = excluded.there, found_at = excluded.found_at`

// writeDrift puts the differences in place of those found before.
func (s *Sync) writeDrift(ctx context.Context, only *id.Tenant, found []Drift) error {
	now := time.Now()
	return pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(forgetDriftAllTenantsSQL, pgx.NamedArgs{"tenant": orZero(only)})
		for _, d := range found {
			if d.TenantID.IsZero() {
				continue
			}
			batch.Queue(noteDriftSQL, pgx.NamedArgs{
				"tenant_id": d.TenantID, "object": d.ObjectID, "what": d.What, "here": brief(d.Here), "there": brief(d.There), "found_at": now,
			})
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("write what differs: %w", err)
		}
		return nil
	})
}
