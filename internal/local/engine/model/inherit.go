package model

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/nself/tenancy/internal/metadata"
)

// inherit gives every inherited role what its set has, its own permissions going
// before. A role that inherits from an inherited one comes after it; Load refuses
// circles, and what a circle leaves open here stays closed.
func (m *Model) inherit(roles []metadata.InheritedRole) {
	sets := map[string][]string{}
	for _, role := range roles {
		sets[role.Name] = role.RoleSet
	}
	done := map[string]bool{}
	var resolve func(role string)
	resolve = func(role string) {
		if done[role] {
			return
		}
		done[role] = true
		for _, parent := range sets[role] {
			resolve(parent)
		}
		m.combine(role, sets[role])
	}
	for _, role := range roles {
		resolve(role.Name)
	}
}

func (m *Model) combine(role string, parents []string) {
	if len(parents) == 0 {
		return
	}
	for _, table := range m.Tables {
		combineSelects(table.selects, role, parents)
		for _, write := range []struct {
			kind     string
			conflict bool
		}{
			{"insert", sameRight(table.inserts, role, parents)},
			{"update", sameRight(table.updates, role, parents)},
			{"delete", sameRight(table.deletes, role, parents)},
		} {
			if write.conflict {
				reason := fmt.Sprintf("Could not inherit permission for the role %q for the entity: \"%s permission, table: %s, source: 'default'\"", role, write.kind, table.Name)
				m.Report("inherited_role permission inconsistency", role, reason, map[string]any{"role_name": role, "role_set": parents})
			}
		}
	}
	for _, function := range m.Functions {
		if slices.ContainsFunc(parents, func(parent string) bool { return function.roles[parent] }) {
			function.roles[role] = true
		}
	}
	for i, action := range m.Actions {
		if slices.ContainsFunc(parents, func(parent string) bool { return slices.Contains(action.Roles, parent) }) {
			m.Actions[i].Roles = append(slices.Clone(action.Roles), role)
		}
	}
}

// sameRight passes a right to write on where every parent that has one has the same,
// and reports whether they differ: then nothing is inherited.
func sameRight[R any](rights map[string]*R, role string, parents []string) (conflict bool) {
	if rights[role] != nil {
		return false
	}
	var common *R
	for _, parent := range parents {
		right := rights[parent]
		switch {
		case right == nil:
		case common == nil:
			common = right
		case !reflect.DeepEqual(common, right):
			return true
		}
	}
	if common != nil {
		rights[role] = common
	}
	return false
}

// combineSelects lets the role read the rows of any parent, each column in the rows of
// those parents alone that have it.
func combineSelects(rights map[string]*SelectRight, role string, parents []string) {
	var all []*SelectRight
	for _, parent := range parents {
		if right := rights[parent]; right != nil {
			all = append(all, right)
		}
	}
	if rights[role] != nil || len(all) == 0 {
		return
	}
	combined := &SelectRight{Columns: Set{}, Computed: Set{}, RootFields: []string{}, Redact: map[string]metadata.BoolExp{}}
	var filters []any
	for _, right := range all {
		filters = append(filters, map[string]any(right.Filter))
		combined.Aggregations = combined.Aggregations || right.Aggregations
		combined.Limit = larger(combined.Limit, right.Limit)
		combined.RootFields = union(combined.RootFields, right.RootFields)
		for name := range right.Columns {
			combined.Columns[name] = true
		}
		for name := range right.Computed {
			combined.Computed[name] = true
		}
	}
	combined.Filter = metadata.BoolExp{"_or": filters}
	combined.redact(all)
	rights[role] = combined
}

// redact notes where each column that some parent lacks may be seen.
func (r *SelectRight) redact(parents []*SelectRight) {
	for _, names := range []func(*SelectRight) Set{
		func(right *SelectRight) Set { return right.Columns }, func(right *SelectRight) Set { return right.Computed },
	} {
		for name := range names(r) {
			var where []any
			whole := true
			for _, parent := range parents {
				if !names(parent)[name] {
					whole = false
					continue
				}
				seen, redacted := parent.Redact[name]
				if !redacted {
					seen = parent.Filter
				}
				whole = whole && !redacted
				where = append(where, map[string]any(seen))
			}
			if !whole {
				r.Redact[name] = metadata.BoolExp{"_or": where}
			}
		}
	}
}

// larger is the larger of two limits; none gives way to one, as in Hasura.
func larger(a, b *int) *int {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

// union of two lists of root fields, of which nil is all.
func union(a, b []string) []string {
	if a == nil || b == nil {
		return nil
	}
	return append(slices.Clone(a), b...)
}
