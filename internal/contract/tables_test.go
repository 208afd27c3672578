package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pg"
	"github.com/nself/tenancy/internal/pgtest"
	"github.com/nself/tenancy/internal/session"
)

// exempt are the permissions without the tenant's wall, each with its reason.
var exempt = map[metadata.TableName]map[session.Role]string{
	{Schema: "billing", Name: "plans"}:       everyRole("the offer is the same for all"),
	{Schema: "billing", Name: "plan_limits"}: everyRole("the offer is the same for all"),
	{Schema: "auth", Name: "users"}:          {session.User: "one's own row, before any tenant is chosen"},
}

func everyRole(reason string) map[session.Role]string {
	reasons := map[session.Role]string{}
	for _, role := range session.Roles {
		reasons[role] = reason
	}
	return reasons
}

// tenantFilter is what names the tenant in a filter where a column equal to the
// session's tenant does not: a user belongs to a tenant by a membership.
var tenantFilter = map[metadata.TableName]map[string]any{
	{Schema: "auth", Name: "users"}: {"memberships": map[string]any{"tenant_id": sessionTenant}},
}

var sessionTenant = map[string]any{"_eq": "X-Hasura-Tenant-Id"}

const tenantColumnsSQL = `
SELECT table_schema AS schema, table_name AS name, column_name AS column
FROM information_schema.columns
WHERE column_name = 'tenant_id' OR (table_schema, table_name, column_name) = ('tenants', 'tenants', 'id')`

// tenantColumns names, for each table with rows of tenants, the column that says whose.
func tenantColumns(t *testing.T) map[metadata.TableName]string {
	t.Helper()
	type column struct{ Schema, Name, Column string }
	list, err := pg.All[column](t.Context(), pgtest.Tx(t, "nself_owner"), tenantColumnsSQL, pgx.NamedArgs{})
	if err != nil {
		t.Fatal(err)
	}
	columns := map[metadata.TableName]string{}
	for _, c := range list {
		columns[metadata.TableName{Schema: c.Schema, Name: c.Name}] = c.Column
	}
	return columns
}

// wall is what every permission on a tenant's rows holds: the tenant is the session's,
// it is active, and the user is a member of it in this very role.
func wall(table metadata.TableName, column string, role string) []map[string]any {
	filter := map[string]any{column: sessionTenant}
	if own, ok := tenantFilter[table]; ok {
		filter = own
	}
	guard := map[string]any{"_exists": map[string]any{
		"_table": map[string]any{"schema": "tenants", "name": "tenant_members"},
		"_where": map[string]any{
			"tenant_id": sessionTenant,
			"user_id":   map[string]any{"_eq": "X-Hasura-User-Id"},
			"role":      map[string]any{"_eq": strings.TrimPrefix(role, "tenant_")},
			"tenant":    map[string]any{"status": map[string]any{"_eq": "active"}},
		},
	}}
	return []map[string]any{filter, guard}
}

// conjuncts takes a filter apart into what must all be true.
func conjuncts(filter map[string]any) []map[string]any {
	var all []map[string]any
	for key, value := range filter {
		list, ok := value.([]any)
		if key != "_and" || !ok {
			all = append(all, map[string]any{key: value})
			continue
		}
		for _, item := range list {
			if inner, ok := item.(map[string]any); ok {
				all = append(all, conjuncts(inner)...)
			}
		}
	}
	return all
}

// keepsTenantsApart checks every permission of every tracked table against the wall.
func keepsTenantsApart(columns map[metadata.TableName]string) check {
	return func(m *metadata.Metadata) []string {
		var faults []string
		for _, table := range m.Tables {
			e := examination{table: table.Table, column: columns[table.Table]}
			e.tableOf(table)
			faults = append(faults, e.faults...)
		}
		return faults
	}
}

// examination is the check of one table.
type examination struct {
	table  metadata.TableName
	column string // "" where no row is a tenant's
	faults []string
}

func (e *examination) fail(role, format string, args ...any) {
	where := fmt.Sprintf("%s.%s, role %s: ", e.table.Schema, e.table.Name, role)
	e.faults = append(e.faults, where+fmt.Sprintf(format, args...))
}

func (e *examination) tableOf(table metadata.Table) {
	for _, p := range table.SelectPermissions {
		e.rows(p.Role, "select filter", p.Permission.Filter)
		e.read(p.Role, p.Permission.Columns)
	}
	for _, p := range table.InsertPermissions {
		e.rows(p.Role, "insert check", p.Permission.Check)
		e.written(p.Role, p.Permission.Columns)
		if value, _ := p.Permission.Set[e.column].(string); e.column != "" && !strings.EqualFold(value, "X-Hasura-Tenant-Id") {
			e.fail(p.Role, "insert does not preset %s to the session's tenant", e.column)
		}
	}
	for _, p := range table.UpdatePermissions {
		e.rows(p.Role, "update filter", p.Permission.Filter)
		if p.Permission.Check == nil {
			e.fail(p.Role, "update has no check: a row could become anything")
		}
		e.rows(p.Role, "update check", p.Permission.Check)
		e.written(p.Role, p.Permission.Columns)
	}
	for _, p := range table.DeletePermissions {
		e.rows(p.Role, "delete filter", p.Permission.Filter)
	}
}

