package histories_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
)

// rowsSQL is all that is known of a tenant, but for when it was written.
const rowsSQL = `
SELECT jsonb_build_object(
	'tenant', (SELECT jsonb_build_object('plan', t.plan, 'status', t.status) FROM tenants.tenants t WHERE t.id = $1),
	'account', (SELECT to_jsonb(a) - 'updated_at' - 'suspended_at' || jsonb_build_object('suspended', a.suspended_at IS NOT NULL) FROM billing.accounts a WHERE a.tenant_id = $1),
	'cycle', (SELECT c.anchor_at FROM billing.billing_cycles c WHERE c.tenant_id = $1),
	'customer', (SELECT to_jsonb(c) - 'updated_at' - 'deleted_at' || jsonb_build_object('deleted', c.deleted_at IS NOT NULL) FROM billing.customers c WHERE c.tenant_id = $1),
	'subscriptions', (SELECT jsonb_agg(to_jsonb(s) - 'updated_at' ORDER BY s.stripe_id) FROM billing.subscriptions s WHERE s.tenant_id = $1),
	'items', (SELECT jsonb_agg(to_jsonb(i) ORDER BY i.stripe_id) FROM billing.subscription_items i WHERE i.tenant_id = $1),
	'invoices', (SELECT jsonb_agg(to_jsonb(i) - 'updated_at' ORDER BY i.stripe_id) FROM billing.invoices i WHERE i.tenant_id = $1),
	'payments', (SELECT jsonb_agg(to_jsonb(p) - 'updated_at' ORDER BY p.stripe_id) FROM billing.payments p WHERE p.tenant_id = $1),
	'methods', (SELECT jsonb_agg(to_jsonb(m) - 'updated_at' ORDER BY m.stripe_id) FROM billing.payment_methods m WHERE m.tenant_id = $1),
	'addons', (SELECT jsonb_agg(to_jsonb(a) - 'updated_at' ORDER BY a.addon) FROM billing.tenant_addons a WHERE a.tenant_id = $1),
	'receipts', (SELECT jsonb_agg(e.key ORDER BY e.key) FROM billing.effects e WHERE e.tenant_id = $1 AND e.key LIKE 'invoice:%'))::text`

// judge demands what has to be true at the end of a history.
func (h *history) judge() error {
	for _, demand := range []func() error{h.atRest, h.rows, h.effects, h.charges} {
		if err := demand(); err != nil {
			return err
		}
	}
	return nil
}

const restlessSQL = `
SELECT coalesce(array_agg(object_id || ' is ' || state || coalesce(', ' || reason, '') || CASE WHEN hints > applied THEN ', newer hints came' ELSE '' END), '{}')
FROM billing.stripe_objects WHERE object_id = ANY ($1) AND (state <> 'applied' AND reason IS DISTINCT FROM $2 OR hints > applied)`

// atRest demands that nothing is left to do where no job is left to do it.
func (h *history) atRest() error {
	const orphan = "it is of no customer"
	left, err := read[[]string](h.super, restlessSQL, h.known, orphan)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left, with no job for it: %v", left)
	}
	return err
}

// rows demands that everything stands here as it does beside, where nothing went wrong.
func (h *history) rows() error {
	here, err := read[string](h.super, rowsSQL, h.tenant)
	if err != nil {
		return err
	}
	beside, err := read[string](h.superBeside, rowsSQL, h.tenant)
	if err != nil {
		return err
	}
	if here != beside {
		var a, b any
		if err := errors.Join(json.Unmarshal([]byte(here), &a), json.Unmarshal([]byte(beside), &b)); err != nil {
			return err
		}
		return fmt.Errorf("the end differs from that in order (-in order +here):\n%s", cmp.Diff(b, a))
	}
	return nil
}

const forgetSQL = `
WITH objects AS (DELETE FROM billing.stripe_objects WHERE object_id = ANY ($2)),
	events AS (DELETE FROM billing.stripe_events WHERE object_id = ANY ($2))
DELETE FROM billing.customers WHERE tenant_id = $1`

// forget takes away what those to come would have to be looked for among.
func (h *history) forget() error {
	for _, pool := range []*pgxpool.Pool{h.super, h.superBeside} {
		if _, err := pool.Exec(context.Background(), forgetSQL, h.tenant, h.known); err != nil {
			return fmt.Errorf("forget the history: %w", err)
		}
	}
	return nil
}
