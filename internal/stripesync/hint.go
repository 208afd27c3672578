package stripesync

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

const hintAllTenantsSQL = `
INSERT INTO billing.stripe_objects AS o (object_id, kind, livemode, customer_id, hints)
VALUES (@object, @kind, @livemode, nullif(@customer, ''), 1)
ON CONFLICT (object_id) DO UPDATE SET hints = o.hints + 1, state = 'waiting', reason = NULL, tries = 0,
	hinted_at = now(), customer_id = coalesce(excluded.customer_id, o.customer_id)
RETURNING hints`

// hint says in a transaction that an object changed and puts a job for it in the queue.
// It returns the hint's number.
func (s *Sync) hint(ctx context.Context, tx pgx.Tx, object named) (int64, error) {
	if object.kind == Customer {
		object.customer = object.id
	}
	number, err := pg.Scalar[int64](ctx, tx, hintAllTenantsSQL, pgx.NamedArgs{
		"object": object.id, "kind": object.kind, "customer": object.customer, "livemode": s.config.Stripe.Livemode(),
	})
	if err != nil {
		return 0, fmt.Errorf("hint at %s: %w", object.id, err)
	}
	return number, s.push(ctx, tx, []string{object.id})
}

// named is an object as another names it.
type named struct {
	kind, id string
	customer string // empty: not known
}

// push puts a job for each object into the queue.
func (s *Sync) push(ctx context.Context, tx pgx.Tx, objects []string) error {
	if len(objects) == 0 {
		return nil
	}
	if err := s.config.Push(ctx, tx, objects...); err != nil {
		return fmt.Errorf("put the following of Stripe's objects in the queue: %w", err)
	}
	return nil
}

// The holder of a lease locks the object's row; what the object names and nobody follows
// yet is added, and what was parked because its customer was of no tenant is hinted at
// again. Rows are locked in the order in which billing.accept_events locks them, so that
// neither waits for the other.
const holdAllTenantsSQL = `
INSERT INTO billing.stripe_objects AS o (object_id, kind, livemode, customer_id, hints)
SELECT g.object_id, g.kind, @livemode::boolean, nullif(@customer, ''), 1 FROM (
	SELECT @object::text AS object_id, @kind::text AS kind
	UNION
	SELECT n.object_id, n.kind FROM unnest(@leads::text[], @lead_kinds::text[]) AS n (object_id, kind)
	WHERE NOT EXISTS (SELECT FROM billing.stripe_objects k WHERE k.object_id = n.object_id)
	UNION
	SELECT p.object_id, p.kind FROM billing.stripe_objects p
	WHERE p.customer_id = @customer AND p.state = 'parked' AND p.reason = @orphan) g
ORDER BY g.object_id
ON CONFLICT (object_id) DO UPDATE SET
	hints = o.hints + CASE o.state WHEN 'parked' THEN 1 ELSE 0 END,
	hinted_at = CASE o.state WHEN 'parked' THEN now() ELSE o.hinted_at END,
	state = CASE o.state WHEN 'parked' THEN 'waiting' ELSE o.state END,
	reason = CASE o.state WHEN 'parked' THEN NULL ELSE o.reason END
RETURNING o.object_id, coalesce(o.lease = @lease, false) AS ours`

type locked struct {
	Object string `db:"object_id"`
	Ours   bool   `db:"ours"`
}

// hold locks a held object for the rest of the transaction, after it has the others
// followed that the fact leads to. orphan is the reason whose objects are hinted at again;
// empty: none are. errLate: the lease is another's by now.
func (s *Sync) hold(ctx context.Context, tx pgx.Tx, h held, customer, orphan string, leads []named) error {
	ids, kinds := make([]string, len(leads)), make([]string, len(leads))
	for i, lead := range leads {
		ids[i], kinds[i] = lead.id, lead.kind
	}
	rows, err := pg.All[locked](ctx, tx, holdAllTenantsSQL, pgx.NamedArgs{
		"object": h.Object, "kind": h.Kind, "livemode": h.Livemode, "lease": h.Lease,
		"customer": customer, "orphan": orphan, "leads": ids, "lead_kinds": kinds,
	})
	if err != nil {
		return fmt.Errorf("lock %s: %w", h.Object, err)
	}
	ours := false
	var others []string
	for _, row := range rows {
		if row.Object == h.Object {
			ours = row.Ours
			continue
		}
		others = append(others, row.Object)
	}
	if !ours {
		return errLate
	}
	return s.push(ctx, tx, others)
}
