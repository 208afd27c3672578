package engine_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

func testMalformedRequests(t *testing.T, s *stand) {
	for body, want := range map[string]string{
		`{`:                             qerr.InvalidJSON,
		``:                              qerr.InvalidJSON,
		`{"query": "{ __typename }"} x`: qerr.InvalidJSON,
		`7`:                             qerr.ParseFailed,
		`{}`:                            qerr.ParseFailed,
		`{"query": 7}`:                  qerr.ParseFailed,
		`{"query": "{ __typename }", "variables": []}`:                                               qerr.ParseFailed,
		`{"query": "{ __typename }", "operationName": 1}`:                                            qerr.ParseFailed,
		`[{"query": "{ __typename }"}, 4]`:                                                           qerr.ParseFailed,
		`{"query": "{"}`:                                                                             qerr.ValidationFailed,
		`{"query": ""}`:                                                                              qerr.ValidationFailed,
		`{"query": "query A { __typename } query B { __typename }"}`:                                 qerr.ValidationFailed,
		`{"query": "query A { __typename }", "operationName": "B"}`:                                  qerr.ValidationFailed,
		`{"query": "subscription { tenants { id } }"}`:                                               qerr.UnexpectedPayload,
		`{"query": "{ ...a } fragment a on query_root { ...a }"}`:                                    qerr.ValidationFailed,
		`{"query": "query ($x: Nothing) { __typename }"}`:                                            qerr.ValidationFailed,
		`{"query": "query ($x: Int!) { __typename }"}`:                                               qerr.ValidationFailed,
		`{"query": "query ($x: Int!) { __typename }", "variables": {"x": null}}`:                     qerr.ValidationFailed,
		`{"query": "query ($x: Int!) { __typename }", "variables": {"x": "1"}}`:                      qerr.ValidationFailed,
		`{"query": "query ($x: String!) { tenants_by_pk(id: $x) { id } }", "variables": {"x": "1"}}`: qerr.ValidationFailed,
		`{"query": "query ($x: uuid) { tenants_by_pk(id: $x) { id } }"}`:                             qerr.ValidationFailed,
		`{"query": "{ __typename }", "variables": {"y": 1}}`:                                         qerr.ValidationFailed,
		`{"query": "{ tenants { id } tenants(limit: 1) { id } }"}`:                                   qerr.ValidationFailed,
	} {
		status, text, _ := s.post(t, "/v1/graphql", asAdmin(), []byte(body))
		var got response
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if status != http.StatusOK || len(got.Errors) != 1 || got.Errors[0].Extensions["code"] != want || got.Errors[0].Extensions["path"] == "" {
			t.Errorf("%s\ngot %d %s, want code %s", body, status, text, want)
		}
	}
}

func testBatch(t *testing.T, s *stand) {
	_, text, _ := s.post(t, "/v1/graphql", asAdmin(), []byte(`[
		{"query": "{ announcements { id } }"}, {"query": "{ nothing }"},
		{"query": "query A { __typename } mutation B { __typename }", "operationName": "B", "variables": null}]`))
	var got []response
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || string(got[0].Data) != `{"announcements":[{"id":1}]}` || len(got[1].Errors) != 1 || string(got[2].Data) != `{"__typename":"mutation_root"}` {
		t.Errorf("got %s", text)
	}
	if _, text, _ := s.post(t, "/v1/graphql", asAdmin(), []byte(`[]`)); string(text) != `[]` {
		t.Errorf("empty batch: %s", text)
	}
}

func testVariables(t *testing.T, s *stand) {
	owner := s.as(t, "owner", acme, anna)
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      string
	}{
		{`query ($w: notes_bool_exp, $o: [notes_order_by!]) { notes(where: $w, order_by: $o) { title } }`,
			map[string]any{"w": map[string]any{"words": map[string]any{"_gt": 10}}, "o": []any{map[string]any{"words": "desc"}}}, `{"notes":[{"title":"gamma"},{"title":"beta"}]}`},
		{`query ($w: Int) { notes(where: {words: {_eq: $w}}) { title } }`, nil, `{"notes":[{"title":"alpha"},{"title":"beta"},{"title":"gamma"}]}`},
		{`query ($d: order_by = desc) { notes(order_by: {words: $d}, limit: 1) { title } }`, nil, `{"notes":[{"title":"gamma"}]}`},
		{`query ($d: order_by) { notes(order_by: {words: $d}, limit: 1) { title } }`, map[string]any{"d": "desc"}, `{"notes":[{"title":"gamma"}]}`},
		{`query ($id: uuid!) { tenants_by_pk(id: $id) { slug } }`, map[string]any{"id": acme}, `{"tenants_by_pk":{"slug":"acme"}}`},
		{`query ($l: Int) { notes(limit: $l) { title } }`, map[string]any{"l": 1.0}, `{"notes":[{"title":"alpha"}]}`},
		{`query ($t: [String!]!) { notes(where: {title: {_in: $t}}) { title } }`, map[string]any{"t": "beta"}, `{"notes":[{"title":"beta"}]}`},
	} {
		got := s.graphql(t, owner, c.query, c.variables)
		if string(got.Data) != c.want {
			t.Errorf("%s %v\n got: %s %v\nwant: %s", c.query, c.variables, got.Data, got.Errors, c.want)
		}
	}
}

func testErrorPathsPointIntoTheDocument(t *testing.T, s *stand) {
	for query, want := range map[string]string{
		`mutation { x }`:                                      `$.selectionSet.x`,
		`{ tenants { members { x } } }`:                       `$.selectionSet.tenants.selectionSet.members.selectionSet.x`,
		`{ tenants(where: {_and: [{name: {x: 1}}]}) { id } }`: `$.selectionSet.tenants.args.where._and[0].name.x`,
	} {
		got := s.graphql(t, asAdmin(), query, nil)
		if len(got.Errors) != 1 || got.Errors[0].Extensions["path"] != want {
			t.Errorf("%s: %v, want path %s", query, got.Errors, want)
		}
	}
}

func testOtherMethodsAndPathsDoNotExist(t *testing.T, s *stand) {
	for _, path := range []string{"/v1/graphql", "/v2/query", "/"} {
		answer, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, answer.StatusCode)
		}
	}
}

func testABodyTooLargeIsRefused(t *testing.T, s *stand) {
	status, text, _ := s.post(t, "/v1/graphql", asAdmin(), []byte(`{"query": "`+strings.Repeat(" ", 17<<20)+`"}`))
	if status != http.StatusOK || !strings.Contains(string(text), `"code":"bad-request"`) {
		t.Errorf("%d %s", status, text)
	}
}
