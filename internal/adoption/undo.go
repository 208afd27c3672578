package adoption

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/pg"
)

// Stays tells what of an adoption that was taken back is not as before.
func (a Adoption) Stays() []string {
	var stays []string
	for _, s := range a.Steps {
		if s.Kind == Fill && s.Progress.Rows > 0 {
			stays = append(stays, fmt.Sprintf("%d rows of %s keep %s in %s, for which of them had nothing there is not known; what triggers did when they got it stays as well",
				s.Progress.Rows, s.Table, s.Tenant, s.Column))
		}
	}
	return stays
}

// ErrSwitched refuses to take back what stands.
var ErrSwitched = errors.New("the switch is done and the wall stands: sessions rely on it, and nothing is taken back; restore a backup where that is wanted")

// Undo takes back, last first, what the steps before the switch did. Values that were
// filled into a column that was there before stay, as Stays tells.
func (r *Runner) Undo(ctx context.Context, of Adoption) (Adoption, error) {
	release, err := r.hold(ctx, of.ID)
	if err != nil {
		return of, err
	}
	defer release()
	if r.of, err = reload(ctx, r.conn, of.ID); err != nil {
		return of, err
	}
	if r.of.Switched() {
		return r.of, ErrSwitched
	}
	if err := setState(ctx, r.conn, r.of.ID, Undoing); err != nil {
		return r.of, err
	}
	r.of.State = Undoing
	for i, s := range slices.Backward(r.of.Steps) {
		// A step is done in one transaction with its note, or nothing of it stands; but an index.
		if s.DoneAt == nil && s.Kind != Build {
			continue
		}
		if err := r.back(ctx, &s); err != nil {
			return r.of, fmt.Errorf("take back step %d of %d (%s, %s): %w", s.Position, len(r.of.Steps), s.What, s.Table, err)
		}
		r.of.Steps[i].DoneAt = nil
	}
	r.of.State = Undone
	return r.of, setState(ctx, r.conn, r.of.ID, Undone)
}

// back takes one step back.
func (r *Runner) back(ctx context.Context, s *Standing) error {
	s.Progress = Progress{Rows: s.Progress.Rows}
	switch {
	case s.Kind == Fill:
		r.tell(s, "stays as it is: which rows had no tenant before is not known")
		return note(ctx, r.conn, r.of.ID, *s, false)
	case r.gone(ctx, s):
		r.tell(s, "went with its table")
		return note(ctx, r.conn, r.of.ID, *s, false)
	case len(s.Undo.SQL) == 0:
		return note(ctx, r.conn, r.of.ID, *s, false)
	case s.Kind == Build:
		if _, err := r.conn.Exec(ctx, s.Undo.SQL[0]); err != nil {
			return err
		}
		if err := note(ctx, r.conn, r.of.ID, *s, false); err != nil {
			return err
		}
	default:
		if err := r.change(ctx, s, s.Undo, false); err != nil {
			return err
		}
	}
	r.tell(s, "taken back")
	return nil
}

const relationIsGoneSQL = `SELECT to_regclass(@table) IS NULL`

// gone reports whether a table that the step is about does not exist any more, and with it
// what was made of it. Whatever keeps it from being read is told by the work itself.
func (r *Runner) gone(ctx context.Context, s *Standing) bool {
	tables := []isolation.Name{s.Table}
	for _, lock := range s.Undo.Locks {
		tables = append(tables, lock.Table)
	}
	for _, table := range tables {
		gone, err := pg.Scalar[bool](ctx, r.conn, relationIsGoneSQL, pgx.NamedArgs{"table": table.Quoted()})
		if err == nil && gone {
			return true
		}
	}
	return false
}
