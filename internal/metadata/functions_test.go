package metadata_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/metadata"
)

func TestFunctionsAndRolesAreTyped(t *testing.T) {
	loaded, err := metadata.Load(os.DirFS("testdata/functions"))
	if err != nil {
		t.Fatal(err)
	}
	customers := metadata.TableName{Schema: "shop", Name: "customers"}
	wantFunctions := []metadata.Function{{
		Function: metadata.FunctionName{Schema: "shop", Name: "find_customers"}, Comment: "by name",
		Configuration: metadata.FunctionConfiguration{
			CustomName: "findCustomers", SessionArgument: "hasura_session", ExposedAs: "query",
			CustomRootFields: metadata.FunctionRootFields{Function: "customersFound", FunctionAggregate: "customersFoundAggregate"},
		},
	}, {
		Function:      metadata.FunctionName{Schema: "public", Name: "merge_customers"},
		Configuration: metadata.FunctionConfiguration{ExposedAs: "mutation", Response: &metadata.FunctionResponse{Type: "table", Table: &customers}},
		Permissions:   []metadata.FunctionPermission{{Role: "clerk"}},
	}}
	if diff := cmp.Diff(wantFunctions, loaded.Functions); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	table := loaded.Tables[0]
	wantField := []metadata.ComputedField{{Name: "full_name", Comment: "both names", Definition: metadata.ComputedFieldDefinition{
		Function: metadata.FunctionName{Schema: "shop", Name: "full_name"}, TableArgument: "customer", SessionArgument: "hasura_session"}}}
	if diff := cmp.Diff(wantField, table.ComputedFields); diff != "" {
		t.Errorf("computed fields (-want +got):\n%s", diff)
	}
	wantRight := metadata.Select{
		Columns: metadata.Columns{Names: []string{"given_name"}}, ComputedFields: []string{"full_name"}, Filter: metadata.BoolExp{},
		QueryRootFields: []string{}, SubscriptionRootFields: []string{"select_stream"}, // empty is not nil: it closes
	}
	if diff := cmp.Diff(wantRight, table.SelectPermissions[0].Permission); diff != "" {
		t.Errorf("select permission (-want +got):\n%s", diff)
	}
	if fields := table.Configuration.CustomRootFields; fields.Select != "customers" || fields.SelectByPK != "customer" || fields.Delete != "" {
		t.Errorf("root fields = %+v", fields)
	}
	if diff := cmp.Diff(map[string]string{"given_name": "givenName", "family_name": "familyName"}, table.Configuration.ColumnNames()); diff != "" {
		t.Errorf("column names (-want +got):\n%s", diff)
	}
	wantRoles := []metadata.InheritedRole{{Name: "manager", RoleSet: []string{"clerk", "auditor"}}, {Name: "director", RoleSet: []string{"manager"}}}
	if diff := cmp.Diff(wantRoles, loaded.InheritedRoles); diff != "" {
		t.Errorf("inherited roles (-want +got):\n%s", diff)
	}
	wantSources := []metadata.Source{{Name: "default", Kind: "postgres", Tables: 1}, {Name: "warehouse", Kind: "mssql"}}
	if diff := cmp.Diff(wantSources, loaded.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if remote := loaded.RemoteSchemas; len(remote) != 1 || remote[0].Permissions[0].Role != "clerk" || table.RemoteRelationships[0].Name != "orders_of_old" {
		t.Errorf("remote schemas = %+v, relationships = %+v", remote, table.RemoteRelationships)
	}
}

func TestFaultsOfFunctionsAndRolesAreRefused(t *testing.T) {
	const functions, orders = "databases/default/functions/functions.yaml", "databases/default/tables/shop_orders.yaml"
	const head = "table: {schema: shop, name: orders}\n"
	for name, c := range map[string]struct{ file, text, want string }{
		"misspelt key":              {functions, "- {function: f, configuration: {session_arg: s}}", `function.configuration: unknown key "session_arg"`},
		"key of a name":             {functions, "- function: {schema: a, nam: f}", `not "nam"`},
		"function without a schema": {functions, "- function: {name: f}", "function must name a schema and a name"},
		"exposed elsewhere":         {functions, "- {function: f, configuration: {exposed_as: subscription}}", "exposed_as must be query or mutation"},
		"permission of admin":       {functions, "- {function: f, permissions: [{role: admin}]}", "never admin"},
		"function tracked twice":    {functions, "- {function: f}\n- {function: f}", "function public.f is tracked twice"},
		"missing include":           {functions, `- "!include nowhere.yaml"`, "functions/nowhere.yaml"},
		"field twice":               {orders, head + "computed_fields: [{name: a, definition: {function: f}}, {name: a, definition: {function: f}}]", `computed field "a" is defined twice`},
		"field without a function":  {orders, head + "computed_fields: [{name: a, definition: {}}]", "needs a name and a function"},
		"key of a column":           {orders, head + "configuration: {column_config: {a: {name: b}}}", `column_config.a: unknown key "name"`},
		"inherited from itself":     {"inherited_roles.yaml", "[{role_name: a, role_set: [b]}, {role_name: b, role_set: [c, a]}]", "form a circle"},
		"inherited from admin":      {"inherited_roles.yaml", "[{role_name: a, role_set: [b, admin]}]", "cannot inherit from admin"},
		"role of nothing":           {"inherited_roles.yaml", "[{role_name: a, role_set: []}]", "role_set"},
		"role defined twice":        {"inherited_roles.yaml", "[{role_name: a, role_set: [b]}, {role_name: a, role_set: [c]}]", "defined twice"},
		"key of a role":             {"inherited_roles.yaml", "[{role_name: a, roles: [b]}]", `unknown key "roles"`},
		"key of a remote schema":    {"remote_schemas.yaml", "[{name: a, url: b}]", `unknown key "url"`},
	} {
		t.Run(name, func(t *testing.T) {
			tree := edited(t, map[string]string{c.file: c.text}).(fstest.MapFS)
			tree["databases/databases.yaml"] = &fstest.MapFile{Data: []byte("- name: default\n  kind: postgres\n  tables: '!include default/tables/tables.yaml'\n")}
			if c.file == functions {
				tree["databases/databases.yaml"].Data = append(tree["databases/databases.yaml"].Data, "  functions: '!include default/functions/functions.yaml'\n"...)
			}
			_, err := metadata.Load(tree)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one that says %q", err, c.want)
			}
		})
	}
}
