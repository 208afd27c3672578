package prove

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// writes makes the attempts that change something, in turn.
func (r *runner) writes(ctx context.Context) error {
	var failed error
	r.explorer(func(a attempt) {
		if failed == nil {
			failed = r.write(ctx, a)
		}
	}).writes()
	return failed
}

// write makes one attempt, looks at what it did, and undoes it.
func (r *runner) write(ctx context.Context, a attempt) error {
	got, err := r.ask(ctx, a.theirs)
	if err != nil {
		return err
	}
	found := r.seen(a, got)
	if !got.refused() {
		if done, err := r.aftermath(context.WithoutCancel(ctx), a, got); err != nil {
			return err
		} else if done != "" {
			found = done
		}
	}
	told, err := r.control(ctx, a, got)
	if err != nil {
		return err
	}
	if found == "" {
		found = told
	}
	r.record(a, got, found)
	return nil
}

// control makes the same change with values that nobody has, and undoes it.
func (r *runner) control(ctx context.Context, a attempt, got answer) (string, error) {
	sent := a.control
	if a.later != nil {
		again := r.world.mine.planted[a.change.moved.table]
		if again == nil {
			return "", nil
		}
		late := a.later(again)
		sent, a.change.moved = &late, again
	}
	if sent == nil {
		return "", nil
	}
	control, err := r.ask(ctx, *sent)
	if err != nil {
		return "", err
	}
	if !control.refused() {
		if err := r.undo(context.WithoutCancel(ctx), a, a.change.control, control); err != nil {
			return "", err
		}
	}
	return difference(a.outcome(got), a.outcome(control)), nil
}

// aftermath is what a change that was let through did to the other tenant. Afterwards
// everything is as it was before.
func (r *runner) aftermath(ctx context.Context, a attempt, got answer) (string, error) {
	found, err := r.planted(ctx, a)
	if err != nil {
		return "", err
	}
	for _, name := range a.change.tables {
		changed, err := r.world.theirs.changed(ctx, name)
		if err != nil {
			return "", err
		}
		if changed == "" {
			continue
		}
		found = changed
		if err := r.again(ctx, r.world.theirs, name, nil); err != nil {
			return "", err
		}
	}
	return found, r.undo(ctx, a, a.change.made, got)
}

// planted says whether the other tenant sees a row that the attempt made or moved.
func (r *runner) planted(ctx context.Context, a attempt) (string, error) {
	rows := a.change.made
	if moved := a.change.moved; moved != nil {
		alone := maps.Clone(moved.row)
		maps.DeleteFunc(alone, func(column string, value any) bool { return a.change.set[column] != nil || !unique(value) })
		rows = []placed{{moved.table, moved.row, alone}}
	}
	for _, one := range rows {
		if len(one.fresh) == 0 {
			continue
		}
		seen, err := r.world.theirs.read(ctx, one.table, one.fresh)
		if err != nil {
			return "", err
		}
		if seen != nil {
			return "the other tenant sees the row as its own", nil
		}
	}
	return "", nil
}

// undo takes away what a change made, and plants a moved row again.
func (r *runner) undo(ctx context.Context, a attempt, made []placed, got answer) error {
	if moved := a.change.moved; moved != nil {
		if a.rows(got) == 0 {
			return nil
		}
		return r.again(ctx, r.world.mine, moved.table, r.caller)
	}
	back := returned(got.Data[a.field])
	for range made {
		for i, one := range made {
			handle := maps.Clone(one.row)
			if i == 0 {
				maps.Copy(handle, back)
			}
			if err := r.takeAway(ctx, one, handle); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeAway deletes a row as whoever can: by all that is known of it as its own tenant,
// and as the other one by what was made up for it alone.
func (r *runner) takeAway(ctx context.Context, one placed, handle row) error {
	gone, err := r.world.mine.remove(ctx, one.table, handle)
	if gone || err != nil {
		return err
	}
	if len(one.fresh) > 0 {
		_, err = r.world.theirs.remove(ctx, one.table, one.fresh)
	}
	return err
}

// again plants a row anew in place of one that was used up, and with it every planted row
// that pointed at it.
func (r *runner) again(ctx context.Context, s *side, name string, first *caller) error {
	old := s.planted[name]
	pointing := s.pointing(old)
	for _, p := range append(slices.Clone(pointing), old) {
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

// pointing are the planted rows that hold a value of the row's, and those that hold one of
// theirs: the first planted first.
func (s *side) pointing(at *plant) []*plant {
	var found []*plant
	for _, p := range s.order {
		holds := func(to *plant) bool {
			return p != to && slices.ContainsFunc(sortedColumns(p.object), func(column string) bool {
				value := p.object[column]
				return !slices.Contains(p.fresh, column) && identifying(value) && slices.ContainsFunc(sortedColumns(to.row), func(c string) bool {
					_, own := to.by.claims.of(c)
					return !own && to.row[c] == value
				})
			})
		}
		if p != at && (holds(at) || slices.ContainsFunc(found, holds)) {
			found = append(found, p)
		}
	}
	return found
}

// uproot takes a planted row away and forgets it. One that was moved may be with the other
// tenant by now, and has only what was made up for it to be known by.
func (r *runner) uproot(ctx context.Context, s *side, p *plant) error {
	gone, err := s.remove(ctx, p.table, p.row)
	if err != nil {
		return err
	}
	if s == r.world.mine && !gone {
		alone := maps.Clone(p.row)
		maps.DeleteFunc(alone, func(_ string, value any) bool { return !unique(value) })
		for _, side := range []*side{r.world.mine, r.world.theirs} {
			if _, err := side.remove(ctx, p.table, alone); err != nil {
				return err
			}
		}
	}
	s.order = slices.DeleteFunc(s.order, func(other *plant) bool { return other == p })
	delete(s.planted, p.table)
	return nil
}

// changed says what became of a planted row since it was planted; "" where it is as it
// was, or nobody of its side can see it.
func (s *side) changed(ctx context.Context, name string) (string, error) {
	p := s.planted[name]
	if p == nil || p.seen == nil {
		return "", nil
	}
	now, err := s.read(ctx, name, p.seen)
	switch {
	case err != nil:
		return "", err
	case now == nil:
		return "the other tenant's planted row is gone", nil
	}
	for _, column := range sortedColumns(p.seen) {
		if !reflect.DeepEqual(p.seen[column], now[column]) {
			return fmt.Sprintf("the other tenant's planted row has another %s", column), nil
		}
	}
	return "", nil
}
