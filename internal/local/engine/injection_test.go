package engine_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// hostile are texts that would change a statement if they ever became part of one.
var hostile = []string{
	`'`, `''; DROP TABLE app.notes; --`, `" OR 1=1 --`, `\'; SELECT pg_sleep(9); --`, `$1`, `$$; DROP SCHEMA app CASCADE; $$`,
	`'||(SELECT secret FROM app.tenants LIMIT 1)||'`, `{"a": "b"}`, `{a,b}`, `}{`, `\`, `%`, `_`, `null`, `E'\x27'`, `/* */`, `); --`,
	"\t\r\n", "日本語 \u202e 😀", `x-hasura-user-id`, `X-Hasura-Tenant-Id`, strings.Repeat("é'", 5000),
}

// TestHostileTextIsOnlyText writes each text everywhere a text can go, reads it back
// and finds it by every operator.
func TestHostileTextIsOnlyText(t *testing.T) {
	s := newStand(t, options{})
	member, owner := s.as(t, "member", acme, anna), s.as(t, "owner", acme, anna)
	for _, text := range hostile {
		variables := map[string]any{"t": text, "j": map[string]any{"k": text}, "p": strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)}
		got := s.graphql(t, member, `mutation ($t: String!) { insert_notes_one(object: {title: $t, body: $t}) { title body } }`, map[string]any{"t": text})
		compareJSON(t, map[string]any{"insert_notes_one": map[string]any{"title": text, "body": text}}, json.RawMessage(got.Data))
		got = s.graphql(t, owner, `query ($t: String!, $p: String!) {
			a: notes(where: {title: {_eq: $t}}) { body } b: notes(where: {title: {_in: [$t]}, body: {_ilike: $p}}) { body }
			c: notes(where: {_not: {title: {_neq: $t}}}) { body } }`, map[string]any{"t": text, "p": variables["p"]})
		found := []any{map[string]any{"body": text}}
		compareJSON(t, map[string]any{"a": found, "b": found, "c": found}, json.RawMessage(got.Data))
		got = s.graphql(t, member, `mutation ($t: String!) { update_notes(where: {title: {_eq: $t}}, _set: {body: $t}) { affected_rows } delete_notes(where: {title: {_eq: $t}}) { affected_rows } }`, map[string]any{"t": text})
		compareJSON(t, map[string]any{"update_notes": map[string]any{"affected_rows": 1}, "delete_notes": map[string]any{"affected_rows": 1}}, json.RawMessage(got.Data))
		got = s.graphql(t, owner, `mutation ($j: jsonb!) { update_tenants(where: {}, _set: {settings: $j}) { returning { settings } } }`, map[string]any{"j": variables["j"]})
		compareJSON(t, map[string]any{"update_tenants": map[string]any{"returning": []any{map[string]any{"settings": variables["j"]}}}}, json.RawMessage(got.Data))
		got = s.graphql(t, owner, `query ($j: jsonb!, $t: String!) { tenants(where: {settings: {_contains: $j, _has_keys_any: ["k", $t]}}) { slug } }`, map[string]any{"j": variables["j"], "t": text})
		compareJSON(t, map[string]any{"tenants": []any{map[string]any{"slug": "acme"}}}, json.RawMessage(got.Data))
	}
	if n := one[int](t, s, `SELECT count(*)::int FROM app.notes`); n != 4 {
		t.Errorf("%d notes left, want 4", n)
	}
}

// TestHostileSessionVariablesAreOnlyValues puts the texts where permissions read them.
func testHostileSessionVariablesAreOnlyValues(t *testing.T, s *stand) {
	for _, text := range hostile {
		token := s.token(t, claims(map[string]any{"x-hasura-user-id": text, "x-hasura-tenant-id": text, "x-hasura-tenant-ids": text, "x-hasura-" + text: text}), nil)
		got := s.graphql(t, bearer(token), `{ tenants { slug } }`, nil)
		if len(got.Errors) != 1 || got.Errors[0].Extensions["code"] != "data-exception" {
			t.Errorf("%q: %s %v", text, got.Data, got.Errors)
		}
	}
}

// TestHostileNames puts them where names go: nothing but a GraphQL name gets through.
func testHostileNames(t *testing.T, s *stand) {
	for _, query := range []string{
		`{ tenants { a"b: slug } }`, `{ "tenants" { slug } }`, `{ tenants { slug'; } }`, "{ tenants { a\u0000: slug } }", `{ tenants(order_by: {"slug": asc}) { slug } }`,
	} {
		s.fails(t, asAdmin(), query, missing, "not a valid graphql query")
	}
	for _, path := range []string{`a') FROM app.tenants; --`, `a'b"c`, `$.a["x'y"]`} {
		got := s.graphql(t, asAdmin(), `query ($p: String!) { tenants { settings(path: $p) } }`, map[string]any{"p": path})
		if len(got.Errors) == 0 && string(got.Data) != `{"tenants":[{"settings":null},{"settings":null}]}` {
			t.Errorf("%s: %s", path, got.Data)
		}
	}
}

// TestOddTableNamesAreQuoted tracks a table whose name would end a statement.
func TestOddTableNamesAreQuoted(t *testing.T) {
	s := newStand(t, options{
		sql:  `CREATE TABLE app."odd"" name; --" (id int PRIMARY KEY, "select" text); GRANT ALL ON app."odd"" name; --" TO nself_hasura`,
		tree: edited(t, map[string]string{tables + "app_probe.yaml": "table: {schema: app, name: 'odd\" name; --'}\nconfiguration: {custom_name: odd}\n"}),
	})
	s.data(t, asAdmin(), `mutation {
		insert_odd_one(object: {id: 1, select: "x"}) { id }
		update_odd(where: {select: {_eq: "x"}}, _set: {select: "y"}) { returning { select } } }`,
		`{"insert_odd_one":{"id":1},"update_odd":{"returning":[{"select":"y"}]}}`)
	s.data(t, asAdmin(), `{ odd(order_by: {select: asc}) { select } odd_aggregate { aggregate { max { select } } } }`,
		`{"odd":[{"select":"y"}],"odd_aggregate":{"aggregate":{"max":{"select":"y"}}}}`)
}
