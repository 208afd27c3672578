package audit

import (
	"slices"

	"github.com/nself/tenancy/internal/metadata"
)

// Pieces of permissions.
var (
	mine  = map[string]any{"tenant_id": map[string]any{"_eq": "X-Hasura-Tenant-Id"}}
	other = map[string]any{"email": map[string]any{"_eq": "a@example.com"}}
)

// running is a session that has not ended.
var running = map[string]any{"id": map[string]any{"_eq": "X-Hasura-Session-Id"}, "ended_at": map[string]any{"_is_null": true}}

func guardOf(role string) map[string]any { return guardBy(role, running) }

// guardBy is a guard that asks this of the session.
func guardBy(role string, session map[string]any) map[string]any {
	return map[string]any{"_exists": map[string]any{
		"_table": map[string]any{"schema": "tenants", "name": "tenant_members"},
		"_where": map[string]any{"tenant_id": map[string]any{"_eq": "X-Hasura-Tenant-Id"}, "user_id": map[string]any{"_eq": "X-Hasura-User-Id"},
			"role": map[string]any{"_eq": role}, "tenant": map[string]any{"status": map[string]any{"_eq": "active"}}, "sessions": session},
	}}
}

// signedIn asks the table of sessions itself.
func signedIn(where map[string]any) map[string]any {
	return map[string]any{"_exists": map[string]any{"_table": map[string]any{"schema": "auth", "name": "sessions"}, "_where": where}}
}

func all(terms ...any) metadata.BoolExp { return metadata.BoolExp{"_and": terms} }

// reads makes the member's filter on contacts this.
func reads(rows metadata.BoolExp) func(*crm) {
	return func(c *crm) { c.entry("crm.contacts").SelectPermissions[0].Permission.Filter = rows }
}

const memberReads = "crm.contacts (tenant_member select)"

