package engine_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// typeRef is a reference to a type, wrapped or named.
type typeRef struct {
	Kind   string
	Name   *string
	OfType *typeRef
}

func (r *typeRef) base(t *testing.T) (kind, name string) {
	t.Helper()
	for r.OfType != nil {
		if r.Kind != "LIST" && r.Kind != "NON_NULL" {
			t.Errorf("a %s wraps a type", r.Kind)
		}
		r = r.OfType
	}
	if r.Name == nil {
		t.Fatalf("a %s without a name and without a type in it", r.Kind)
	}
	return r.Kind, *r.Name
}

type inputValue struct {
	Name string
	Type typeRef
}

type introspected struct {
	Kind, Name  string
	Fields      []introspectedField
	InputFields []inputValue
	EnumValues  []struct{ Name string }
}

type introspectedField struct {
	Name string
	Args []inputValue
	Type typeRef
}

type introspection struct {
	Schema struct {
		QueryType, MutationType *struct{ Name string }
		Types                   []introspected
		Directives              []struct{ Name string }
	} `json:"__schema"`
}

func introspect(t *testing.T, got response) introspection {
	t.Helper()
	if len(got.Errors) > 0 {
		t.Fatal(got.Errors)
	}
	var answer introspection
	if err := json.Unmarshal(got.Data, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestIntrospectionHoldsTogether asks what code generators ask, as every role.
func testIntrospectionHoldsTogether(t *testing.T, s *stand) {
	query, err := os.ReadFile("testdata/introspection.graphql")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"admin", "owner", "member", "auditor", "stranger", "user", "unknown"} {
		t.Run(role, func(t *testing.T) {
			answer := introspect(t, s.graphql(t, asAdmin("X-Hasura-Role", role), string(query), nil))
			if got := fmt.Sprint(answer.Schema.Directives); got != "[{cached} {include} {skip}]" {
				t.Errorf("directives = %s", got)
			}
			kinds := map[string]string{}
			for _, defined := range answer.Schema.Types {
				if kinds[defined.Name] != "" {
					t.Errorf("type %s is listed twice", defined.Name)
				}
				kinds[defined.Name] = defined.Kind
			}
			if answer.Schema.QueryType.Name != "query_root" || kinds["query_root"] != "OBJECT" {
				t.Errorf("query type = %v", answer.Schema.QueryType)
			}
			for _, defined := range answer.Schema.Types {
				checkType(t, defined, kinds)
			}
		})
	}
}

func checkType(t *testing.T, defined introspected, kinds map[string]string) {
	t.Helper()
	refers := func(where string, ref typeRef, input bool) {
		kind, name := ref.base(t)
		if kinds[name] != kind {
			t.Errorf("%s has type %s of kind %s, which is not there", where, name, kind)
		}
		if leaf := kind == "SCALAR" || kind == "ENUM"; !leaf && (kind == "INPUT_OBJECT") != input {
			t.Errorf("%s has type %s of kind %s", where, name, kind)
		}
	}
	switch defined.Kind {
	case "OBJECT":
		if len(defined.Fields) == 0 {
			t.Errorf("%s has no fields", defined.Name)
		}
	case "INPUT_OBJECT":
		if len(defined.InputFields) == 0 {
			t.Errorf("%s has no input fields", defined.Name)
		}
	case "ENUM":
		if len(defined.EnumValues) == 0 {
			t.Errorf("%s has no values", defined.Name)
		}
	}
	for _, field := range defined.Fields {
		refers(defined.Name+"."+field.Name, field.Type, false)
		for _, argument := range field.Args {
			refers(defined.Name+"."+field.Name+"("+argument.Name+")", argument.Type, true)
		}
	}
	for _, field := range defined.InputFields {
		refers(defined.Name+"."+field.Name, field.Type, true)
	}
}

func testSchemaHoldsOnlyWhatTheRoleMayDo(t *testing.T, s *stand) {
	roots := func(role, root string) string {
		got := s.graphql(t, asAdmin("X-Hasura-Role", role), `query ($n: String!) { __type(name: $n) { fields { name } } }`, map[string]any{"n": root})
		var answer struct {
			Type *struct{ Fields []struct{ Name string } } `json:"__type"`
		}
		if err := json.Unmarshal(got.Data, &answer); err != nil {
			t.Fatalf("%v: %v", err, got.Errors)
		}
		var names []string
		if answer.Type != nil {
			for _, field := range answer.Type.Fields {
				names = append(names, field.Name)
			}
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct{ role, root, want string }{
		{"member", "query_root", "tenants tenants_by_pk members members_aggregate members_by_pk notes notes_aggregate notes_by_pk app_probe announcements announcements_by_pk tenantStats now answers"},
		{"member", "mutation_root", "insert_notes insert_notes_one update_notes update_notes_many update_notes_by_pk delete_notes delete_notes_by_pk renameTenant"},
		{"auditor", "query_root", "tenants tenants_aggregate"},
		{"auditor", "mutation_root", ""},
		{"unknown", "query_root", "no_queries_available"},
		{"member", "notes_insert_input", ""}, // an input has no fields, it has inputFields
		{"owner", "members", "role tenant_id user_id tenant"},
	} {
		if got := roots(c.role, c.root); got != c.want {
			t.Errorf("%s sees in %s: %s\nwant: %s", c.role, c.root, got, c.want)
		}
	}
}

func testScalarsHaveHasurasNames(t *testing.T, s *stand) {
	got := s.graphql(t, asAdmin(), `{ __type(name: "tenants") { description fields { name type { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } }`, nil)
	var answer struct {
		Type struct {
			Description string
			Fields      []introspectedField
		} `json:"__type"`
	}
	if err := json.Unmarshal(got.Data, &answer); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"id": "uuid", "slug": "String", "status": "status", "seats": "Int", "credit": "bigint", "balance": "numeric", "ratio": "float8",
		"rank": "smallint", "settings": "jsonb", "tags": "_text", "created_at": "timestamptz",
	}
	for _, field := range answer.Type.Fields {
		_, name := field.Type.base(t)
		if want[field.Name] != "" && want[field.Name] != name {
			t.Errorf("%s is a %s, want %s", field.Name, name, want[field.Name])
		}
		delete(want, field.Name)
	}
	if len(want) > 0 {
		t.Errorf("fields missing: %v", want)
	}
	if answer.Type.Description != `who "shares" this \ database` {
		t.Errorf("description = %q", answer.Type.Description)
	}
}
