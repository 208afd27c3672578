package model

import (
	"errors"
	"fmt"

	"github.com/nself/tenancy/internal/metadata"
)

// permit adds every permission that fits the table; the others become inconsistencies
// and open nothing.
func (m *Model) permit(table *Table, source metadata.Table, check Checker) {
	for _, p := range source.SelectPermissions {
		columns, err := table.columns(p.Permission.Columns)
		computed, computedErr := table.computed(p.Permission.ComputedFields)
		if m.accept("select_permission", table, p, err, computedErr, check(table, p.Permission.Filter)) {
			table.selects[p.Role] = &SelectRight{
				Columns: columns, Computed: computed, Filter: p.Permission.Filter,
				Limit: p.Permission.Limit, Aggregations: p.Permission.AllowAggregations, RootFields: p.Permission.QueryRootFields,
			}
		}
	}
	for _, p := range source.InsertPermissions {
		columns, err := table.columns(p.Permission.Columns)
		if m.accept("insert_permission", table, p, err, check(table, p.Permission.Check), table.presets(p.Permission.Set)) {
			table.inserts[p.Role] = &InsertRight{
				Columns: columns.without(p.Permission.Set, table), Check: p.Permission.Check,
				Presets: presetsOf(p.Permission.Set), BackendOnly: p.Permission.BackendOnly,
			}
		}
	}
	for _, p := range source.UpdatePermissions {
		columns, err := table.columns(p.Permission.Columns)
		checkErr := errors.Join(check(table, p.Permission.Filter), check(table, p.Permission.Check))
		if m.accept("update_permission", table, p, err, checkErr, table.presets(p.Permission.Set)) {
			table.updates[p.Role] = &UpdateRight{
				Columns: columns.without(p.Permission.Set, table), Filter: p.Permission.Filter, Check: p.Permission.Check,
				Presets: presetsOf(p.Permission.Set), BackendOnly: p.Permission.BackendOnly,
			}
		}
	}
	for _, p := range source.DeletePermissions {
		if m.accept("delete_permission", table, p, check(table, p.Permission.Filter)) {
			table.deletes[p.Role] = &DeleteRight{Filter: p.Permission.Filter, BackendOnly: p.Permission.BackendOnly}
		}
	}
}

// presetsOf makes no presets and an empty list of them one, as rights are compared.
func presetsOf(set map[string]any) map[string]any {
	if len(set) == 0 {
		return nil
	}
	return set
}

// roleOf lets accept name a permission of any kind.
type roleOf interface{ RoleName() string }

func (m *Model) accept(kind string, table *Table, permission roleOf, faults ...error) bool {
	err := errors.Join(faults...)
	if err == nil {
		return true
	}
	name := fmt.Sprintf("%s of role %s in table %q", kind, permission.RoleName(), table.Name.Schema+"."+table.Name.Name)
	m.Report(kind, name, err.Error(), permission)
	return false
}

// columns resolves a permission's column list.
func (t *Table) columns(listed metadata.Columns) (Set, error) {
	all := t.all(false)
	if listed.All {
		return all, nil
	}
	set := Set{}
	var faults []error
	for _, name := range listed.Names {
		if t.Column(name) == nil {
			faults = append(faults, fmt.Errorf("column %q does not exist", name))
		}
		if all[name] {
			set[name] = true
		}
	}
	return set, errors.Join(faults...)
}

// without leaves out preset columns and those that take no value.
func (s Set) without(presets map[string]any, table *Table) Set {
	set := Set{}
	for name := range s {
		if _, preset := presets[name]; !preset && !table.Column(name).Computed {
			set[name] = true
		}
	}
	return set
}

func (t *Table) presets(presets map[string]any) error {
	var faults []error
	for name := range presets {
		if t.Column(name) == nil {
			faults = append(faults, fmt.Errorf("column %q of set does not exist", name))
		}
	}
	return errors.Join(faults...)
}
