package metadata

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var orders = Table{
	Table: TableName{Schema: "shop", Name: "orders"},
	SelectPermissions: []Permission[Select]{{Role: "clerk", Permission: Select{
		Columns: Columns{Names: []string{"id", "total"}}, Filter: BoolExp{"_and": []any{map[string]any{"shop_id": map[string]any{"_eq": "X-Hasura-Shop-Id"}}}}, AllowAggregations: true}}},
	DeletePermissions: []Permission[Delete]{{Role: "clerk", Permission: Delete{Filter: BoolExp{}}}},
}

func TestWritePermissionsLeavesTheRestOfTheFile(t *testing.T) {
	const file = `# ours
table:
  name: orders
  schema: shop
select_permissions:
  - role: old
    permission: {columns: '*', filter: {}}
update_permissions:
  - role: old
    permission: {columns: '*', filter: {}}
event_triggers: # kept
  - name: paid
`
	const want = `# ours
table:
  name: orders
  schema: shop
select_permissions:
  - role: clerk
    permission:
      columns:
        - id
        - total
      filter:
        _and:
          - shop_id: {_eq: X-Hasura-Shop-Id}
      allow_aggregations: true
delete_permissions:
  - role: clerk
    permission:
      filter: {}
event_triggers: # kept
  - name: paid
`
	got, err := WritePermissions([]byte(file), orders)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWritePermissionsRefusesTheFileOfAnotherTable(t *testing.T) {
	_, err := WritePermissions([]byte("table: {schema: shop, name: items}\n"), orders)
	if err == nil || !strings.Contains(err.Error(), "holds another table, shop.items") {
		t.Errorf("got %v", err)
	}
}

// Two spellings that Hasura takes for the same are one text; others are not.
func TestConditionSpellsTheSameAlike(t *testing.T) {
	eq := func(column, value string) map[string]any { return map[string]any{column: map[string]any{"_eq": value}} }
	exists := func(table any) map[string]any {
		return map[string]any{"_exists": map[string]any{"_table": table, "_where": eq("id", "x-hasura-user-id")}}
	}
	same := [][2]any{
		{map[string]any{"_and": []any{eq("a", "1"), eq("b", "2")}}, map[string]any{"b": map[string]any{"_eq": "2"}, "a": map[string]any{"_eq": "1"}}},
		{map[string]any{"_and": []any{map[string]any{"$and": []any{eq("a", "1")}}}}, eq("a", "1")},
		{BoolExp(eq("a", "X-Hasura-User-Id")), eq("a", "x-hasura-user-id")},
		{map[string]any{"_or": []any{eq("a", "1"), eq("b", "2")}}, map[string]any{"$or": []any{eq("b", "2"), eq("a", "1")}}},
		{exists("t"), exists(map[string]any{"schema": "public", "name": "t"})},
		{BoolExp(nil), map[string]any{}},
	}
	for _, pair := range same {
		if diff := cmp.Diff(Condition(pair[0]), Condition(pair[1])); diff != "" {
			t.Errorf("differ:\n%s", diff)
		}
	}
	for _, pair := range [][2]any{
		{eq("a", "1"), eq("a", "2")},
		{map[string]any{"_or": []any{eq("a", "1"), eq("b", "2")}}, map[string]any{"_and": []any{eq("a", "1"), eq("b", "2")}}},
		{map[string]any{"_not": eq("a", "1")}, eq("a", "1")},
		{exists("t"), exists("u")},
	} {
		if cmp.Equal(Condition(pair[0]), Condition(pair[1])) {
			t.Errorf("%v is taken for %v", pair[0], pair[1])
		}
	}
}
