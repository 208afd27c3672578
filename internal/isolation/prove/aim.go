package prove

import (
	"context"
	"slices"
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
