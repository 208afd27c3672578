package histories_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/nself/tenancy/internal/fault"
	"github.com/nself/tenancy/internal/stripesync"
)

const operationsSQL = `SELECT id::text, kind FROM billing.operations WHERE tenant_id = $1`

const knownSQL = `
INSERT INTO billing.operations (tenant_id, id, kind, state, actor, ended_at)
SELECT $1, u.id::uuid, u.kind, 'done', '{}', now() FROM unnest($2::text[], $3::text[]) AS u (id, kind) ON CONFLICT DO NOTHING`

// follow has those to whom nothing happens hear of each event, in order: in some histories
// before anything else happens, in the others now and then, which costs less.
func (h *history) follow(now bool) error {
	ctx := context.Background()
	h.unheard = append(h.unheard, h.collect()...)
	if len(h.unheard) == 0 || !now && !h.close {
		return nil
	}
	fresh := h.unheard
	h.unheard = nil
	if err := h.copyOperations(ctx); err != nil {
		return err
	}
	for i, e := range fresh {
		if e.Kind == "" || again(fresh[i+1:], e) {
			continue
		}
		if err := h.refDrain(ctx); err != nil {
			return err
		}
		if err := h.ref.Now(ctx, e.Kind, e.Object, e.Customer); err != nil {
			return fmt.Errorf("beside: %w", err)
		}
	}
	return h.refDrain(ctx)
}

// refDrain does the jobs that there are beside, in turn.
func (h *history) refDrain(ctx context.Context) error {
	for busy := 0; len(h.refJobs) > 0; {
		object := h.refJobs[0]
		h.refJobs = h.refJobs[1:]
		switch err := h.ref.Object(ctx, object); {
		case err == nil:
			busy = 0
		case fault.Is(err, fault.Unavailable) && busy <= len(h.refJobs): // a clock waits for the others
			h.refJobs = append(h.refJobs, object)
			busy++
		default:
			return fmt.Errorf("beside: %w", err)
		}
	}
	return nil
}

// again reports whether another event of the same object is to come before anything else
// happens: it finds the same.
func again(next []stripesync.Event, e stripesync.Event) bool {
	return slices.ContainsFunc(next, func(n stripesync.Event) bool { return n.Object == e.Object && n.Kind == e.Kind })
}

// copyOperations has the other database know the operations too, for they say whose a
// customer is.
func (h *history) copyOperations(ctx context.Context) error {
	rows, err := h.super.Query(ctx, operationsSQL, h.tenant)
	if err != nil {
		return err
	}
	defer rows.Close()
	var ids, kinds []string
	for rows.Next() {
		var op, kind string
		if err := rows.Scan(&op, &kind); err != nil {
			return err
		}
		ids, kinds = append(ids, op), append(kinds, kind)
	}
	if rows.Err() != nil {
		return rows.Err()
	}
	_, err = h.superBeside.Exec(ctx, knownSQL, h.tenant, ids, kinds)
	return err
}
