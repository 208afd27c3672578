package prove

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// atOnce is how many reads are under way together. Changes go one by one, so that each
// is known by what it did.
const atOnce = 4

// runner makes the attempts of one caller after the other.
type runner struct {
	world   *world
	report  *Report
	options Options

	mu     sync.Mutex // of the report
	caller *caller
	sown   map[string]bool // tables in which the other's row was there while this caller read
}

// role makes every attempt of one caller.
func (r *runner) role(ctx context.Context, c *caller) error {
	r.caller = c
	r.report.begin(c)
	if c.seesNothing() {
		return nil
	}
	defer r.clear(ctx)
	r.sown = map[string]bool{}
	r.oneName(c)
	defer r.prove(c)
	if r.options.ReadOnly {
		r.passOver()
		if err := r.reads(ctx); err != nil {
			return err
		}
		return r.lasted(ctx)
	}
	for _, step := range []func(context.Context) error{
		r.sowMine, newShadow(r).watch, r.sowTheirs, r.reads, r.writes, r.untouched, r.lasted,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sowTheirs plants rows of the other tenant, and makes marks of what they hold and the own
// ones do not.
func (r *runner) sowTheirs(ctx context.Context) error {
	if err := r.world.theirs.sowAll(ctx, nil); err != nil {
		return fmt.Errorf("planting rows of the other tenant: %w", err)
	}
	for name, p := range r.world.theirs.planted {
		r.world.remember(name, p.row)
		r.sown[name] = true
	}
	return r.lookMeanwhile(ctx)
}

// lookMeanwhile learns the rows that planted ones bring about where there were none: those
// of a view, or of a trigger's making.
func (r *runner) lookMeanwhile(ctx context.Context) error {
	w := r.world
	for _, name := range w.theirs.tableNames() {
		if len(w.rows[name])+len(w.meanwhile[name]) > 0 || w.theirs.planted[name] != nil {
			continue
		}
		found, err := w.theirs.look(ctx, w.mine, name, rowsKnown)
		if err != nil {
			return err
		}
		for _, one := range found {
			if one.owned || w.marked(one.row) {
				w.meanwhile[name] = append(w.meanwhile[name], one.row)
				w.remember(name, one.row)
			}
		}
	}
	return nil
}

func (r *runner) sowMine(ctx context.Context) error {
	if err := r.world.mine.sowAll(ctx, r.caller); err != nil {
		return fmt.Errorf("planting rows of the own tenant: %w", err)
	}
	r.world.sowed[r.caller] = slices.ContainsFunc(r.world.mine.order, func(p *plant) bool { return p.by == r.caller })
	for _, p := range r.world.mine.planted {
		leaves(p.row, "", func(_ string, value any) { r.world.common[textOf(value)] = true })
	}
	return nil
}

// clear takes away what is planted on both sides, also after ctx ended.
func (r *runner) clear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	for _, s := range []*side{r.world.mine, r.world.theirs} {
		for _, p := range s.clear(ctx) {
			r.report.left(p.String())
		}
		s.order = nil // told once
	}
}

func (r *runner) explorer(try func(attempt)) *explorer {
	x := &explorer{caller: r.caller, world: r.world, actsToo: r.options.Actions}
	x.skip = func(kind Kind, field, reason string) {
		if r.wants(field) {
			r.report.skip(Skip{r.caller.name, kind, field, reason})
		}
	}
	x.try = func(a attempt) {
		if r.wants(a.field) {
			try(a)
		}
	}
	return x
}

// wants reports whether a root field is to be tried.
func (r *runner) wants(f string) bool {
	return len(r.options.Only) == 0 || slices.Contains(r.options.Only, f)
}

func (r *runner) reads(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	r.explorer(func(a attempt) {
		group.Go(func() error { return r.read(ctx, a) })
	}).reads()
	return group.Wait()
}

// ask sends an attempt's request. What went out is let come back, for a change that
// nobody heard the answer of could not be undone.
func (r *runner) ask(ctx context.Context, sent request) (answer, error) {
	if err := stopped(ctx); err != nil {
		return answer{}, err
	}
	return r.caller.ask(context.WithoutCancel(ctx), sent)
}

// stopped is an error once nothing more is to be begun.
func stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("stopped before everything was tried")
	}
	return nil
}

func (r *runner) read(ctx context.Context, a attempt) error {
	got, err := r.ask(ctx, a.theirs)
	if err != nil {
		return err
	}
	found := r.seen(a, got)
	if found == "" && a.control != nil {
		if found, err = r.compared(ctx, a, got); err != nil {
			return err
		}
	}
	r.record(a, got, found)
	return nil
}

// seen is what the answer itself gives away.
func (r *runner) seen(a attempt, got answer) string {
	if mark := r.world.shown(a, a.theirs, got); mark != "" {
		return "the answer holds " + mark
	}
	if n := a.rows(got); a.barren && n > 0 {
		return fmt.Sprintf("%d rows for values that only the other tenant has", n)
	}
	return ""
}

// compared asks once more with values that nobody has. A difference that shows twice is
// one that tells whether the other tenant has them.
func (r *runner) compared(ctx context.Context, a attempt, got answer) (string, error) {
	for range 2 {
		control, err := r.ask(ctx, *a.control)
		if err != nil {
			return "", err
		}
		if a.outcome(got) == a.outcome(control) {
			return "", nil
		}
		if got, err = r.ask(ctx, a.theirs); err != nil {
			return "", err
		}
	}
	control, err := r.ask(ctx, *a.control)
	if err != nil {
		return "", err
	}
	return difference(a.outcome(got), a.outcome(control)), nil
}

func difference(theirs, control string) string {
	if theirs == control {
		return ""
	}
	return fmt.Sprintf("the answer tells that the other tenant has the value: %s; for one that nobody has: %s", theirs, control)
}

func (r *runner) record(a attempt, got answer, found string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.count(r.caller.name, a, got.refused(), found)
}

// Reasons of skips that whoever runs this chose.
const (
	onlyReads = "only reads were asked for"
	noActions = "it changes things; --actions calls it, on an installation for tests"
)

// passOver counts what is left out where only reads are asked for.
func (r *runner) passOver() {
	for _, t := range r.caller.tables {
		for kind, f := range map[Kind]*field{Insert: t.insertField(), Update: t.update, Delete: t.delete} {
			if f != nil && r.wants(f.Name) {
				r.report.skip(Skip{r.caller.name, kind, f.Name, onlyReads})
			}
		}
	}
	for _, action := range r.caller.actions {
		if action.mutation && r.wants(action.field.Name) {
			r.report.skip(Skip{r.caller.name, Action, action.field.Name, onlyReads})
		}
	}
}

// untouched reads the other's planted rows again, at the end.
func (r *runner) untouched(ctx context.Context) error {
	for name := range maps.Clone(r.world.theirs.planted) {
		changed, err := r.world.theirs.changed(ctx, name)
		if err != nil {
			return err
		}
		if changed != "" {
			r.report.leak(Leak{Role: r.caller.name, Kind: Update, Field: name, Finding: "by the end of all attempts " + changed})
		}
	}
	return nil
}
