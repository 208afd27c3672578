package engine_test

import (
	"testing"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const missing = qerr.ValidationFailed

func testRowFilterBindsEveryWayToRead(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	s.data(t, member, `{ tenants { slug } }`, `{"tenants":[{"slug":"acme"}]}`)
	s.data(t, member, `{ tenants(where: {slug: {_eq: "techco"}}) { slug } }`, `{"tenants":[]}`)
	s.data(t, member, `{ tenants_by_pk(id: "`+techco+`") { slug } }`, `{"tenants_by_pk":null}`)
	s.data(t, member, `{ tenants_by_pk(id: "`+acme+`") { slug members(order_by: {user_id: asc}) { role } } }`,
		`{"tenants_by_pk":{"slug":"acme","members":[{"role":"owner"},{"role":"member"}]}}`)
	s.data(t, member, `{ members_aggregate { aggregate { count } } }`, `{"members_aggregate":{"aggregate":{"count":2}}}`)
	// Filtering through a relationship sees the related rows as the role may read them.
	s.data(t, asAdmin(), `{ tenants(where: {notes: {title: {_eq: "delta"}}}) { slug } }`, `{"tenants":[{"slug":"techco"}]}`)
	s.data(t, member, `{ tenants(where: {notes: {title: {_eq: "delta"}}}) { slug } }`, `{"tenants":[]}`)
}

func TestFilterThroughRelationshipAndUnrelatedTable(t *testing.T) {
	s := newStand(t, options{})
	s.data(t, s.as(t, "stranger", techco, ben), `{ tenants { slug } }`, `{"tenants":[{"slug":"acme"}]}`)
	s.exec(t, `DELETE FROM public.announcements`)
	s.data(t, s.as(t, "stranger", techco, ben), `{ tenants { slug } }`, `{"tenants":[]}`)
}

func testFilterWithArrayVariable(t *testing.T, s *stand) {
	for list, want := range map[string]string{
		"{}":                            `{"tenants":[]}`,
		"{" + techco + "}":              `{"tenants":[{"slug":"techco"}]}`,
		"{" + techco + "," + acme + "}": `{"tenants":[{"slug":"acme"},{"slug":"techco"}]}`,
	} {
		header := asAdmin("X-Hasura-Role", "owner", "X-Hasura-Tenant-Ids", list)
		s.data(t, header, `{ tenants(order_by: {slug: asc}) { slug } }`, want)
	}
}

func testMissingSessionVariableFailsTheOperation(t *testing.T, s *stand) {
	s.fails(t, asAdmin("x-hasura-role", "member"), `{ announcements { id } tenants { slug } }`, qerr.NotFound,
		`missing session variable: "x-hasura-tenant-id"`)
}

func testColumnsAndFieldsOutsideThePermissionDoNotExist(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	for query, message := range map[string]string{
		`{ tenants { secret } }`:                                   `field 'secret' not found in type: 'tenants'`,
		`{ tenants { members { secret } } }`:                       `field 'secret' not found in type: 'members'`,
		`{ tenants(where: {secret: {_eq: "top"}}) { id } }`:        `field 'secret' not found in type: 'tenants_bool_exp'`,
		`{ tenants(order_by: {secret: asc}) { id } }`:              `field 'secret' not found in type: 'tenants_order_by'`,
		`{ tenants_aggregate { aggregate { count } } }`:            `field 'tenants_aggregate' not found in type: 'query_root'`,
		`mutation { delete_tenants(where: {}) { affected_rows } }`: `field 'delete_tenants' not found in type: 'mutation_root'`,
		`mutation { create_users { id } }`:                         `field 'create_users' not found in type: 'mutation_root'`,
	} {
		s.fails(t, member, query, missing, message)
	}
	auditor := s.as(t, "auditor", acme, anna)
	s.fails(t, auditor, `{ tenants_by_pk(id: "`+acme+`") { name } }`, missing, `field 'tenants_by_pk' not found in type: 'query_root'`)
	nobody := s.as(t, "nobody", acme, anna)
	s.fails(t, nobody, `{ tenants { id } }`, missing, `field 'tenants' not found in type: 'query_root'`)
	s.fails(t, nobody, `mutation { insert_tenants(objects: []) { affected_rows } }`, missing, `no mutations exist`)
}

func testPermissionLimitBoundsRowsAndNodesButNotAggregates(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	s.data(t, member, `{ notes(order_by: {id: asc}) { title } }`, `{"notes":[{"title":"alpha"},{"title":"beta"}]}`)
	s.data(t, member, `{ notes(order_by: {id: desc}, limit: 1) { title } }`, `{"notes":[{"title":"gamma"}]}`)
	s.data(t, member, `{ notes_aggregate(order_by: {id: desc}) { aggregate { count sum { words } } nodes { title } } }`,
		`{"notes_aggregate":{"aggregate":{"count":3,"sum":{"words":60}},"nodes":[{"title":"gamma"},{"title":"beta"}]}}`)
}

func testAdminSeesEverything(t *testing.T, s *stand) {
	s.data(t, asAdmin(), `{ tenants(order_by: {slug: asc}) { slug secret } announcements { text } }`,
		`{"tenants":[{"slug":"acme","secret":"top"},{"slug":"techco","secret":null}],"announcements":[{"text":"hello"}]}`)
}

func testRowArguments(t *testing.T, s *stand) {
	owner := s.as(t, "owner", acme, anna)
	for query, want := range map[string]string{
		`{ notes(order_by: [{words: desc}], limit: 1, offset: 1) { title } }`:                                `{"notes":[{"title":"beta"}]}`,
		`{ notes(order_by: {body: asc_nulls_first}, limit: 1) { title } }`:                                   `{"notes":[{"title":"beta"}]}`,
		`{ notes(order_by: {body: asc}) { title } }`:                                                         `{"notes":[{"title":"alpha"},{"title":"gamma"},{"title":"beta"}]}`,
		`{ notes(order_by: {body: desc}) { title } }`:                                                        `{"notes":[{"title":"beta"},{"title":"gamma"},{"title":"alpha"}]}`,
		`{ notes(order_by: [{author: {role: asc}}, {id: asc}]) { title } }`:                                  `{"notes":[{"title":"beta"},{"title":"alpha"},{"title":"gamma"}]}`,
		`{ notes(distinct_on: author_id, order_by: [{author_id: asc}, {id: desc}]) { title } }`:              `{"notes":[{"title":"gamma"},{"title":"beta"}]}`,
		`{ notes(where: {_or: [{words: {_lt: 20}}, {_not: {body: {_is_null: false}}}]}) { title } }`:         `{"notes":[{"title":"alpha"},{"title":"beta"}]}`,
		`{ notes(where: {_and: [], words: {_in: [20, 30], _nin: [30]}}) { title } }`:                         `{"notes":[{"title":"beta"}]}`,
		`{ notes(where: {_or: []}) { title } }`:                                                              `{"notes":[]}`,
		`{ notes(where: {title: {_ilike: "%AM%"}}) { title } }`:                                              `{"notes":[{"title":"gamma"}]}`,
		`{ notes(where: {title: {_iregex: "^[AB]"}}) { title } }`:                                            `{"notes":[{"title":"alpha"},{"title":"beta"}]}`,
		`{ notes(where: {author: {role: {_eq: "member"}}}) { title } }`:                                      `{"notes":[{"title":"beta"}]}`,
		`{ notes(where: null, limit: null, order_by: null) { words } }`:                                      `{"notes":[{"words":10},{"words":20},{"words":30}]}`,
		`{ tenants(where: {settings: {_contains: {plan: "pro"}}}) { slug } }`:                                `{"tenants":[{"slug":"acme"}]}`,
		`{ tenants(where: {settings: {_has_keys_all: ["plan", "none"]}}) { slug } }`:                         `{"tenants":[]}`,
		`{ tenants(where: {settings: {_cast: {String: {_like: "%dark%"}}}}) { slug } }`:                      `{"tenants":[{"slug":"acme"}]}`,
		`{ tenants(where: {tags: {_contains: "{red}"}}) { tags } }`:                                          `{"tenants":[{"tags":["red","light blue"]}]}`,
		`{ tenants(where: {tags: {_contains: ["light blue"]}}) { slug } }`:                                   `{"tenants":[{"slug":"acme"}]}`,
		`{ tenants(where: {status: {_eq: active}, created_at: {_gt: "2025-01-01"}}) { status created_at } }`: `{"tenants":[{"status":"active","created_at":"2026-01-02T03:04:05.678901+00:00"}]}`,
		`{ tenants(order_by: {members_aggregate: {count: desc, max: {role: asc}}}) { slug } }`:               `{"tenants":[{"slug":"acme"}]}`,
	} {
		s.data(t, owner, query, want)
	}
}

func testWrongRowArgumentsAreRefused(t *testing.T, s *stand) {
	owner := s.as(t, "owner", acme, anna)
	for _, c := range []struct{ query, code, message string }{
		{`{ notes(where: {title: {_eq: null}}) { id } }`, missing, `unexpected null value for type 'String'`},
		{`{ notes(limit: -1) { id } }`, missing, `expected a non-negative 32-bit integer for type 'Int', but found a number`},
		{`{ notes(limit: "1") { id } }`, missing, `expected a 32-bit integer for type 'Int', but found a string`},
		{`{ notes(order_by: {id: sideways}) { id } }`, missing, `expected one of the values ['asc', 'asc_nulls_first', 'asc_nulls_last', 'desc', 'desc_nulls_first', 'desc_nulls_last'] for type 'order_by', but found 'sideways'`},
		{`{ notes(distinct_on: author_id, order_by: {id: asc}) { id } }`, missing, `"distinct_on" columns must match initial "order_by" columns`},
		{`{ notes(colour: 1) { id } }`, missing, `'notes' has no argument named 'colour'`},
		{`{ notes { author } }`, missing, `missing selection set for 'members'`},
		{`{ notes { title { x } } }`, missing, `unexpected subselection set for non-object field`},
		{`{ tenants_by_pk { id } }`, missing, `missing required field 'id'`},
		{`{ tenants_by_pk(id: "x") { id } }`, qerr.DataException, `invalid input syntax for type uuid: "x"`},
		{`{ tenants(where: {settings: {_contains: {a: {b: 1}}, _has_key: 4}}) { id } }`, missing, `expected a string for type 'String', but found a number`},
	} {
		s.fails(t, owner, c.query, c.code, c.message)
	}
}

func testNumbersPassUntouched(t *testing.T, s *stand) {
	s.data(t, asAdmin(), `{ tenants(where: {credit: {_eq: 9007199254740993}}) { credit balance ratio rank } }`,
		`{"tenants":[{"credit":9007199254740993,"balance":12345678901234567890.123456789,"ratio":0.5,"rank":1}]}`)
	s.data(t, asAdmin(), `{ tenants(where: {balance: {_eq: "12345678901234567890.123456789"}}) { slug } }`, `{"tenants":[{"slug":"acme"}]}`)
}

func testJSONColumnsTakeAPath(t *testing.T, s *stand) {
	s.data(t, asAdmin(), `{ tenants(where: {slug: {_eq: "acme"}}) {
		a: settings(path: "$.theme.dark") b: settings(path: "list[1]") c: settings(path: "['plan']") d: settings(path: "none.x") e: settings(path: "$") } }`,
		`{"tenants":[{"a":true,"b":2,"c":"pro","d":null,"e":{"list":[1,2],"plan":"pro","theme":{"dark":true}}}]}`)
	s.fails(t, asAdmin(), `{ tenants { settings(path: "a..b") } }`, qerr.ParseFailed, `parse json path error: "a..b"`)
}

func testAggregates(t *testing.T, s *stand) {
	s.data(t, asAdmin(), `{ notes_aggregate(where: {words: {_lt: 40}}) { aggregate {
		count distinct: count(columns: author_id, distinct: true) both: count(columns: [author_id, title], distinct: true)
		max { words title author_id } min { id } avg { words } } __typename } }`,
		`{"notes_aggregate":{"aggregate":{"count":3,"distinct":2,"both":3,"max":{"words":30,"title":"gamma","author_id":"`+ben+`"},"min":{"id":1},"avg":{"words":20.0000000000000000}},"__typename":"notes_aggregate"}}`)
	s.data(t, asAdmin(), `{ tenants(order_by: {notes_aggregate: {sum: {words: desc}}}) { slug notes_aggregate { aggregate { sum { words } } nodes { author { role } } } } }`,
		`{"tenants":[{"slug":"acme","notes_aggregate":{"aggregate":{"sum":{"words":60}},"nodes":[{"author":{"role":"owner"}},{"author":{"role":"member"}},{"author":{"role":"owner"}}]}},`+
			`{"slug":"techco","notes_aggregate":{"aggregate":{"sum":{"words":40}},"nodes":[{"author":{"role":"owner"}}]}}]}`)
}

func testAliasesFragmentsAndDirectives(t *testing.T, s *stand) {
	got := s.graphql(t, s.as(t, "owner", acme, anna), `
		query Ask($with: Boolean!, $w: Int = 20) { __typename
			first: notes(where: {words: {_eq: $w}}) { ...part author { role } author { user_id } }
			skipped: notes @skip(if: $with) { id } }
		fragment part on notes { t: title ... on notes @include(if: $with) { words __typename } ... @skip(if: $with) { id } }`,
		map[string]any{"with": true})
	want := `{"__typename":"query_root","first":[{"t":"beta","words":20,"__typename":"notes","author":{"role":"member","user_id":"` + ben + `"}}]}`
	if string(got.Data) != want {
		t.Errorf("got %s %v\nwant %s", got.Data, got.Errors, want)
	}
}

func testLongAliasesAndManyFieldsSurvive(t *testing.T, s *stand) {
	query, want := `{ tenants_by_pk(id: "`+acme+`") {`, `{"tenants_by_pk":{`
	for i := range 200 {
		alias := "an_alias_that_is_longer_than_the_sixty_three_bytes_of_a_postgres_identifier_" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		if i > 0 {
			want += ","
		}
		query += alias + ": slug "
		want += `"` + alias + `":"acme"`
	}
	s.data(t, s.as(t, "member", acme, anna), query+"} }", want+"}}")
}

func TestQueriesCarryNoSessionSetting(t *testing.T) {
	s := newStand(t, options{})
	member := s.as(t, "member", acme, anna)
	// A mutation before it leaves nothing behind on the connection.
	s.data(t, member, `mutation { insert_notes_one(object: {title: "x"}) { title } }`, `{"insert_notes_one":{"title":"x"}}`)
	s.data(t, member, `{ app_probe { setting } }`, `{"app_probe":[{"setting":""}]}`)
}

func testDefaultNamesFollowSchemaAndTable(t *testing.T, s *stand) {
	s.data(t, asAdmin(), `{ app_probe { id } announcements { id text } }`, `{"app_probe":[{"id":1}],"announcements":[{"id":1,"text":"hello"}]}`)
}
