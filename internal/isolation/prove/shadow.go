package prove

import (
	"context"
	"maps"
	"slices"
)

// shadow watches figures of the caller while rows of the other tenant come and go: one
// that goes along counts them.
type shadow struct {
	*runner
	questions map[string]request // by root field
}

func newShadow(r *runner) *shadow {
	s := &shadow{runner: r, questions: map[string]request{}}
	x := r.explorer(nil)
	for _, t := range r.caller.tables {
		for _, list := range t.lists {
			if !r.wants(list.Name) {
				continue
			}
			s.questions[list.Name] = query(list, with(list, nil, map[string]any{"limit": page}), t.selection())
		}
		for _, aggregate := range t.aggregates {
			if !r.wants(aggregate.Name) {
				continue
			}
			s.questions[aggregate.Name] = query(aggregate, nil, x.figures(aggregate.Type.base().Name, &table{name: t.name}))
		}
	}
	return s
}

// watch plants a row of the other tenant in every table, takes it away again, and looks
// at the figures before, meanwhile and after. What was another only meanwhile is a leak;
// what moves by itself is not watched.
func (s *shadow) watch(ctx context.Context) error {
	var taken []map[string]string
	for _, step := range []func(context.Context) error{nil, nil, s.sowTheirs, s.world.theirs.clearAll, nil} {
		if step != nil {
			if err := step(ctx); err != nil {
				return err
			}
		}
		figures, err := s.take(ctx)
		if err != nil {
			return err
		}
		taken = append(taken, figures)
	}
	for _, name := range slices.Sorted(maps.Keys(s.questions)) {
		found := ""
		if still := taken[0][name]; still == taken[1][name] && still == taken[3][name] && still == taken[4][name] && still != taken[2][name] {
			found = "the answer is another while the other tenant has one row more"
		}
		s.record(attempt{kind: Count, field: name, theirs: s.questions[name]}, answer{}, found)
	}
	return nil
}

func (s *shadow) take(ctx context.Context) (map[string]string, error) {
	taken := map[string]string{}
	for name, sent := range s.questions {
		got, err := s.ask(ctx, sent)
		if err != nil {
			return nil, err
		}
		taken[name] = canonical(got.Data)
	}
	return taken, nil
}