// rows checks which rows a permission opens.
func (e *examination) rows(role, what string, filter metadata.BoolExp) {
	if !slices.Contains(session.Roles, session.Role(role)) {
		e.fail(role, "no token carries this role")
	}
	if _, ok := exempt[e.table][session.Role(role)]; ok {
		return
	}
	if e.column == "" {
		e.fail(role, "the table has no tenant column and no reason to be open")
		return
	}
	have := conjuncts(filter)
	for _, want := range wall(e.table, e.column, role) {
		if !slices.ContainsFunc(have, func(c map[string]any) bool { return cmp.Equal(c, want) }) {
			e.fail(role, "the %s lacks %v", what, want)
		}
	}
}

// written checks that nobody names the tenant of a row.
func (e *examination) written(role string, columns metadata.Columns) {
	if e.column != "" && (columns.All || slices.Contains(columns.Names, e.column)) {
		e.fail(role, "%s may be written", e.column)
	}
}

// read checks that columns are opened one by one, and none that proves who somebody is.
func (e *examination) read(role string, columns metadata.Columns) {
	if columns.All {
		e.fail(role, "select opens every column, also those to come: list them")
	}
	if slices.Contains(columns.Names, "token_hash") {
		e.fail(role, "token_hash may be read")
	}
}

func TestEveryPermissionHoldsTheTenantsWall(t *testing.T) {
	c := keepsTenantsApart(tenantColumns(t))
	holds(t, c)
	const settings = "databases/default/tables/tenants_tenant_settings.yaml"
	const insert = "insert_permissions:\n  - role: tenant_admin\n    permission:\n      columns: [key, value]\n      check: {}\n"
	const update = "update_permissions:\n  - role: tenant_admin\n    permission:\n      columns: [tenant_id, value]\n      filter: {}\n"
	sees(t, c, []sabotage{
		{"no tenant filter", settings, "- tenant_id: {_eq: X-Hasura-Tenant-Id}\n          - _exists", "- _exists", "the select filter lacks map[tenant_id"},
		{"another tenant variable", settings, "X-Hasura-Tenant-Id}\n          - _exists", "X-Hasura-Org-Id}\n          - _exists", "the select filter lacks"},
		{"guard without the user", settings, "                user_id: {_eq: X-Hasura-User-Id}\n", "", "the select filter lacks map[_exists"},
		{"guard without the status", settings, "                tenant: {status: {_eq: active}}\n", "", "the select filter lacks map[_exists"},
		{"guard of another role", settings, "role: {_eq: owner}", "role: {_eq: admin}", "role tenant_owner: the select filter lacks"},
		{"role without a tenant", settings, "role: tenant_guest", "role: user", "role user: the select filter lacks"},
		{"role of no token", settings, "role: tenant_guest", "role: anonymous", "no token carries this role"},
		{"table of no tenant", settings, "name: tenant_settings", "name: settings", "no tenant column"},
		{"insert without preset", settings, "select_permissions:\n", insert + "select_permissions:\n", "insert does not preset tenant_id"},
		{"insert without check", settings, "select_permissions:\n", insert + "select_permissions:\n", "the insert check lacks"},
		{"update without check", settings, "select_permissions:\n", update + "select_permissions:\n", "update has no check"},
		{"update without filter", settings, "select_permissions:\n", update + "select_permissions:\n", "the update filter lacks"},
		{"tenant written", settings, "select_permissions:\n", update + "select_permissions:\n", "tenant_id may be written"},
		{"every column", settings, "columns:\n        - tenant_id\n        - key\n        - value\n        - updated_at\n", "columns: '*'\n", "select opens every column"},
		{"a secret column", "databases/default/tables/tenants_tenant_invitations.yaml", "- email\n", "- token_hash\n", "token_hash may be read"},
		{"delete without filter", settings, "select_permissions:\n",
			"delete_permissions:\n  - role: tenant_admin\n    permission:\n      filter: {}\nselect_permissions:\n", "the delete filter lacks"},
	})
}

func TestEveryExemptionIsUsed(t *testing.T) {
	used := map[metadata.TableName]bool{}
	for _, table := range loadMetadata(t).Tables {
		used[table.Table] = true
	}
	for table := range exempt {
		if !used[table] {
			t.Errorf("%s.%s is exempt and not tracked: take it off the list", table.Schema, table.Name)
		}
	}
}
