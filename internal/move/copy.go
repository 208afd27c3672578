package move

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nself/tenancy/internal/pg"
)

// quietBatch is how many rows are copied at once where the target's triggers have to be
// stopped meanwhile: writers of other tenants wait for that.
const quietBatch = 1000

// copy copies what was not copied yet, the tables that are referred to first.
func (r *run) copy(ctx context.Context) error {
	for _, group := range r.move.plan.Groups {
		var tables []Table
		for _, at := range group {
			tables = append(tables, r.move.plan.Tables[at])
		}
		began := time.Now()
		tables = slices.DeleteFunc(tables, func(t Table) bool { return r.move.Progress.Tables[t.name()].Done })
		if err := r.copyGroup(ctx, tables, r.move.plan.atOnce(group)); err != nil {
			return err
		}
		for _, t := range tables {
			c := r.move.Progress.Tables[t.name()]
			r.tell("%s copied: %d rows in %v", t.name(), c.Rows, rounded(time.Since(began)))
		}
	}
	if r.move.To == ToSchema {
		return r.analyze(ctx)
	}
	return nil
}

func (r *run) copyGroup(ctx context.Context, tables []Table, atOnce bool) error {
	if atOnce && len(tables) > 0 {
		return r.copyWhole(ctx, tables)
	}
	for _, t := range tables {
		if err := r.copyPages(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// analyze tells the planner of the new tables, so that the cut-over finds its way in them.
func (r *run) analyze(ctx context.Context) error {
	for _, s := range r.sides(r.move.plan.target) {
		if _, err := r.conn.Exec(ctx, "ANALYZE "+s.sql(), plainly); err != nil {
			return fmt.Errorf("analyze %s: %w", s.Table, err)
		}
	}
	return nil
}

// copyWhole copies tables whose rows refer to one another.
func (r *run) copyWhole(ctx context.Context, tables []Table) error {
	return r.step(ctx, "copying "+tables[0].name(), tables, func(tx pgx.Tx, next *Move) error {
		var rows []int64
		if err := tx.QueryRow(ctx, r.sql.whole(next.plan, tables), plainly).Scan(&rows); err != nil {
			return fmt.Errorf("copy %s: %w", tables[0].name(), err)
		}
		for i, t := range tables {
			next.Progress.Tables[t.name()].Rows, next.Progress.Tables[t.name()].Done = rows[i], true
		}
		return nil
	})
}

// copyPages copies a table page by page, each in its own transaction.
func (r *run) copyPages(ctx context.Context, t Table) error {
	pace := newPace(r.move.Progress.Tables[t.name()].Rows)
	for {
		batch := r.batch(r.move.plan.target(t))
		err := r.step(ctx, "copying "+t.name(), []Table{t}, func(tx pgx.Tx, next *Move) error {
			return r.page(ctx, tx, t, next.Progress.Tables[t.name()], batch)
		})
		if err != nil {
			return err
		}
		c := r.move.Progress.Tables[t.name()]
		if pace.due() {
			r.tell("%s", pace.say(t.name(), c))
		}
		if c.Done {
			return nil
		}
		if err := sleep(ctx, r.in.Pause); err != nil {
			return err
		}
	}
}

// batch is how many rows of a side are written at once.
func (r *run) batch(s Side) int {
	if !r.move.plan.Silent && len(s.Shape.Triggers) > 0 && s.Tenant != "" {
		return min(r.in.Batch, quietBatch)
	}
	return r.in.Batch
}

func (r *run) page(ctx context.Context, tx pgx.Tx, t Table, c *Copy, batch int) error {
	args := []any{plainly, batch}
	if c.At != "" {
		args = append(args, c.At)
	}
	var rows int64
	var at string
	statement := r.sql.page(r.move.plan.source(t), r.move.plan.target(t), t, c.At == "")
	if err := tx.QueryRow(ctx, statement, args...).Scan(&rows, &at); err != nil {
		return fmt.Errorf("copy %s: %w", t.name(), err)
	}
	c.Rows += rows
	c.Done = rows < int64(batch)
	if at != "" {
		c.At = at
	}
	return nil
}

// step does one step of the copy in a snapshot, after what the snapshot sees of changes was
// carried over: so the rows that are copied agree with those that were, and whatever they
// refer to is there. The step's progress is kept in the same transaction.
func (r *run) step(ctx context.Context, what string, tables []Table, work func(tx pgx.Tx, next *Move) error) error {
	var next Move
	var carried int64
	err := r.inSnapshot(ctx, what, func(tx pgx.Tx) error {
		next = r.move.copied()
		var err error
		if carried, err = r.drain(ctx, tx, r.pairs(false)); err != nil {
			return err
		}
		var sides []Side
		for _, t := range tables {
			sides = append(sides, next.plan.target(t))
		}
		if err := r.written(ctx, tx, sides, func() error { return work(tx, &next) }); err != nil {
			return err
		}
		return next.save(ctx, tx)
	})
	if err != nil {
		return err
	}
	r.move = next
	return r.sweep(ctx, carried)
}

// copied is the move with a progress of its own.
func (m Move) copied() Move {
	tables := map[string]*Copy{}
	for name, c := range m.Progress.Tables {
		own := *c
		tables[name] = &own
	}
	m.Progress.Tables = tables
	return m
}

// pairs are the tables of which changes are carried over: those whose copy has begun. What
// changes in the others is read when they are copied. back is the way from the target.
func (r *run) pairs(back bool) []pair {
	var all []pair
	for _, t := range r.move.plan.Tables {
		p := pair{table: t, from: r.move.plan.source(t), to: r.move.plan.target(t)}
		if back {
			p.from, p.to = p.to, p.from
		}
		if back || r.move.Progress.Tables[t.name()].started() {
			all = append(all, p)
		}
	}
	return all
}

// drain carries over the changes that the transaction sees, and makes sure that their rows
// are the same on both sides then. It returns how many there were.
func (r *run) drain(ctx context.Context, tx pgx.Tx, pairs []pair) (all int64, err error) {
	waiting, err := r.move.waiting(ctx, tx)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	for _, changes := range waiting {
		all += changes
	}
	touched := slices.DeleteFunc(slices.Clone(pairs), func(p pair) bool { return waiting[p.table.name()] == 0 })
	if len(touched) > 0 {
		if err := r.carry(ctx, tx, touched, pairs); err != nil {
			return 0, err
		}
	}
	return all, r.move.forget(ctx, tx)
}

// byKeySQL has rows looked up by their keys. How many changes there are the planner does not
// know, and by a wrong guess a few of them cost a walk through whole tables.
const byKeySQL = "SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true)"

// carry carries over what was noted of the tables touched; in a circle of changes also of
// others, of all.
func (r *run) carry(ctx context.Context, tx pgx.Tx, touched, all []pair) error {
	if err := execAll(ctx, tx, []string{byKeySQL}); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
		return r.written(ctx, savepoint, written(touched), func() error { return execAll(ctx, savepoint, []string{r.sql.drain(touched)}) })
	})
	var said *pgconn.PgError
	if errors.As(err, &said) && said.Code == "23505" {
		touched = all
		err = r.written(ctx, tx, written(all), func() error { return r.replace(ctx, tx, all) })
	}
	if err != nil {
		return fmt.Errorf("carry changes over: %w", err)
	}
	for _, p := range touched {
		if err := r.agree(ctx, tx, p, r.sql.unequal(p)); err != nil {
			return err
		}
	}
	return nil
}

// replace carries over changes that no order of single rows can make, such as two rows that
// exchanged a unique value: rows that changed, and all that refer to them, are taken out and
// put back.
func (r *run) replace(ctx context.Context, tx pgx.Tx, pairs []pair) error {
	for added := int64(1); added > 0; {
		added = 0
		for _, child := range pairs {
			for _, ref := range child.to.Shape.References {
				for _, parent := range pairs {
					if parent.to.Shape.OID != ref.To {
						continue
					}
					tag, err := tx.Exec(ctx, r.sql.widen(child, parent, ref), plainly)
					if err != nil {
						return err
					}
					added += tag.RowsAffected()
				}
			}
		}
	}
	return execAll(ctx, tx, []string{r.sql.remove(pairs), r.sql.putBack(pairs)})
}

// agree fails where the statement finds keys of rows that differ.
func (r *run) agree(ctx context.Context, db pg.DB, p pair, statement string) error {
	rows, err := db.Query(ctx, statement, plainly)
	if err != nil {
		return err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(keys) > 0 {
		err = &Mismatch{Table: p.table.name(), Keys: keys}
	}
	return err
}
