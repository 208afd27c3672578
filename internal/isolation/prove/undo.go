package prove

import (
	"context"
	"maps"
	"slices"
)

// undoing is a change that was let through.
type undoing struct {
	attempt
	made      []placed
	got       answer
	replanted map[string]bool // tables whose planted row was written over, and is another by now
}

// undo takes away what a change made, and plants a moved row again. What cannot be taken
// away is reported.
func (r *runner) undo(ctx context.Context, u undoing) error {
	back, rows := returned(u.got.Data[u.field]), u.rows(u.got)
	if moved := u.change.moved; moved != nil {
		if rows == 0 {
			return nil
		}
		moved.after = back
		return r.again(ctx, r.world.mine, moved.table, r.caller)
	}
	for _, one := range u.made {
		handle := maps.Clone(one.row)
		if one.answered {
			maps.Copy(handle, back)
		}
		gone, err := r.takeAway(ctx, one, handle)
		if !gone && err == nil && rows > 0 && !u.replanted[one.table] {
			gone, err = r.isPlanted(ctx, one.table, handle)
		}
		if !gone && rows > 0 && !u.replanted[one.table] {
			r.report.left(one.table + " " + canonical(handle))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unheard takes away what a change that nobody heard the answer of may have made.
func (r *runner) unheard(ctx context.Context, made []placed) {
	for _, one := range made {
		if _, err := r.takeAway(ctx, one, one.row); err != nil {
			r.report.left(one.table + " " + canonical(one.row) + " (the answer was lost: it may be there)")
		}
	}
}

// isPlanted reports whether a row is one that an upsert wrote over without a trace.
func (r *runner) isPlanted(ctx context.Context, name string, handle row) (bool, error) {
	for _, s := range []*side{r.world.theirs, r.world.mine} {
		p := s.planted[name]
		if p == nil || p.seen == nil {
			continue
		}
		if found, err := s.read(ctx, name, handle); err != nil || found != nil && canonical(found) == canonical(p.seen) {
			return err == nil, err
		}
	}
	return false, nil
}

// takeAway deletes a row as whoever can: by all that is known of it as its own tenant,
// and as the other one by what was made up for it alone. It reports whether one went.
func (r *runner) takeAway(ctx context.Context, one placed, handle row) (bool, error) {
	gone, err := r.world.mine.remove(ctx, one.table, handle)
	if gone || err != nil || len(one.fresh) == 0 {
		return gone, err
	}
	return r.world.theirs.remove(ctx, one.table, one.fresh)
}

// again plants a row anew in place of one that was used up, and with it every planted row
// that pointed at it.
func (r *runner) again(ctx context.Context, s *side, name string, first *caller) error {
	old := s.planted[name]
	pointing := s.pointing(old)
	for _, p := range slices.Backward(append([]*plant{old}, pointing...)) {
		if err := r.uproot(ctx, s, p); err != nil {
			return err
		}
	}
	for _, p := range append([]*plant{old}, pointing...) {
		if err := s.sowOne(ctx, p.table, first); err != nil {
			return err
		}
		if again := s.planted[p.table]; again != nil && s == r.world.theirs {
			r.world.remember(p.table, again.row)
		}
	}
	return nil
}

// pointing are the planted rows that point at a row, and those that point at them: the
// first planted first.
func (s *side) pointing(at *plant) []*plant {
	var found []*plant
	for _, p := range s.order {
		below := func(to *plant) bool { return slices.Contains(p.points, to.table) }
		if p != at && (below(at) || slices.ContainsFunc(found, below)) {
			found = append(found, p)
		}
	}
	return found
}

// uproot takes a planted row away and forgets it. One that stays is reported.
func (r *runner) uproot(ctx context.Context, s *side, p *plant) error {
	s.order = slices.DeleteFunc(s.order, func(other *plant) bool { return other == p })
	delete(s.planted, p.table)
	gone, err := s.gone(ctx, p)
	if gone || err != nil {
		return err
	}
	for _, side := range []*side{r.world.mine, r.world.theirs} {
		if gone, err = side.remove(ctx, p.table, p.alone()); gone || err != nil {
			return err
		}
	}
	r.report.left(p.String())
	return nil
}

// gone takes a planted row away as its own side, and reports whether it is not there any
// more. Of a row that was changed on the way to another tenant nobody can tell by looking.
func (s *side) gone(ctx context.Context, p *plant) (bool, error) {
	for _, known := range []row{p.row, p.after} {
		if known == nil {
			continue
		}
		if gone, err := s.remove(ctx, p.table, known); gone || err != nil {
			return gone, err
		}
	}
	if p.seen == nil || p.after != nil {
		return false, nil
	}
	left, err := s.read(ctx, p.table, p.row)
	return left == nil, err
}