var metadataPlants = []plant{
	{rule: "metadata-filter-missing", object: memberReads, change: reads(all(guardOf("member")))},
	{rule: "metadata-filter-missing", object: "crm.contacts (tenant_member delete)", change: func(c *crm) {
		c.entry("crm.contacts").DeletePermissions[0].Permission.Filter = all(other, guardOf("member"))
	}},
	{rule: "metadata-filter-missing", object: "auth.users (user select)", change: func(c *crm) {
		c.entry("auth.users").SelectPermissions[0].Permission.Filter = signedIn(map[string]any{
			"id": running["id"], "ended_at": running["ended_at"], "user_id": map[string]any{"_eq": "X-Hasura-User-Id"}})
	}},
	{rule: "metadata-filter-widened", object: "auth.users (tenant_member select)", change: func(c *crm) {
		entry := c.entry("auth.users")
		entry.ArrayRelationships = append(slices.Clone(entry.ArrayRelationships), metadata.Relationship{Name: "colleagues", Using: metadata.RelationshipUsing{
			Manual: &metadata.ManualRelationship{RemoteTable: metadata.TableName{Schema: "tenants", Name: "tenant_members"}, ColumnMapping: map[string]string{"created_at": "created_at"}}}})
		entry.SelectPermissions = slices.Clone(entry.SelectPermissions)
		for i := range entry.SelectPermissions {
			if entry.SelectPermissions[i].Role == "tenant_member" {
				entry.SelectPermissions[i].Permission.Filter = all(map[string]any{"colleagues": mine}, guardOf("member"))
			}
		}
	}, also: []string{"metadata-aggregate-open: auth.users (tenant_member select)"}},
	{rule: "metadata-filter-widened", object: memberReads, change: reads(all(map[string]any{"_or": []any{mine, other}}, guardOf("member")))},
	{rule: "metadata-filter-widened", object: memberReads, change: reads(all(map[string]any{"_not": mine}, guardOf("member")))},
	{rule: "metadata-filter-widened", object: memberReads, change: reads(all(map[string]any{"_exists": map[string]any{
		"_table": map[string]any{"schema": "crm", "name": "companies"}, "_where": mine}}, guardOf("member")))},
	{rule: "metadata-filter-empty", object: memberReads, change: reads(all(map[string]any{"tenant_id": map[string]any{}}, guardOf("member")))},
	{rule: "metadata-filter-empty", object: memberReads, change: reads(all(map[string]any{"tenant_id": map[string]any{"_eq": nil}}, guardOf("member")))},
	{rule: "metadata-filter-on-null", object: memberReads, change: reads(all(map[string]any{"_or": []any{mine,
		map[string]any{"tenant_id": map[string]any{"_is_null": true}}}}, guardOf("member")))},
	{rule: "metadata-session-variable", object: memberReads, change: reads(all(map[string]any{"tenant_id": map[string]any{"_in": "X-Hasura-Tenant-Ids"}}, guardOf("member")))},
	{rule: "metadata-check-missing", object: "crm.contacts (tenant_member insert)", change: func(c *crm) {
		c.entry("crm.contacts").InsertPermissions[0].Permission.Check = all(other, guardOf("member"))
	}},
	{rule: "metadata-check-missing", object: "crm.contacts (tenant_member update)", change: func(c *crm) {
		c.entry("crm.contacts").UpdatePermissions[0].Permission.Check = metadata.BoolExp{}
	}},
	{rule: "metadata-update-without-check", object: "crm.contacts (tenant_member update)", change: func(c *crm) {
		c.entry("crm.contacts").UpdatePermissions[0].Permission.Check = nil
	}},
	{rule: "metadata-guard-missing", object: memberReads, change: reads(all(mine))},
	{rule: "metadata-guard-missing", object: memberReads, change: reads(all(mine, map[string]any{"_or": []any{guardOf("member"), other}}))},
	{rule: "metadata-guard-role", object: memberReads, change: reads(all(mine, guardOf("guest")))},
	{rule: "metadata-guard-session", object: memberReads, change: reads(all(mine, guardBy("member", map[string]any{})))},
	{rule: "metadata-guard-session", object: memberReads, change: reads(all(mine, guardBy("member", map[string]any{"id": running["id"]})))},
	{rule: "metadata-guard-session", object: memberReads, change: reads(all(mine, guardBy("member", map[string]any{"ended_at": running["ended_at"]})))},
	{rule: "metadata-guard-session", object: memberReads, change: reads(all(mine, guardBy("member", map[string]any{
		"id": running["id"], "ended_at": map[string]any{"_is_null": false}})))},
	{rule: "metadata-guard-session", object: memberReads, change: reads(all(mine, guardBy("member", map[string]any{"_or": []any{running, other}})))},
	{rule: "metadata-guard-session", object: "auth.users (user select)", change: func(c *crm) {
		c.entry("auth.users").SelectPermissions[0].Permission.Filter = metadata.BoolExp{"id": map[string]any{"_eq": "X-Hasura-User-Id"}}
	}},
	{rule: "metadata-guard-session", object: "auth.users (user select)", change: func(c *crm) { // of whoever's session
		c.entry("auth.users").SelectPermissions[0].Permission.Filter = all(map[string]any{"id": map[string]any{"_eq": "X-Hasura-User-Id"}}, signedIn(running))
	}},
	{rule: "metadata-tenant-writable", object: "crm.contacts (tenant_member insert)", change: func(c *crm) {
		columns := &c.entry("crm.contacts").InsertPermissions[0].Permission.Columns
		columns.Names = append([]string{"tenant_id"}, columns.Names...)
	}},
	{rule: "metadata-preset-missing", object: "crm.contacts (tenant_member insert)", change: func(c *crm) {
		c.entry("crm.contacts").InsertPermissions[0].Permission.Set = nil
	}},
	{rule: "metadata-preset-missing", object: "crm.contacts (tenant_member update)", change: func(c *crm) {
		c.entry("crm.contacts").UpdatePermissions[0].Permission.Set = map[string]any{"tenant_id": "00000000-0000-4000-8000-000000000000"}
	}},
	{rule: "metadata-columns-all", object: memberReads, change: func(c *crm) {
		c.entry("crm.contacts").SelectPermissions[0].Permission.Columns = metadata.Columns{All: true}
	}},
	{rule: "metadata-secret-selectable", object: "tenants.tenant_invitations.token_hash (tenant_owner select)", change: func(c *crm) {
		columns := &c.entry("tenants.tenant_invitations").SelectPermissions[0].Permission.Columns
		columns.Names = append([]string{"token_hash"}, columns.Names...)
	}},
	{rule: "metadata-aggregate-open", object: memberReads, change: func(c *crm) {
		c.entry("crm.contacts").SelectPermissions[0].Permission.AllowAggregations = true
	}},
	{rule: "metadata-shared-written", object: "billing.plans (tenant_owner insert)", change: func(c *crm) {
		c.entry("billing.plans").InsertPermissions = []metadata.Permission[metadata.Insert]{{Role: "tenant_owner"}}
	}},
	{rule: "metadata-role-unknown", object: "crm.contacts (anonymous)", change: func(c *crm) {
		permissions := &c.entry("crm.contacts").SelectPermissions
		*permissions = append(*permissions, metadata.Permission[metadata.Select]{Role: "anonymous"})
	}},
	{rule: "metadata-role-admin", object: "crm.contacts (admin)", change: func(c *crm) {
		permissions := &c.entry("crm.contacts").SelectPermissions
		*permissions = append(*permissions, metadata.Permission[metadata.Select]{Role: "admin"})
	}},
	{rule: "metadata-role-admin", object: "inherited role boss", change: func(c *crm) {
		c.metadata.InheritedRoles = []metadata.InheritedRole{{Name: "boss", RoleSet: []string{"admin", "tenant_owner"}}}
	}},
	{rule: "metadata-inherited-widens", object: "inherited role everyone", change: func(c *crm) {
		c.metadata.InheritedRoles = []metadata.InheritedRole{{Name: "everyone", RoleSet: []string{"user", "tenant_member"}}}
	}},
	{rule: "metadata-table-undeclared", object: "crm.colours", sql: `CREATE TABLE crm.colours (name text)`, change: func(c *crm) {
		c.metadata.Tables = append(c.metadata.Tables, metadata.Table{Table: metadata.TableName{Schema: c.schema, Name: "colours"}})
	}},
	{rule: "metadata-enum-table", object: "crm.contacts", change: func(c *crm) { c.entry("crm.contacts").IsEnum = true }},
	{rule: "metadata-relationship-leaves-tenant", object: "crm.contacts (relationship company)", change: func(c *crm) {
		c.entry("crm.contacts").ObjectRelationships[0].Using = metadata.RelationshipUsing{Manual: &metadata.ManualRelationship{
			RemoteTable: metadata.TableName{Schema: c.schema, Name: "companies"}, ColumnMapping: map[string]string{"company_id": "id"}}}
	}},
	{rule: "metadata-relationship-remote", object: "crm.contacts (remote relationship score)", change: func(c *crm) {
		c.entry("crm.contacts").RemoteRelationships = []metadata.RemoteRelationship{{Name: "score", Definition: map[string]any{
			"to_remote_schema": map[string]any{"remote_schema": "scores", "lhs_fields": []any{"email"}}}}}
	}},
	{rule: "metadata-unread", object: "sources[0].tables[2] (s.odd)", change: func(c *crm) {
		c.metadata.Unread = []string{"sources[0].tables[2] (s.odd): it has a list where a table has an object"}
	}},
	{rule: "metadata-source-unread", object: "source warehouse", change: func(c *crm) {
		c.metadata.Sources = []metadata.Source{{Name: "default", Kind: "postgres", Tables: 9}, {Name: "warehouse", Kind: "mssql", Tables: 2}}
	}},
	{rule: "metadata-remote-schema-open", object: "remote schema scores", change: func(c *crm) {
		c.metadata.RemoteSchemas = []metadata.RemoteSchema{{Name: "scores"}}
	}},
	{rule: "metadata-action-open", object: "action deleteTenant (tenant_guest)", change: func(c *crm) { c.open("deleteTenant", "tenant_guest") }},
	{rule: "metadata-action-role-unknown", object: "action deleteTenant (anonymous)", change: func(c *crm) { c.open("deleteTenant", "anonymous") }},
	{rule: "metadata-action-forwards-headers", object: "action deleteTenant", change: func(c *crm) { c.action("deleteTenant").ForwardClientHeaders = true }},
}

func (c *crm) action(name string) *metadata.Action {
	for i := range c.metadata.Actions {
		if c.metadata.Actions[i].Name == name {
			return &c.metadata.Actions[i]
		}
	}
	return nil
}

func (c *crm) open(name, role string) {
	action := c.action(name)
	action.Roles = append(slices.Clone(action.Roles), role)
}
