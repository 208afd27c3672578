package metadata_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/metadata"
)

func loadProject(t *testing.T) *metadata.Metadata {
	t.Helper()
	loaded, err := metadata.Load(os.DirFS("testdata/project"))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestDocumentEqualsWhatTheCLIBuilds(t *testing.T) {
	golden, err := os.ReadFile("testdata/project.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, golden), decode(t, loadProject(t).JSON)); diff != "" {
		t.Errorf("document differs (-want +got):\n%s", diff)
	}
}

func decode(t *testing.T, text []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestTablesAreTyped(t *testing.T) {
	loaded := loadProject(t)
	if len(loaded.Tables) != 2 {
		t.Fatalf("got %d tables, want 2", len(loaded.Tables))
	}
	limit := 100
	lines := metadata.TableName{Schema: "shop", Name: "lines"}
	orders := metadata.TableName{Schema: "shop", Name: "orders"}
	ownShop := metadata.BoolExp{"shop_id": map[string]any{"_eq": "X-Hasura-Shop-Id"}}
	want := metadata.Table{
		Table:         orders,
		Configuration: metadata.TableConfiguration{CustomName: "orders", Comment: "what a customer asked for"},
		ArrayRelationships: []metadata.Relationship{
			{Name: "lines", Using: metadata.RelationshipUsing{ForeignKeyConstraintOn: &metadata.ForeignKeyOn{Table: &lines, Columns: []string{"shop_id", "order_id"}}}},
			{Name: "siblings", Using: metadata.RelationshipUsing{Manual: &metadata.ManualRelationship{RemoteTable: orders, ColumnMapping: map[string]string{"shop_id": "shop_id"}}}},
		},
		SelectPermissions: []metadata.Permission[metadata.Select]{{Role: "clerk", Permission: metadata.Select{
			Columns: metadata.Columns{All: true}, Limit: &limit, AllowAggregations: true,
			Filter: metadata.BoolExp{"_and": []any{
				map[string]any{"shop_id": map[string]any{"_eq": "X-Hasura-Shop-Id"}},
				map[string]any{"_not": map[string]any{"state": map[string]any{"_in": []any{"void", "draft"}}}},
			}},
		}}},
		InsertPermissions: []metadata.Permission[metadata.Insert]{{Role: "clerk", Permission: metadata.Insert{
			Columns: metadata.Columns{Names: []string{"id", "note"}}, Check: metadata.BoolExp{},
			Set: map[string]any{"shop_id": "x-hasura-Shop-Id"}, BackendOnly: true,
		}}},
		UpdatePermissions: []metadata.Permission[metadata.Update]{{Role: "clerk", Permission: metadata.Update{
			Columns: metadata.Columns{Names: []string{"note"}}, Filter: ownShop,
		}}},
		DeletePermissions: []metadata.Permission[metadata.Delete]{{Role: "clerk", Permission: metadata.Delete{
			Filter: metadata.BoolExp{"lines": map[string]any{"amount": map[string]any{"_gt": 0}}},
		}}},
		EventTriggers: []metadata.EventTrigger{{
			Name: "order_changed", Webhook: "{{BASE_URL}}/events/order",
			Definition: metadata.EventTriggerDefinition{
				EnableManual: true,
				Insert:       &metadata.EventTriggerFields{Columns: metadata.Columns{All: true}},
				Update: &metadata.EventTriggerFields{
					Columns: metadata.Columns{Names: []string{"state"}},
					Payload: &metadata.Columns{Names: []string{"id", "state"}},
				},
			},
			RetryConf: metadata.RetryConf{NumRetries: 3, IntervalSec: 10, TimeoutSec: 60},
			Headers:   []metadata.Header{{Name: "X-Webhook-Secret", ValueFromEnv: "WEBHOOK_SECRET"}},
		}},
	}
	if diff := cmp.Diff(want, loaded.Tables[0]); diff != "" {
		t.Errorf("orders differs (-want +got):\n%s", diff)
	}
	key := loaded.Tables[1].ObjectRelationships[1].Using.ForeignKeyConstraintOn
	if diff := cmp.Diff(&metadata.ForeignKeyOn{Columns: []string{"article_id"}}, key); diff != "" {
		t.Errorf("single-column key differs (-want +got):\n%s", diff)
	}
}

func TestActionsJoinSignatureAndDefinition(t *testing.T) {
	loaded := loadProject(t)
	want := metadata.Action{
		Name: "placeOrder", Comment: "Places one order", Output: "PlacedOrder!",
		Arguments: []metadata.Argument{
			{Name: "input", Type: "PlaceOrderInput!", Description: "what to order"},
			{Name: "dryRun", Type: "Boolean"},
		},
		Handler: "{{BASE_URL}}/actions/placeOrder", Kind: "synchronous", TimeoutSec: 5, ForwardClientHeaders: true,
		Headers: []metadata.Header{{Name: "X-Webhook-Secret", ValueFromEnv: "WEBHOOK_SECRET"}, {Name: "X-Client", Value: "shop/{{VERSION}}"}},
		Roles:   []string{"clerk", "customer"},
	}
	if diff := cmp.Diff(want, loaded.Actions[0]); diff != "" {
		t.Errorf("placeOrder differs (-want +got):\n%s", diff)
	}
	open := loaded.Actions[2]
	if open.Name != "openOrders" || !open.Query || open.TimeoutSec != 30 {
		t.Errorf("openOrders = %+v, want a query with Hasura's 30 s", open)
	}
	types := loaded.CustomTypes
	if got := types.Enums[0].Values[0]; got != (metadata.EnumValue{Value: "open", Description: "still open"}) {
		t.Errorf("first enum value = %+v", got)
	}
	if got := types.Objects[0].Relationships[0].RemoteTable.Name; got != "orders" {
		t.Errorf("relationship of PlacedOrder joins %q, want orders", got)
	}
}

// edited is the testdata project with some files replaced; an empty text removes one.
func edited(t *testing.T, changes map[string]string) fs.FS {
	t.Helper()
	tree := fstest.MapFS{}
	root := os.DirFS("testdata/project")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		tree[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range changes {
		tree[path] = &fstest.MapFile{Data: []byte(text)}
		if text == "" {
			delete(tree, path)
		}
	}
	return tree
}

func TestFaultsAreReportedTogetherWithTheirFiles(t *testing.T) {
	const dir = "databases/default/tables/"
	_, err := metadata.Load(edited(t, map[string]string{
		"version.yaml":       "release: 3\n",
		"cron_triggers.yaml": "a: [\n",
		dir + "tables.yaml":  "- !include shop_orders.yaml\n- !include shop_lines.yaml\n- \"!include nowhere.yaml\"\n",
		dir + "shop_lines.yaml": "table: {schema: shop, name: lines}\nis_enums: true\n" +
			"select_permissions:\n- role: clerk\n  permission:\n    colums: [id]\n    filter: {}\n",
		dir + "shop_orders.yaml": "table: {schema: shop, name: orders}\nselect_permissions:\n" +
			"- role: clerk\n  permission: {columns: 7, filter: {}, limit: many}\n",
		"actions.graphql": "union Either = A | B\ntype Mutation { go: String }\nextend type Mutation { go: String }\n",
	}))
	if err == nil {
		t.Fatal("broken metadata loaded without an error")
	}
	for _, want := range []string{
		"version.yaml: must hold version: 3",
		"cron_triggers.yaml: ",
		dir + "nowhere.yaml",
		dir + `shop_lines.yaml:2: table: unknown key "is_enums"`,
		dir + `shop_lines.yaml:6: table.select_permissions[0].permission: unknown key "colums"`,
		dir + `shop_orders.yaml: table: line 4: columns must be`,
		"actions.graphql:1: Hasura's custom types know no union (Either)",
		"action go is defined twice",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}

func TestEachFaultIsRefused(t *testing.T) {
	const orders = "databases/default/tables/shop_orders.yaml"
	const head = "table: {schema: shop, name: orders}\n"
	cases := map[string]struct {
		file, text, want string
	}{
		"missing actions.yaml":     {"actions.yaml", "", "actions.yaml"},
		"action not in the SDL":    {"actions.yaml", "actions: [{name: lost, definition: {handler: x}}]", `action "lost" is not present in actions.graphql`},
		"type not in the SDL":      {"actions.yaml", "custom_types: {objects: [{name: Lost}]}", `custom type "Lost" is not present`},
		"key the CLI drops":        {"actions.yaml", "actions: [{name: shopName, definition: {ignored_client_headers: [a]}}]", `unknown key "ignored_client_headers"`},
		"reserved variable":        {"actions.yaml", "actions: [{name: shopName, definition: {headers: [{name: a, value_from_env: HASURA_GRAPHQL_X}]}}]", "must not begin with HASURA_GRAPHQL_"},
		"header with two values":   {"actions.yaml", "actions: [{name: shopName, definition: {headers: [{name: a, value: b, value_from_env: C}]}}]", "exactly one of value and value_from_env"},
		"extended custom type":     {"actions.graphql", "extend type Other { a: Int }", "only Query and Mutation can be extended"},
		"broken SDL":               {"actions.graphql", "type {", "actions.graphql"},
		"including circle":         {orders, "!include shop_orders.yaml", "circle"},
		"table without a schema":   {orders, "table: {name: orders}", "schema and a name"},
		"relationship using none":  {orders, head + "object_relationships: [{name: a, using: {}}]", "exactly one of foreign_key_constraint_on"},
		"relationship twice":       {orders, head + "object_relationships: [{name: a, using: {foreign_key_constraint_on: b}}, {name: a, using: {foreign_key_constraint_on: b}}]", "defined twice"},
		"permission of admin":      {orders, head + "delete_permissions: [{role: admin, permission: {filter: {}}}]", "admin may do everything"},
		"role twice":               {orders, head + "delete_permissions: [{role: a, permission: {filter: {}}}, {role: a, permission: {filter: {}}}]", `role "a" is listed twice`},
		"trigger name too long":    {orders, head + "event_triggers: [{name: " + strings.Repeat("a", 43) + ", webhook: x}]", "at most 42"},
		"trigger without webhook":  {orders, head + "event_triggers: [{name: a}]", "webhook is missing"},
		"key without its table":    {orders, head + "array_relationships: [{name: a, using: {foreign_key_constraint_on: {column: b}}}]", "needs table and exactly one of"},
		"expression not an object": {orders, head + "delete_permissions: [{role: a, permission: {filter: [1]}}]", "boolean expression must be an object"},
		"table that is a number":   {"databases/default/tables/tables.yaml", "- 7", "cannot unmarshal"},
		"empty table file":         {orders, "# nothing", "schema and a name"},
		"tracked twice":            {"databases/default/tables/tables.yaml", "- !include shop_lines.yaml\n- !include shop_lines.yaml", "tracked twice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := metadata.Load(edited(t, map[string]string{c.file: c.text}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestExpand(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"BASE_URL": "http://127.0.0.1:8080", "V": "1"}[name]
	}
	got, err := metadata.Expand("{{BASE_URL}}/v{{V}}/x", env)
	if err != nil || got != "http://127.0.0.1:8080/v1/x" {
		t.Errorf("Expand = %q, %v", got, err)
	}
	if _, err := metadata.Expand("{{BASE_URL}}{{GONE}}", env); err == nil || !strings.Contains(err.Error(), "GONE") {
		t.Errorf("unset variable: error = %v, want one that names GONE", err)
	}
}
