package prove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// key is the primary key of a table, as far as any caller of the side is told it.
func (s *side) key(name string) []string {
	for _, c := range s.callers {
		if t := c.table(name); t != nil && len(t.key) > 0 {
			return t.key
		}
	}
	return nil
}

// aim is a boolean expression that one row alone meets: its key, or a value that nobody
// else has. It is nil where the caller cannot name the row by any such column.
func (c *caller) aim(t *table, key []string, r row) map[string]any {
	exp := c.schema.types[t.boolExp]
	byKey := map[string]any{}
	for _, name := range key {
		if r[name] != nil && exp.input(name) != nil {
			byKey[name] = map[string]any{"_eq": r[name]}
		}
	}
	if len(key) > 0 && len(byKey) == len(key) {
		return byKey
	}
	for _, name := range sortedColumns(r) {
		if _, own := c.claims.of(name); !own && unique(r[name]) && exp.input(name) != nil {
			return map[string]any{name: map[string]any{"_eq": r[name]}}
		}
	}
	return nil
}

// unique reports whether this package made the value up, so that it stands in one row.
func unique(value any) bool {
	text, ok := value.(string)
	return ok && made(text)
}

func sortedColumns(r row) []string {
	names := make([]string, 0, len(r))
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// reader is a caller of the side that can read the row, and how; nil where none can.
func (s *side) reader(name string, r row) (*caller, *table, map[string]any) {
	for _, c := range s.callers {
		t := c.table(name)
		if t == nil || len(t.lists) == 0 {
			continue
		}
		if where := c.aim(t, s.key(name), r); where != nil {
			return c, t, where
		}
	}
	return nil, nil, nil
}

// read is the row as its side sees it now; nil where it is not to be seen.
func (s *side) read(ctx context.Context, name string, r row) (row, error) {
	c, t, where := s.reader(name, r)
	if c == nil {
		return nil, nil
	}
	got, err := c.ask(ctx, query(t.lists[0], map[string]any{"where": where}, t.selection()))
	if err != nil {
		return nil, err
	}
	list, _ := got.Data[t.lists[0].Name].([]any)
	if len(list) == 0 {
		return nil, nil
	}
	found, _ := list[0].(row)
	return found, nil
}

// canRemove reports whether a caller of the side may delete rows of the table.
func (s *side) canRemove(name string) bool {
	return slices.ContainsFunc(s.callers, func(c *caller) bool {
		t := c.table(name)
		return t != nil && (t.delete != nil || t.deleteByPK != nil)
	})
}

// remove deletes the row as whoever of the side can. It reports whether a row went.
func (s *side) remove(ctx context.Context, name string, r row) (bool, error) {
	for _, c := range s.callers {
		t := c.table(name)
		if t == nil {
			continue
		}
		deletion, ok := c.deletion(t, s.key(name), r)
		if !ok {
			continue
		}
		got, err := c.ask(ctx, deletion)
		if err != nil {
			return false, err
		}
		for _, value := range got.Data {
			if rowsIn(value) > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

func (c *caller) deletion(t *table, key []string, r row) (request, bool) {
	if t.delete != nil {
		if where := c.aim(t, key, r); where != nil {
			return mutation(t.delete, map[string]any{"where": where}, c.changed(t, t.delete)), true
		}
	}
	if t.deleteByPK != nil {
		if args, ok := keyOfRow(t.deleteByPK.Args, r); ok {
			return mutation(t.deleteByPK, args, t.selection()), true
		}
	}
	return request{}, false
}

// keyOfRow are the arguments of a field that names a row by its key.
func keyOfRow(args []input, r row) (map[string]any, bool) {
	found := map[string]any{}
	for _, arg := range args {
		value, ok := r[arg.Name]
		if !ok || value == nil {
			return nil, false
		}
		found[arg.Name] = value
	}
	return found, true
}

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
	order := s.callers
	if first != nil {
		order = append([]*caller{first}, s.callers...)
	}
	p, err := s.sow(ctx, name, order)
	var cannot *cannotPlant
	if errors.As(err, &cannot) {
		s.reasons[name] = cannot.reason
		return nil
	}
	if err != nil {
		return err
	}
	s.planted[name] = p
	s.order = append(s.order, p)
	p.seen, err = s.read(ctx, name, p.row)
	if err == nil && p.seen != nil {
		for column, value := range p.seen {
			p.row[column] = value
		}
	}
	return err
}

// cannotPlant says why a table has no planted row.
type cannotPlant struct{ reason string }

func (e *cannotPlant) Error() string { return e.reason }

func cannot(format string, args ...any) error { return &cannotPlant{fmt.Sprintf(format, args...)} }

// clear takes everything planted away again, the last first. It returns what stayed.
func (s *side) clear(ctx context.Context) []string {
	var stayed []string
	for _, p := range slices.Backward(s.order) {
		gone, err := s.remove(ctx, p.table, p.row)
		if err == nil && !gone {
			left, readErr := s.read(ctx, p.table, p.row)
			gone, err = left == nil, readErr
		}
		if err != nil || !gone {
			stayed = append(stayed, p.table+" "+strings.TrimSpace(canonical(p.row)))
		}
	}
	s.order, s.planted = nil, map[string]*plant{}
	return stayed
}

// clearAll is clear where what stays is an error.
func (s *side) clearAll(ctx context.Context) error {
	if stayed := s.clear(ctx); len(stayed) > 0 {
		return fmt.Errorf("planted rows cannot be taken away again: %s", strings.Join(stayed, ", "))
	}
	return nil
}
