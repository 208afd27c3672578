package prove

import (
	"maps"
	"slices"
	"strings"

	"github.com/nself/tenancy/internal/isolation"
)

// readsPrefix begins the types of what reads the session's tenant under one name.
const readsPrefix = isolation.ReadsSchema + "_"

// oneName looks whether a read under one name shows the caller rows of the other tenant's
// own table. Both may see the same ones there, and nothing in them has to tell whose they
// are: the table tells that they come from.
func (r *runner) oneName(c *caller) {
	for _, t := range c.tables {
		name, reads := strings.CutPrefix(t.name, readsPrefix)
		if !reads || len(t.lists) == 0 || !r.wants(t.lists[0].Name) {
			continue
		}
		from := r.world.homeOf(c, name, r.world.seen[c][t.name])
		if from != "" {
			r.report.leak(Leak{Role: c.name, Kind: List, Field: t.lists[0].Name, Finding: "the answer holds a row of the other tenant's own table " + from})
		}
	}
}

// homeOf is the other tenant's own table that one of the rows is in, and no own one; "" for
// none.
func (w *world) homeOf(c *caller, name string, rows []row) string {
	for _, table := range slices.Sorted(maps.Keys(w.rows)) {
		if !strings.HasSuffix(table, "_"+name) || strings.HasPrefix(table, readsPrefix) {
			continue
		}
		for _, one := range rows {
			if slices.ContainsFunc(w.rows[table], holding(one)) && !w.sees(c, name, one) {
				return table
			}
		}
	}
	return ""
}

// sees reports whether an own table of the name shows the caller the row.
func (w *world) sees(c *caller, name string, one row) bool {
	for table, rows := range w.seen[c] {
		if strings.HasSuffix(table, "_"+name) && !strings.HasPrefix(table, readsPrefix) && slices.ContainsFunc(rows, holding(one)) {
			return true
		}
	}
	return false
}

// holding reports of a row whether it holds all that another one does.
func holding(one row) func(row) bool {
	return func(other row) bool {
		for column, value := range one {
			if canonical(row{column: value}) != canonical(row{column: other[column]}) {
				return false
			}
		}
		return len(one) > 0
	}
}
