package engine_test

import (
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

// newCRM starts an engine over the tables and functions of testdata/crm.
func newCRM(t *testing.T) *stand {
	t.Helper()
	return newStand(t, options{tree: os.DirFS("testdata/crm"), sql: crmSQL(t)})
}

func crmSQL(t *testing.T) string {
	t.Helper()
	sql, err := os.ReadFile("testdata/crm.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(sql)
}

// crmWith is testdata/crm with one file replaced.
func crmWith(t *testing.T, path, text string) fs.FS {
	t.Helper()
	tree := fstest.MapFS{}
	if err := fs.WalkDir(os.DirFS("testdata/crm"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			var data []byte
			data, err = os.ReadFile("testdata/crm/" + name)
			tree[name] = &fstest.MapFile{Data: data}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	tree[path] = &fstest.MapFile{Data: []byte(text)}
	return tree
}

// TestReading runs what leaves no trace on one engine, as starting one takes longer.
func TestReading(t *testing.T) {
	s := newCRM(t)
	for name, test := range map[string]func(*testing.T, *stand){
		"Function rows obey the permission of their table": testFunctionRowsObeyThePermissionOfTheirTable,
		"Function takes its session from the engine alone": testFunctionTakesItsSessionFromTheEngineAlone,
		"Function arguments": testFunctionArguments,
		"Function of the query root is open to whoever reads its table": testFunctionOfTheQueryRootIsOpenToWhoeverReadsItsTable,
		"Computed field in a filter":                                    testComputedFieldInAFilter,
		"Computed field of rows obeys their permission":                 testComputedFieldOfRowsObeysTheirPermission,
		"Closed root fields leave the relationships":                    testClosedRootFieldsLeaveTheRelationships,
		"Condition on the number of related rows":                       testConditionOnTheNumberOfRelatedRows,
		"Introspection holds together":                                  testCRMIntrospectionHoldsTogether,
		"Inherited role reads each column where its role does":          testInheritedRoleReadsEachColumnWhereItsRoleDoes,
		"Redacted column cannot be found":                               testRedactedColumnCannotBeFound,
		"Own permission goes before the inherited":                      testOwnPermissionGoesBeforeTheInherited,
		"Inherited role needs the variables of all":                     testInheritedRoleNeedsTheVariablesOfAll,
		"Nested insert is offered where both tables take rows":          testNestedInsertIsOfferedWhereBothTablesTakeRows,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

func TestRenamedColumnsAndRootFields(t *testing.T) {
	s := newCRM(t)
	member := s.as(t, "member", acme, anna)
	s.data(t, member, `{ companies(where: {tradeName: {_like: "A%"}}, order_by: {tradeName: asc}, distinct_on: tradeName) { id tradeName contacts(order_by: {id: asc}) { first } } }`,
		`{"companies":[{"id":1,"tradeName":"Anvil","contacts":[{"first":"Ann"},{"first":"Bob"}]}]}`)
	s.data(t, member, `{ company(tenantId: "`+acme+`", id: 1) { tradeName } companiesAggregate { aggregate { count(columns: tradeName) max { tradeName } } } }`,
		`{"company":{"tradeName":"Anvil"},"companiesAggregate":{"aggregate":{"count":1,"max":{"tradeName":"Anvil"}}}}`)
	s.data(t, member, `{ company(tenantId: "`+techco+`", id: 1) { tradeName } }`, `{"company":null}`)
	s.data(t, member, `mutation {
		addCompany(object: {id: 7, tradeName: "New"}) { tradeName tenantId }
		insert_company(objects: [{id: 7, tradeName: "Newer"}], on_conflict: {constraint: companies_pkey, update_columns: [tradeName]}) { returning { tradeName } }
		changeCompanies(where: {id: {_eq: 7}}, _set: {tradeName: "Newest"}) { returning { tradeName } }
		update_company_by_pk(pk_columns: {tenantId: "`+techco+`", id: 1}, _set: {tradeName: "mine"}) { id }
		dropCompany(tenantId: "`+acme+`", id: 7) { tradeName } }`,
		`{"addCompany":{"tradeName":"New","tenantId":"`+acme+`"},"insert_company":{"returning":[{"tradeName":"Newer"}]},`+
			`"changeCompanies":{"returning":[{"tradeName":"Newest"}]},"update_company_by_pk":null,"dropCompany":{"tradeName":"Newest"}}`)
	s.fails(t, member, `{ companies { trade_name } }`, missing, `field 'trade_name' not found in type: 'company'`)
	s.fails(t, member, `{ company_by_pk(id: 1) { id } }`, missing, `field 'company_by_pk' not found in type: 'query_root'`)
}

func testClosedRootFieldsLeaveTheRelationships(t *testing.T, s *stand) {
	reader := s.as(t, "reader", acme, anna)
	for _, field := range []string{`contact { id }`, `contact_aggregate { nodes { id } }`} {
		name, _, _ := strings.Cut(field, " ")
		s.fails(t, reader, `{ `+field+` }`, missing, `field '`+name+`' not found in type: 'query_root'`)
	}
	// The limit of the permission holds for a function's rows as for the table's.
	s.data(t, reader, `{ peekAll(order_by: {id: desc}) { first } peekCount { aggregate { count } nodes { id } } }`,
		`{"peekAll":[{"first":"Bob"}],"peekCount":{"aggregate":{"count":2},"nodes":[{"id":1}]}}`)
}

func testConditionOnTheNumberOfRelatedRows(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	ask := func(condition string) string {
		return `{ companies(where: {contacts_aggregate: {count: ` + condition + `}}) { id } }`
	}
	s.data(t, member, ask(`{predicate: {_eq: 2}}`), `{"companies":[{"id":1}]}`)
	s.data(t, member, ask(`{predicate: {_gt: 2}}`), `{"companies":[]}`)
	s.data(t, member, ask(`{filter: {first: {_eq: "Ann"}}, predicate: {_eq: 1}}`), `{"companies":[{"id":1}]}`)
	s.data(t, member, ask(`{arguments: [company_id], distinct: true, predicate: {_eq: 1}}`), `{"companies":[{"id":1}]}`)
	s.fails(t, member, ask(`{}`), missing, `missing required field 'predicate'`)
}

// testCRMIntrospectionHoldsTogether asks as every role that the fixture names.
func testCRMIntrospectionHoldsTogether(t *testing.T, s *stand) {
	query, err := os.ReadFile("testdata/introspection.graphql")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"admin", "member", "clone", "support", "reader", "own", "initialled", "lead", "chief", "twin"} {
		answer := introspect(t, s.graphql(t, asAdmin("X-Hasura-Role", role), string(query), nil))
		kinds := map[string]string{}
		for _, defined := range answer.Schema.Types {
			kinds[defined.Name] = defined.Kind
		}
		for _, defined := range answer.Schema.Types {
			checkType(t, defined, kinds)
		}
	}
}

func TestWhatCannotBeServedIsReported(t *testing.T) {
	const functions = "databases/default/functions/functions.yaml"
	declared := `
- function: {schema: crm, name: twice}
- function: {schema: crm, name: many}
- function: {schema: crm, name: nowhere}
- function: {schema: crm, name: initials}
- {function: {schema: crm, name: find_contacts}, configuration: {session_argument: search}}
- {function: {schema: crm, name: first_company}, configuration: {exposed_as: mutation}}
- {function: {schema: crm, name: peek}, configuration: {session_argument: gone}}
`
	s := newStand(t, options{tree: crmWith(t, functions, declared), sql: crmSQL(t)})
	_, listed := s.api(t, asAdmin(), `{"type": "get_inconsistent_metadata", "args": {}}`)
	for _, want := range []string{
		`is overloaded`, `VARIADIC`, `no such function exists: \"crm.nowhere\"`, `does not return rows of a tracked table`,
		`must be of type json or jsonb`, `exposed as a mutation must be VOLATILE`, `has no session argument \"gone\"`,
	} {
		if !strings.Contains(listed, want) {
			t.Errorf("nothing says %s:\n%s", want, listed)
		}
	}
	s.fails(t, asAdmin(), `{ crm_twice { id } }`, missing, `field 'crm_twice' not found in type: 'query_root'`)
	if status, body := s.get(t, "/healthz?strict=true"); status != http.StatusInternalServerError {
		t.Errorf("healthz: %d %s", status, body)
	}
}

func TestTwoRootFieldsOfOneNameStopTheEngine(t *testing.T) {
	const functions = "databases/default/functions/functions.yaml"
	_, err := tryStand(t, options{tree: crmWith(t, functions, "- {function: {schema: crm, name: peek}, configuration: {exposed_as: query, custom_name: companies}}\n"), sql: crmSQL(t)})
	if err == nil || !strings.Contains(err.Error(), "query_root.companies") {
		t.Errorf("error = %v, want one that names query_root.companies", err)
	}
}

func TestComputedFieldsThatDoNotFitAreReported(t *testing.T) {
	const contacts = "databases/default/tables/crm_contacts.yaml"
	table := "table: {schema: crm, name: contacts}\nconfiguration: {custom_name: contact}\ncomputed_fields:\n" +
		"- {name: first, definition: {function: {schema: crm, name: initials}}}\n" +
		"- {name: other, definition: {function: {schema: crm, name: initials}, table_argument: d}}\n" +
		"- {name: search, definition: {function: {schema: crm, name: find_contacts}}}\n" +
		"- {name: writes, definition: {function: {schema: crm, name: writes}}}\n" +
		"- {name: names, definition: {function: {schema: crm, name: namesakes}}}\n" +
		"select_permissions:\n- {role: member, permission: {columns: [id], filter: {}, computed_fields: [names]}}\n" +
		"- {role: clone, permission: {columns: [id], filter: {}, computed_fields: [gone]}}\n"
	sql := crmSQL(t) + `CREATE FUNCTION crm.writes(crm.contacts) RETURNS text LANGUAGE sql AS $$ SELECT '' $$;`
	s := newStand(t, options{tree: crmWith(t, contacts, table), sql: sql})
	_, listed := s.api(t, asAdmin(), `{"type": "get_inconsistent_metadata", "args": {}}`)
	for _, want := range []string{
		`that of a column or relationship`, `has no argument \"d\" to take the row`, `does not take a row of`, `is of type VOLATILE`,
		`are auto-derived from the permissions on its returning table`, `computed field \"gone\" does not exist`,
	} {
		if !strings.Contains(listed, want) {
			t.Errorf("nothing says %s:\n%s", want, listed)
		}
	}
	s.fails(t, s.as(t, "member", acme, anna), `{ contact { id } }`, qerr.ValidationFailed, `field 'contact' not found in type: 'query_root'`)
}
