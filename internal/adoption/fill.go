package adoption

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// The pauses of a batch that has to wait double from the first to the last.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// sweep is one run over a table's file, block after block. Rows that writers move behind it
// have passed the trigger that gives them the tenant.
type sweep struct {
	r        *Runner
	s        *Standing
	perBlock float64 // rows of a block, about
	rows     int     // of the next batch
	quiet    bool    // triggers of the customer's do not see it
	began    time.Time
	from     int64 // the block it began at
	told     time.Time
	pause    time.Duration
	written  int64
}

const fileSQL = `
	SELECT coalesce(pg_relation_filenode(c.oid), 0)::bigint AS file, pg_relation_size(c.oid) / current_setting('block_size')::bigint AS blocks,
	       CASE WHEN c.relpages > 0 AND c.reltuples > 0 THEN c.reltuples / c.relpages ELSE 60 END::float8 AS per_block
	FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(@table)`

// quietSQL: the login may do without triggers, and no reference goes by the tenant column,
// which they would hold.
const quietSQL = `
	SELECT rolsuper AND NOT EXISTS (
	  SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(@table) AND a.attname = @column
	  WHERE k.contype = 'f' AND (k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey) OR k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey)))
	FROM pg_catalog.pg_roles WHERE rolname = current_user`

// quietly reports whether the rows of a table can be filled without a trigger seeing it.
func quietly(ctx context.Context, db pg.DB, table isolation.Name, column string) (bool, error) {
	quiet, err := pg.Scalar[bool](ctx, db, quietSQL, pgx.NamedArgs{"table": table.Quoted(), "column": column})
	if err != nil {
		return false, fmt.Errorf("look whether triggers of %s can be kept out: %w", table, err)
	}
	return quiet, nil
}

type file struct {
	File     int64
	Blocks   int64
	PerBlock float64
}

// errMoved says that the table was rewritten meanwhile: its blocks are others now.
var errMoved = errors.New("the table was rewritten")

// fill gives the rows of before their tenant. What a batch did stands with its position in
// one transaction.
func (r *Runner) fill(ctx context.Context, s *Standing) error {
	f, err := pg.One[file](ctx, r.conn, fileSQL, pgx.NamedArgs{"table": s.Table.Quoted()})
	if err != nil {
		return fmt.Errorf("read the size of the table: %w", err)
	}
	quiet, err := quietly(ctx, r.conn, s.Table, s.Column)
	if err != nil {
		return err
	}
	if f.File != s.Progress.File {
		s.Progress = Progress{File: f.File, Blocks: f.Blocks, Rows: s.Progress.Rows}
	}
	w := &sweep{r: r, s: s, perBlock: max(f.PerBlock, 1), rows: r.pace.Batch, quiet: quiet, began: time.Now(), from: s.Progress.Block, told: time.Now(), pause: firstPause}
	for s.Progress.Block < s.Progress.Blocks {
		if err := w.next(ctx); errors.Is(err, errMoved) {
			return r.fill(ctx, s)
		} else if err != nil {
			return err
		}
	}
	took := time.Since(w.began)
	r.tell(s, "%d rows, %.0f a second", s.Progress.Rows, float64(w.written)/max(took.Seconds(), 0.001))
	return note(ctx, r.conn, r.of.ID, *s, true)
}

// next does a batch, and finds the size of the one after it: half of the wait that a writer
// is told is what a batch may take.
func (w *sweep) next(ctx context.Context) error {
	began, most := time.Now(), w.r.pace.MaxWait
	rows, err := w.batch(ctx)
	took := time.Since(began)
	switch {
	case err == nil:
		w.written += rows
		w.s.Progress.Rows += rows
		w.s.Progress.Block = w.to()
		w.pause = firstPause
	case ctx.Err() != nil || !waited(err) && !interrupted(err):
		return err
	}
	switch {
	case err != nil || took > most/2:
		w.rows = max(w.rows/2, 1)
	case took < most/4:
		w.rows = min(w.rows*2, w.r.pace.Batch)
	}
	if err != nil {
		w.r.tell(w.s, "a writer has rows of the batch: again in %s with %d rows", w.pause, w.rows)
		defer func() { w.pause = min(2*w.pause, lastPause) }()
		return sleep(ctx, w.pause)
	}
	w.tell()
	return sleep(ctx, w.r.pace.Pause)
}

// to is the block before which the batch ends.
func (w *sweep) to() int64 {
	blocks := max(int64(float64(w.rows)/w.perBlock), 1)
	return min(w.s.Progress.Block+blocks, w.s.Progress.Blocks)
}

const fileNowSQL = `SELECT coalesce(pg_relation_filenode(to_regclass(@table)), 0)::bigint`

func (w *sweep) batch(ctx context.Context) (rows int64, err error) {
	from, to := w.s.Progress.Block, w.to()
	err = pg.InTx(ctx, w.r.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, releaseAtOnceSQL); err != nil {
			return err
		}
		if w.quiet {
			// What the rows of before are has not changed: no trigger of the customer's is to tell so.
			if _, err := tx.Exec(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
				return err
			}
		}
		most := w.r.pace.MaxWait * 3 / 4
		if err := bound(ctx, tx, max(most/2, time.Millisecond), most); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, fillStatement(w.s.Table, w.s.Column, w.s.Tenant, fmt.Sprint(from), fmt.Sprint(to)))
		if err != nil {
			return err
		}
		rows = tag.RowsAffected()
		now, err := pg.Scalar[int64](ctx, tx, fileNowSQL, pgx.NamedArgs{"table": w.s.Table.Quoted()})
		if err != nil {
			return err
		}
		if now != w.s.Progress.File {
			return errMoved
		}
		after := *w.s
		after.Progress.Block, after.Progress.Rows = to, after.Progress.Rows+rows
		return note(ctx, tx, w.r.of.ID, after, false)
	})
	return rows, err
}

// tellEvery is how often the progress is told.
const tellEvery = 2 * time.Second

func (w *sweep) tell() {
	if time.Since(w.told) < tellEvery {
		return
	}
	w.told = time.Now()
	p, elapsed := w.s.Progress, time.Since(w.began)
	left := time.Duration(float64(elapsed) * float64(p.Blocks-p.Block) / float64(max(p.Block-w.from, 1)))
	w.r.tell(w.s, "%d of about %d rows (%d %%), %.0f a second, about %s left, %d rows a batch", p.Rows, max(w.s.Rows, p.Rows), 100*p.Block/max(p.Blocks, 1),
		float64(w.written)/elapsed.Seconds(), left.Round(time.Second), w.rows)
}
