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
	got, err := r.change(ctx, a.theirs, a.change.made)
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

// change sends a change that makes these rows where it is let.
func (r *runner) change(ctx context.Context, sent request, made []placed) (answer, error) {
	if err := stopped(ctx); err != nil {
		return answer{}, err
	}
	got, err := r.ask(context.WithoutCancel(ctx), sent)
	if err != nil {
		r.unheard(context.WithoutCancel(ctx), made)
	}
	return got, err
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
	control, err := r.change(ctx, *sent, a.change.control)
	if err != nil {
		return "", err
	}
	if !control.refused() {
		if err := r.undo(context.WithoutCancel(ctx), undoing{a, a.change.control, control, nil}); err != nil {
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
	replanted := map[string]bool{}
	for _, name := range slices.Concat(a.change.tables, a.change.watched) {
		changed, err := r.world.theirs.changed(ctx, name)
		if err != nil {
			return "", err
		}
		if changed == "" {
			continue
		}
		found = changed
		replanted[name] = true
		if err := r.again(ctx, r.world.theirs, name, nil); err != nil {
			return "", err
		}
	}
	return found, r.undo(ctx, undoing{a, a.change.made, got, replanted})
}

// planted says whether the other tenant sees a row that the attempt made or moved.
func (r *runner) planted(ctx context.Context, a attempt) (string, error) {
	rows := a.change.made
	if moved := a.change.moved; moved != nil {
		alone := moved.alone()
		maps.DeleteFunc(alone, func(column string, _ any) bool { return a.change.set[column] != nil })
		rows = []placed{{table: moved.table, row: moved.row, fresh: alone}}
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
