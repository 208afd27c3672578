package stripe

import (
	"encoding/json"
)

// identified is what a table keeps: a pointer to a row.
type identified interface {
	comparable
	ident() string
}

// table keeps rows in the order in which they were made.
type table[T identified] struct {
	rows []T // with holes where rows were removed
	at   map[string]int
}

func (t *table[T]) put(row T) {
	if t.at == nil {
		t.at = map[string]int{}
	}
	t.at[row.ident()] = len(t.rows)
	t.rows = append(t.rows, row)
}

// get returns nil where there is none.
func (t *table[T]) get(id string) T {
	var none T
	if i, ok := t.at[id]; ok {
		return t.rows[i]
	}
	return none
}

func (t *table[T]) remove(id string) {
	var none T
	if i, ok := t.at[id]; ok {
		t.rows[i] = none
		delete(t.at, id)
	}
}

func (t *table[T]) all() []T {
	var none T
	all := make([]T, 0, len(t.at))
	for _, row := range t.rows {
		if row != none {
			all = append(all, row)
		}
	}
	return all
}

// MarshalJSON writes the rows as an array.
func (t *table[T]) MarshalJSON() ([]byte, error) { return json.Marshal(t.all()) }

// UnmarshalJSON reads them back.
func (t *table[T]) UnmarshalJSON(data []byte) error {
	var rows []T
	if err := json.Unmarshal(data, &rows); err != nil {
		return err
	}
	*t = table[T]{}
	for _, row := range rows {
		t.put(row)
	}
	return nil
}

// paging is the part of a table that a list call wants.
type paging struct {
	limit         int
	after, before string
}

func (f *form) paging() paging {
	p := paging{limit: 10, after: f.word("starting_after"), before: f.word("ending_before")}
	if limit := f.whole("limit"); limit != nil {
		if *limit < 1 || *limit > 100 {
			f.refuse(invalid("parameter_invalid_integer", "limit", "Invalid integer: limit must be between 1 and 100"))
			return p
		}
		p.limit = int(*limit)
	}
	if p.after != "" && p.before != "" {
		f.refuse(invalid("", "", "You may only specify one of these parameters: starting_after, ending_before."))
	}
	return p
}

// pick returns one page of the rows that a filter keeps, the newest first.
func pick[T identified](t *table[T], p paging, url string, keep func(T) bool) (*page[any], error) {
	from, step, edge, param := len(t.rows)-1, -1, p.after, "starting_after"
	if p.before != "" {
		from, step, edge, param = 0, 1, p.before, "ending_before"
	}
	if edge != "" {
		i, ok := t.at[edge]
		if !ok {
			return nil, invalid("resource_missing", param, "No such object: '%s'", edge)
		}
		from = i + step
	}
	found := &page[any]{Object: "list", Data: []any{}, URL: url}
	var none T
	for i := from; i >= 0 && i < len(t.rows); i += step {
		if t.rows[i] == none || !keep(t.rows[i]) {
			continue
		}
		if len(found.Data) == p.limit {
			found.HasMore = true
			break
		}
		found.Data = append(found.Data, shown(t.rows[i]))
	}
	if step > 0 {
		for i, j := 0, len(found.Data)-1; i < j; i, j = i+1, j-1 {
			found.Data[i], found.Data[j] = found.Data[j], found.Data[i]
		}
	}
	return found, nil
}

// shown is a row as the API shows it.
func shown(row any) any {
	if o, ok := row.(object); ok {
		return o.wire()
	}
	return row
}
