package prove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// sowAll plants a row in every table the side can, those first that others point at.
// Where it cannot, the reason is kept by table.
func (s *side) sowAll(ctx context.Context, first *caller) error {
	s.planted, s.reasons = map[string]*plant{}, map[string]string{}
	visited := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		if visited[name] {
			return nil
		}
		visited[name] = true
		for _, target := range s.pointedBy(name) {
			if err := visit(target); err != nil {
				return err
			}
		}
		return s.sowOne(ctx, name, first)
	}
	for _, name := range s.tableNames() {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// pointedBy are the tables that a table's rows point at.
func (s *side) pointedBy(name string) []string {
	var targets []string
	for _, c := range s.callers {
		if t := c.table(name); t != nil {
			for _, relationship := range t.relationships {
				if !relationship.Type.list() {
					targets = append(targets, relationship.Type.base().Name)
				}
			}
		}
	}
	return targets
}

func (s *side) sowOne(ctx context.Context, name string, first *caller) error {
	if s.stuck[name] {
		s.reasons[name] = "a row planted here before could not be taken away again"
		return nil
	}
	order := s.callers
	if first != nil {
		order = append([]*caller{first}, s.callers...)
	}
	p, err := s.sow(ctx, name, order)
	if err == nil && !s.tested[name] {
		if err := s.test(ctx, p); err != nil || s.stuck[name] {
			return err
		}
		p, err = s.sow(ctx, name, order)
	}
	var cannot *cannotPlant
	if errors.As(err, &cannot) {
		s.reasons[name] = cannot.reason
		return nil
	}
	if err != nil {
		return err
	}
	s.planted[name] = p
	s.sown[name]++
	s.order = append(s.order, p)
	p.seen, err = s.read(ctx, name, p.row)
	if err == nil && p.seen != nil {
		for column, value := range p.seen {
			p.row[column] = value
		}
	}
	return err
}

// test takes the first row planted in a table away at once. Where it stays, no row is planted
// there again, on neither side: a permission narrower than it looks, or a trigger, keeps them.
func (s *side) test(ctx context.Context, p *plant) error {
	s.tested[p.table] = true
	s.sown[p.table]++
	gone, err := s.gone(context.WithoutCancel(ctx), p)
	if !gone || err != nil {
		s.stuck[p.table] = true
		s.stayed = append(s.stayed, p)
		s.reasons[p.table] = "a row planted here could not be taken away again"
	}
	return err
}

// cannotPlant says why a table has no planted row.
type cannotPlant struct{ reason string }

func (e *cannotPlant) Error() string { return e.reason }

func cannot(format string, args ...any) error { return &cannotPlant{fmt.Sprintf(format, args...)} }

// clear takes everything planted away again, the last first. What stayed is still in
// order, and returned.
func (s *side) clear(ctx context.Context) []*plant {
	var stayed []*plant
	for _, p := range slices.Backward(s.order) {
		if gone, err := s.gone(ctx, p); err != nil || !gone {
			stayed = append(stayed, p)
		}
	}
	slices.Reverse(stayed)
	s.order, s.planted = stayed, map[string]*plant{}
	return stayed
}

// clearAll is clear where what stays is an error.
func (s *side) clearAll(ctx context.Context) error {
	var names []string
	for _, p := range s.clear(ctx) {
		names = append(names, p.String())
	}
	if len(names) > 0 {
		return fmt.Errorf("planted rows cannot be taken away again: %s", strings.Join(names, ", "))
	}
	return nil
}
