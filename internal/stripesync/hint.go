package stripesync

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/pg"
)

// What is locked is locked in the order in which billing.accept_events locks it.
const hintAllTenantsSQL = `
INSERT INTO billing.stripe_objects AS o (object_id, kind, livemode, customer_id, hints)
SELECT DISTINCT ON (g.object_id) g.object_id, g.kind, @livemode::boolean, nullif(g.customer, ''), 1
FROM unnest(@objects::text[], @kinds::text[], @customers::text[]) AS g (object_id, kind, customer)
ORDER BY g.object_id
ON CONFLICT (object_id) DO UPDATE SET hints = o.hints + 1, state = 'waiting', reason = NULL, tries = 0,
	hinted_at = now(), customer_id = coalesce(excluded.customer_id, o.customer_id)
RETURNING o.object_id, o.hints`

type hinted struct {
	Object string `db:"object_id"`
	Number int64  `db:"hints"`
}

// hint says in a transaction that objects changed and puts a job for each in the queue. It
// returns the number that each hint has, one for an object that is named twice.
func (s *Sync) hint(ctx context.Context, tx pgx.Tx, objects []named) ([]hinted, error) {
	ids, kinds, customers := make([]string, len(objects)), make([]string, len(objects)), make([]string, len(objects))
	for i, object := range objects {
		ids[i], kinds[i], customers[i] = object.id, object.kind, object.customer
		if object.kind == Customer {
			customers[i] = object.id
		}
	}
	rows, err := pg.All[hinted](ctx, tx, hintAllTenantsSQL, pgx.NamedArgs{
		"objects": ids, "kinds": kinds, "customers": customers, "livemode": s.config.Stripe.Livemode(),
	})
	if err != nil {
		return nil, fmt.Errorf("hint at %d objects of Stripe: %w", len(objects), err)
	}
	pushed := make([]string, len(rows))
	for i, row := range rows {
		pushed[i] = row.Object
	}
	return rows, s.push(ctx, tx, pushed)
}

// hintAll hints at objects, many in a transaction, and returns the number that each hint
// has, by its object.
func (s *Sync) hintAll(ctx context.Context, objects []named) (map[string]int64, error) {
	numbers := make(map[string]int64, len(objects))
	for some := range slices.Chunk(objects, pg.Batch) {
		err := pg.InTx(ctx, s.config.DB, func(tx pgx.Tx) error {
			noted, err := s.hint(ctx, tx, some)
			for _, hint := range noted {
				numbers[hint.Object] = hint.Number
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return numbers, nil
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
