package contract

import (
	"slices"
	"testing"

	"github.com/nself/tenancy/internal/isolation"
	"github.com/nself/tenancy/internal/metadata"
	"github.com/nself/tenancy/internal/pgtest"
)

// tenantColumns names, for each table with a wall, the column that says whose a row is.
func tenantColumns(t *testing.T) map[metadata.TableName]string {
	t.Helper()
	list, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	columns := map[metadata.TableName]string{}
	for _, table := range list {
		if table.Walled() {
			columns[metadata.TableName(table.Name)] = table.TenantColumn()
		}
	}
	return columns
}

// agreesWithTheList checks list, database and metadata against each other, in every direction.
func agreesWithTheList(t *testing.T) check {
	list, err := isolation.Ours()
	if err != nil {
		t.Fatal(err)
	}
	tx := pgtest.Tx(t, "nself_owner")
	return func(m *metadata.Metadata) []string {
		found, err := list.Differences(t.Context(), tx, m)
		if err != nil {
			t.Fatal(err)
		}
		var faults []string
		for _, d := range found {
			faults = append(faults, d.String())
		}
		return faults
	}
}

func TestListDatabaseAndMetadataAgree(t *testing.T) {
	c := agreesWithTheList(t)
	holds(t, c)
	const settings = "databases/default/tables/tenants_tenant_settings.yaml"
	const insert = "insert_permissions:\n  - role: tenant_admin\n    permission:\n      columns: [key, value]\n      check: {}\n"
	const update = "update_permissions:\n  - role: tenant_admin\n    permission:\n      columns: [tenant_id, value]\n      filter: {}\n"
	sees(t, c, []sabotage{
		{"no tenant filter", settings, "- tenant_id: {_eq: X-Hasura-Tenant-Id}\n          - _exists", "- _exists", "tenants.tenant_settings lacks: tenant_owner may select"},
		{"another tenant variable", settings, "X-Hasura-Tenant-Id}\n          - _exists", "X-Hasura-Org-Id}\n          - _exists", "x-hasura-org-id"},
		{"guard without the user", settings, "                user_id: {_eq: X-Hasura-User-Id}\n", "", "lacks: tenant_owner may select"},
		{"guard without the status", settings, "                tenant:\n                  status: {_eq: active}\n", "", "lacks: tenant_owner may select"},
		{"guard without the session", settings, "                sessions:\n                  ended_at: {_is_null: true}\n                  id: {_eq: X-Hasura-Session-Id}\n", "", "lacks: tenant_owner may select"},
		{"guard of ended sessions too", settings, "                  ended_at: {_is_null: true}\n", "", "lacks: tenant_owner may select"},
		{"a user without a session", "databases/default/tables/auth_users.yaml", "_table: {name: sessions, schema: auth}", "_table: {name: users, schema: auth}", "lacks: user may select"},
		{"guard of another role", settings, "role: {_eq: owner}", "role: {_eq: admin}", "lacks: tenant_owner may select"},
		{"role without a tenant", settings, "role: tenant_guest", "role: user", "the list has not: user may select"},
		{"role of no token", settings, "role: tenant_guest", "role: anonymous", "the list has not: anonymous may select"},
		{"table of no tenant", settings, "name: tenant_settings", "name: settings", "tenants.settings has, and the list has not: the table itself"},
		{"table not tracked", "databases/default/tables/tables.yaml", "- \"!include tenants_tenant_settings.yaml\"\n", "", "tenants.tenant_settings lacks: the table itself: it is not tracked"},
		{"insert that is not declared", settings, "select_permissions:\n", insert + "select_permissions:\n", "the list has not: tenant_admin may insert key, value"},
		{"update that is not declared", settings, "select_permissions:\n", update + "select_permissions:\n", "the list has not: tenant_admin may update tenant_id, value"},
		{"every column", settings, "columns:\n        - tenant_id\n        - key\n        - value\n        - updated_at\n", "columns: '*'\n", "may select every column"},
		{"a secret column", "databases/default/tables/tenants_tenant_invitations.yaml", "- email\n", "- token_hash\n", "token_hash"},
		{"aggregates closed", settings, "      allow_aggregations: true\n", "", "and aggregates"},
		{"a limit", settings, "      allow_aggregations: true\n", "      allow_aggregations: true\n      limit: 5\n", "up to 5 rows"},
		{"the guard's path to the tenant", "databases/default/tables/tenants_tenant_members.yaml", "foreign_key_constraint_on: tenant_id", "manual_configuration: {remote_table: {schema: tenants, name: tenants}, column_mapping: {user_id: owner_user_id}}", "the relationship tenant goes another way"},
		{"the guard's path to the sessions", "databases/default/tables/tenants_tenant_members.yaml", "        columns:\n          - tenant_id\n          - user_id\n", "        columns:\n          - user_id\n", "the relationship sessions comes by user_id of auth.sessions"},
		{"the people's path to their tenants", "databases/default/tables/auth_users.yaml", "column: user_id", "column: invited_by", "the relationship memberships comes by invited_by"},
		{"for backends alone", settings, "select_permissions:\n", "delete_permissions:\n  - role: tenant_admin\n    permission:\n      filter: {}\n      backend_only: true\nselect_permissions:\n", "tenant_admin may delete from backends only"},
		{"delete that is not declared", settings, "select_permissions:\n",
			"delete_permissions:\n  - role: tenant_admin\n    permission:\n      filter: {}\nselect_permissions:\n", "the list has not: tenant_admin may delete where"},
	})
}

// secrets are columns that prove who somebody is, or are compared with what does.
var secrets = []string{"token_hash", "private_key", "password_hash", "key_hash"}

func TestNoRoleReadsASecret(t *testing.T) {
	for _, table := range loadMetadata(t).Tables {
		for _, p := range table.SelectPermissions {
			for _, column := range p.Permission.Columns.Names {
				if slices.Contains(secrets, column) {
					t.Errorf("%s reads %s.%s.%s", p.Role, table.Table.Schema, table.Table.Name, column)
				}
			}
		}
	}
}
