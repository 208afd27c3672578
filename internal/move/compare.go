package move

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	few        = 100   // changes that the cut-over may find waiting
	mostRounds = 100   // of catching up before it is said that writers are faster
	litter     = 2_000 // changes carried over that are swept away together
)

// catchUp carries changes over until few are left, or no round leaves much fewer than the
// one before and it is short: as many come then as one round takes, and the cut-over, which
// carries those over while writers wait, will be as short.
func (r *run) catchUp(ctx context.Context, back bool) error {
	before := int64(math.MaxInt64)
	for range mostRounds {
		var carried int64
		began, pairs := time.Now(), r.pairs(back)
		err := r.inSnapshot(ctx, "catching up", func(tx pgx.Tx) (err error) {
			carried, err = r.drain(ctx, tx, pairs)
			return err
		})
		if err == nil {
			err = r.sweep(ctx, carried)
		}
		if err != nil || carried <= few || carried > before/2 && time.Since(began) <= r.in.MaxWait/2 {
			return err
		}
		r.tell("%d changes carried over", carried)
		before = carried
	}
	return fmt.Errorf("changes come faster than they can be carried over: run the same command again when less is written")
}

// sweep removes what is left of changes that were carried over, which every look for others
// would pass by. It keeps nobody from noting more.
func (r *run) sweep(ctx context.Context, carried int64) error {
	if r.swept += carried; r.swept < litter {
		return nil
	}
	r.swept = 0
	return execAll(ctx, r.conn, []string{"VACUUM (TRUNCATE false, ANALYZE) nself.move_changes"})
}

func written(pairs []pair) []Side {
	var sides []Side
	for _, p := range pairs {
		sides = append(sides, p.to)
	}
	return sides
}

// compare counts and adds up every table on both sides in one snapshot, while writers go
// on: rows that are noted are left out, and agree when they are carried over.
func (r *run) compare(ctx context.Context) error {
	if err := r.catchUp(ctx, false); err != nil {
		return err
	}
	began := time.Now()
	next := r.move.copied()
	err := r.inSnapshot(ctx, "comparing", func(tx pgx.Tx) error {
		for _, p := range r.pairs(false) {
			if err := r.equal(ctx, tx, p); err != nil {
				return err
			}
		}
		now := time.Now().UTC()
		next.Progress.ComparedAt = &now
		return next.save(ctx, tx)
	})
	if err == nil {
		r.move = next
		r.tell("%d tables are the same on both sides, compared in %v", len(r.move.plan.Tables), rounded(time.Since(began)))
	}
	return err
}

func (r *run) equal(ctx context.Context, tx pgx.Tx, p pair) error {
	type digest struct {
		rows int64
		sum  string
	}
	var one, other digest
	if err := tx.QueryRow(ctx, r.sql.digest(p.from, p.table), plainly).Scan(&one.rows, &one.sum); err != nil {
		return fmt.Errorf("compare %s: %w", p.from.Table, err)
	}
	if err := tx.QueryRow(ctx, r.sql.digest(p.to, p.table), plainly).Scan(&other.rows, &other.sum); err != nil {
		return fmt.Errorf("compare %s: %w", p.to.Table, err)
	}
	if one == other {
		return nil
	}
	if err := r.agree(ctx, tx, p, r.sql.differing(p)); err != nil {
		return err
	}
	return fmt.Errorf("%s has %d rows and %s %d, and no key tells where they differ", p.from.Table, one.rows, p.to.Table, other.rows)
}
