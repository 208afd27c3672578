package move

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/audit"
)

// resume takes up the tenant's open move; what says what for.
func resume(ctx context.Context, conn *pgx.Conn, in Input, what string) (*run, error) {
	r, err := take(ctx, conn, in)
	if err != nil {
		return nil, err
	}
	_, found, err := r.openMove(ctx)
	if err == nil && !found {
		err = fmt.Errorf("%s has no move to %s", r.who.Slug, what)
	}
	if err != nil {
		r.release(ctx)
		return nil, err
	}
	return r, nil
}

// Confirm ends a move that was cut over: the source is removed, and there is no way back.
func Confirm(ctx context.Context, conn *pgx.Conn, in Input) (Move, error) {
	r, err := resume(ctx, conn, in, "confirm")
	if err != nil {
		return Move{}, err
	}
	defer r.release(ctx)
	switch {
	case r.move.Progress.Undoing:
		return r.move, fmt.Errorf("the move of %s is being taken back: go on with --undo", r.who.Slug)
	case r.move.State != Cut:
		return r.move, fmt.Errorf("%s has not moved yet: run nself tenant move %s --to %s", r.who.Slug, r.who.Slug, r.move.To)
	}
	if !r.move.Progress.Confirming {
		if err := r.promise(ctx, func(p *Progress) { p.Confirming = true }); err != nil {
			return r.move, err
		}
	}
	if err := r.finish(ctx, r.move.plan.target, r.move.plan.source, r.move.To == ToRLS); err != nil {
		return r.move, err
	}
	return r.ended(ctx, Confirmed, "confirm_move")
}

// Undo takes a move back, whatever was done of it. After the cut-over what changed since
// goes back with the tenant, under a lock as short as the cut-over's.
func Undo(ctx context.Context, conn *pgx.Conn, in Input) (Move, error) {
	r, err := resume(ctx, conn, in, "take back")
	if err != nil {
		return Move{}, err
	}
	defer r.release(ctx)
	if r.move.Progress.Confirming {
		return r.move, fmt.Errorf("the move of %s is confirmed, and its source is being removed: go on with --confirm", r.who.Slug)
	}
	if r.move.State == Cut {
		if err := r.switchBack(ctx); err != nil {
			return r.move, err
		}
	} else if !r.move.Progress.Undoing {
		if err := r.promise(ctx, func(p *Progress) { p.Undoing = true }); err != nil {
			return r.move, err
		}
	}
	// What is at a target that was not closed yet was not copied there.
	if r.move.Progress.Captured || r.move.plan.Made {
		err = r.finish(ctx, r.move.plan.source, r.move.plan.target, r.move.plan.Made)
	} else if err = r.unwatch(ctx, r.move.plan.source); err == nil {
		err = r.unwatch(ctx, r.move.plan.target)
	}
	if err != nil {
		return r.move, err
	}
	return r.ended(ctx, Undone, "end_undone_move")
}

// switchBack is the cut-over the other way.
func (r *run) switchBack(ctx context.Context) error {
	if err := r.refresh(ctx, r.conn); err != nil {
		return err
	}
	locked, err := r.switchOver(ctx, "the way back", true, func(tx pgx.Tx, m *Move) error {
		m.State, m.Progress.Undoing = Copying, true
		return m.flip(ctx, tx, m.To.other())
	})
	if err == nil {
		r.tell("%s lives where it came from again; writers were kept out for %v", r.move.Slug, rounded(locked))
	}
	return err
}

// promise keeps a decision, before anything is done that cannot be undone.
func (r *run) promise(ctx context.Context, decide func(*Progress)) error {
	next := r.move.copied()
	decide(&next.Progress)
	if err := next.save(ctx, r.conn); err != nil {
		return err
	}
	r.move = next
	return nil
}

