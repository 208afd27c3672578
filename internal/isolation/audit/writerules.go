package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/nself/tenancy/internal/metadata"
)

func tenantWritable(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil {
			continue
		}
		for _, w := range writes(entry.Table) {
			if !w.columns.Has(entry.tenant.name) {
				continue
			}
			found = append(found, at(permissionTitle(entry.Table, w.role, w.op), yamlFix("columns: [%s]", strings.Join(entry.tenant.others(), ", ")),
				"%s is the session's to say, not the caller's", entry.tenant.name))
		}
	}
	return found
}

// write is an insert or update permission, as far as columns go.
type write struct {
	role, op string
	columns  metadata.Columns
	set      map[string]any
}

func writes(entry metadata.Table) []write {
	var found []write
	for _, p := range entry.InsertPermissions {
		found = append(found, write{p.Role, "insert", p.Permission.Columns, p.Permission.Set})
	}
	for _, p := range entry.UpdatePermissions {
		found = append(found, write{p.Role, "update", p.Permission.Columns, p.Permission.Set})
	}
	return found
}

// others are the columns beside the tenant's.
func (t *tenantTable) others() []string {
	var names []string
	for _, c := range t.columns {
		if c.Name != t.name {
			names = append(names, c.Name)
		}
	}
	return names
}

func presetMissing(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil {
			continue
		}
		for _, w := range writes(entry.Table) {
			preset, set := w.set[entry.tenant.name]
			text, _ := preset.(string)
			if strings.EqualFold(text, tenantVariable) || w.op == "update" && !set {
				continue
			}
			what := "nothing says which tenant a new row is of, but a default of the column"
			if set {
				what = fmt.Sprintf("%s is preset to %v", entry.tenant.name, preset)
			}
			found = append(found, at(permissionTitle(entry.Table, w.role, w.op), yamlFix("set:\n  %s: x-hasura-Tenant-Id", entry.tenant.name), "%s", what))
		}
	}
	return found
}

func columnsAll(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		if entry.tenant == nil {
			continue
		}
		open := writes(entry.Table)
		for _, p := range entry.SelectPermissions {
			open = append(open, write{role: p.Role, op: "select", columns: p.Permission.Columns})
		}
		for _, w := range open {
			if w.columns.All {
				found = append(found, at(permissionTitle(entry.Table, w.role, w.op), yamlFix("columns: [%s]", strings.Join(entry.tenant.others(), ", ")),
					"a column that is added later is open without anyone's decision"))
			}
		}
	}
	return found
}

func sharedWritten(_ context.Context, s *state) []fault {
	var found []fault
	for _, entry := range s.trackedTables() {
		declared := s.declaration(entry.Table.Table.Schema, entry.Table.Table.Name)
		if declared == nil || declared.Walled() {
			continue
		}
		open := writes(entry.Table)
		for _, p := range entry.DeletePermissions {
			open = append(open, write{role: p.Role, op: "delete"})
		}
		for _, w := range open {
			found = append(found, at(permissionTitle(entry.Table, w.role, w.op), yamlFix("# %s_permissions: none for %s", w.op, w.role),
				"what one tenant writes here, every tenant reads"))
		}
	}
	return found
}
