package move

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// changed names a table that is not as it was, or "".
func (p Plan) changed(now Plan) string {
	if len(p.Tables) != len(now.Tables) {
		return "the list of tables"
	}
	for i, t := range p.Tables {
		n := now.Tables[i]
		if t.Shared.Table != n.Shared.Table || t.Own.Table != n.Own.Table {
			return "the list of tables"
		}
		for _, pair := range [2][2]Side{{t.Shared, n.Shared}, {t.Own, n.Own}} {
			if !pair[0].Shape.same(pair[1].Shape) {
				return pair[0].Table.String()
			}
		}
	}
	return ""
}

func (s *shape) same(other *shape) bool {
	one, err := json.Marshal(s.steady())
	if err != nil {
		return false
	}
	two, err := json.Marshal(other.steady())
	return err == nil && string(one) == string(two)
}

// sides are the tables of the move in one place.
func (r *run) sides(of func(Table) Side) []Side {
	var all []Side
	for _, t := range r.move.plan.Tables {
		all = append(all, of(t))
	}
	return all
}

// everything is every table of the move, in both places.
func (r *run) everything() []string {
	var all []string
	for _, t := range r.move.plan.Tables {
		all = append(all, t.Shared.sql(), t.Own.sql())
	}
	return all
}

// capture has the source note its changes, and closes the target to everyone but the move,
// table by table: a lock of one alone no writer can be in the way of for long. Making a
// trigger waits for writers that had begun before, which know of none.
func (r *run) capture(ctx context.Context) error {
	if err := execAll(ctx, r.conn, []string{"CREATE SEQUENCE IF NOT EXISTS nself." + r.move.gate()}); err != nil {
		return fmt.Errorf("make the gate of the move: %w", err)
	}
	for _, t := range r.move.plan.Tables {
		source, target := r.move.plan.source(t), r.move.plan.target(t)
		if err := r.watch(ctx, target, r.sql.watch(t, target, source, atTarget)); err != nil {
			return err
		}
		var some bool
		if err := r.conn.QueryRow(ctx, r.sql.any(target), plainly).Scan(&some); err != nil {
			return err
		}
		if some {
			return fmt.Errorf("%s has rows of %s already, and the copy begins with none: take the move back with --undo, which leaves them, and remove them", target.Table, r.move.Slug)
		}
		if err := r.watch(ctx, source, r.sql.watch(t, source, target, atSource)); err != nil {
			return err
		}
	}
	err := r.promise(ctx, func(p *Progress) { p.Captured = true })
	if err == nil {
		r.tell("changes of %d tables are noted from now on", len(r.move.plan.Tables))
	}
	return err
}

func (r *run) watch(ctx context.Context, s Side, triggers []string) error {
	err := r.inTx(ctx, "watching "+s.Table.String(), func(tx pgx.Tx) error {
		if err := lock(ctx, tx, []string{s.sql()}, r.in.MaxWait); err != nil {
			return err
		}
		return execAll(ctx, tx, triggers)
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", s.Table, err)
	}
	return nil
}
