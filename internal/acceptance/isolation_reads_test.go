package acceptance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// trackedTables are the root fields that show a tenant's rows, each with its
// primary key.
var trackedTables = map[string][]string{
	"tenants":       {"id"},
	"members":       {"tenant_id", "user_id"},
	"settings":      {"tenant_id", "key"},
	"invitations":   {"tenant_id", "id"},
	"users":         {"id"},
	"auditLog":      {"id"},
	"sessions":      {"id"},
	"tenantSchemas": {"tenant_id"},
}

// columns lists what a role may read of a table; none where it may read nothing.
func columns(t *testing.T, who caller, table string) []string {
	t.Helper()
	r := who.must(t, `query($n: String!) { __type(name: $n) { fields { name type { kind ofType { kind } } } } }`, args{"n": table})
	var kind struct {
		Fields []struct {
			Name string
			Type struct {
				Kind   string
				OfType struct{ Kind string }
			}
		}
	}
	if err := json.Unmarshal(r.Data["__type"], &kind); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range kind.Fields {
		if f.Type.Kind == "SCALAR" || f.Type.OfType.Kind == "SCALAR" {
			names = append(names, f.Name)
		}
	}
	return names
}

// rowsOf fetches every column of a table's rows of one house, as the operator.
func rowsOf(t *testing.T, h house, table string) []map[string]any {
	t.Helper()
	filter := fmt.Sprintf(`tenant_id: {_eq: %q}`, h.id)
	switch table {
	case "tenants":
		filter = fmt.Sprintf(`id: {_eq: %q}`, h.id)
	case "users":
		filter = fmt.Sprintf(`memberships: {tenant_id: {_eq: %q}}`, h.id)
	}
	r := operator().must(t, fmt.Sprintf(`{ %s(where: {%s}) { %s } }`, table, filter, strings.Join(columns(t, operator(), table), " ")), nil)
	var rows []map[string]any
	if err := json.Unmarshal(r.Data[table], &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestNoRootFieldShowsAnotherTenantsRows(t *testing.T) {
	t.Parallel()
	mine, theirs := newHouse(t), newHouse(t)
	theirs.invite(t, unique("in")+"@example.test")
	for table, key := range trackedTables {
		foreign := rowsOf(t, theirs, table)
		if len(foreign) == 0 && table != "tenantSchemas" {
			t.Fatalf("%s: the other house has no rows to be found", table)
		}
		for _, who := range append(mine.people(), mine.guest.signIn(t, "")) {
			cols := columns(t, who.caller, table)
			if len(cols) == 0 {
				continue // the table does not exist for this role
			}
			t.Run(table+" as "+who.role, func(t *testing.T) {
				t.Parallel()
				lookAround(t, who, theirs, table, cols)
				for _, row := range foreign {
					lookFor(t, who, theirs, table, key, cols, row)
				}
			})
		}
	}
}

// lookAround lists and counts the table with no filter at all.
func lookAround(t *testing.T, who person, theirs house, table string, cols []string) {
	t.Helper()
	all := strings.Join(cols, " ")
	queries := []string{
		fmt.Sprintf(`{ %s { %s } }`, table, all),
		fmt.Sprintf(`{ %s(where: {_or: [{}, {_not: {}}]}) { %s } }`, table, all),
		fmt.Sprintf(`{ %s(where: {_or: [{%s: {_is_null: true}}, {%s: {_is_null: false}}]}) { %s } }`, table, cols[0], cols[0], all),
	}
	if who.role != "user" {
		queries = append(queries, fmt.Sprintf(`{ %s_aggregate { aggregate { count } nodes { %s } } }`, table, all))
	}
	for _, q := range queries {
		wantNoMarks(t, theirs, q, who.must(t, q, nil).raw)
	}
}

// lookFor asks for one row of the other house by its key and by each of its
// values: nothing may be found, however it is asked for.
func lookFor(t *testing.T, who person, theirs house, table string, key, cols []string, row map[string]any) {
	t.Helper()
	pairs := make([]string, len(key))
	for i, k := range key {
		value, _ := json.Marshal(row[k])
		pairs[i] = fmt.Sprintf("%s: %s", k, value)
	}
	q := fmt.Sprintf(`{ %s_by_pk(%s) { %s } }`, table, strings.Join(pairs, ", "), strings.Join(cols, " "))
	if r := who.must(t, q, nil); string(r.Data[table+"_by_pk"]) != "null" {
		t.Errorf("%s\n  found %s", q, r.raw)
	}
	for _, column := range key {
		value, _ := json.Marshal(row[column])
		if column == "key" || !slices.Contains(cols, column) {
			continue // the same key may stand in every tenant; not every role sees every column
		}
		q := fmt.Sprintf(`{ %s(where: {%s: {_eq: %s}}, order_by: {%s: desc}) { __typename } }`, table, column, value, column)
		if r := who.must(t, q, nil); string(r.Data[table]) != "[]" {
			t.Errorf("%s\n  found %s", q, r.raw)
		}
	}
}

func TestEachRoleSeesItsOwnTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, who := range h.people() {
		r := who.must(t, `{ tenants { id } members { user_id } users { id } settings(where: {key: {_eq: "secret"}}) { value } plans { code } }`, nil)
		if r.text(t, "tenants.0.id") != h.id || r.count(t, "members") != 4 || r.count(t, "users") != 4 ||
			r.text(t, "settings.0.value") != h.secret || r.count(t, "plans") < 4 {
			t.Errorf("%s does not see its own house: %s", who.role, r.raw)
		}
	}
}