// finish takes the triggers off the place that stays, removes the tenant's rows (or the
// whole schema) from the place that goes, and opens that again.
func (r *run) finish(ctx context.Context, stays, goes func(Table) Side, schemaGoes bool) error {
	if err := r.unwatch(ctx, stays); err != nil {
		return err
	}
	if schemaGoes {
		err := r.inTx(ctx, "removing the schema", func(tx pgx.Tx) error {
			if err := execAll(ctx, tx, []string{fmt.Sprintf("SET LOCAL lock_timeout = %d", r.in.MaxWait.Milliseconds())}); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, dropSchemaSQL, pgx.NamedArgs{"tenant_id": r.move.Tenant})
			return err
		})
		if err != nil {
			return fmt.Errorf("remove the schema %s: %w", r.move.Schema, err)
		}
		r.tell("the schema %s is removed", r.move.Schema)
		return nil
	}
	if err := r.clear(ctx, goes); err != nil {
		return err
	}
	return r.unwatch(ctx, goes)
}

// unwatch drops the triggers of a place, table by table: only that needs a lock which keeps
// readers out too.
func (r *run) unwatch(ctx context.Context, of func(Table) Side) error {
	for _, s := range r.sides(of) {
		err := r.inTx(ctx, "taking the triggers off "+s.Table.String(), func(tx pgx.Tx) error {
			var there bool
			if err := tx.QueryRow(ctx, "VALUES (to_regclass($1::text) IS NOT NULL)", plainly, s.sql()).Scan(&there); err != nil || !there {
				return err
			}
			if err := lockMode(ctx, tx, []string{s.sql()}, r.in.MaxWait, "ACCESS EXCLUSIVE"); err != nil {
				return err
			}
			return execAll(ctx, tx, r.sql.drop(s))
		})
		if err != nil {
			return fmt.Errorf("take the triggers off %s: %w", s.Table, err)
		}
	}
	return nil
}

// clear deletes the tenant's rows in batches, those that refer to others first.
func (r *run) clear(ctx context.Context, of func(Table) Side) error {
	for _, group := range r.move.plan.backwards() {
		if err := r.clearGroup(ctx, group, of); err != nil {
			return fmt.Errorf("remove the rows of %s: %w", of(r.move.plan.Tables[group[0]]).Table, err)
		}
	}
	return nil
}

func (r *run) clearGroup(ctx context.Context, group []int, of func(Table) Side) error {
	var sides []Side
	for _, at := range group {
		sides = append(sides, of(r.move.plan.Tables[at]))
	}
	if r.move.plan.atOnce(group) {
		return r.inTx(ctx, "removing rows", func(tx pgx.Tx) error {
			return r.written(ctx, tx, sides, func() error { return execAll(ctx, tx, []string{r.sql.clearAll(sides)}) })
		})
	}
	for i, at := range group {
		if err := r.clearPages(ctx, r.move.plan.Tables[at], sides[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) clearPages(ctx context.Context, t Table, s Side) error {
	batch, at, all := r.batch(s), "", int64(0)
	for {
		args := []any{plainly, batch}
		if at != "" {
			args = append(args, at)
		}
		var rows int64
		var last string
		err := r.inTx(ctx, "removing rows of "+s.Table.String(), func(tx pgx.Tx) error {
			return r.written(ctx, tx, []Side{s}, func() error {
				return tx.QueryRow(ctx, r.sql.clear(s, t, at == ""), args...).Scan(&rows, &last)
			})
		})
		if err != nil {
			return err
		}
		all, at = all+rows, last
		if rows < int64(batch) {
			r.tell("%d rows removed from %s", all, s.Table)
			return nil
		}
		if err := sleep(ctx, r.in.Pause); err != nil {
			return err
		}
	}
}

// ended writes down that the move is over.
func (r *run) ended(ctx context.Context, state State, action string) (Move, error) {
	err := r.inTx(ctx, "ending the move", func(tx pgx.Tx) error {
		if err := r.move.forget(ctx, tx); err != nil {
			return err
		}
		if err := execAll(ctx, tx, []string{"DROP SEQUENCE IF EXISTS nself." + r.move.gate()}); err != nil {
			return err
		}
		next := r.move
		next.State = state
		if err := next.end(ctx, tx); err != nil {
			return err
		}
		return audit.Append(ctx, tx, operator, audit.Entry{Tenant: next.Tenant, Action: action, Target: "move:" + next.ID,
			After: map[string]any{"state": string(state)}})
	})
	if err != nil {
		return r.move, fmt.Errorf("end the move: %w", err)
	}
	m, _, err := latest(ctx, r.conn, r.who)
	return m, err
}
