package engine_test

import (
	"testing"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

func testFunctionRowsObeyThePermissionOfTheirTable(t *testing.T, s *stand) {
	member := s.as(t, "member", acme, anna)
	// The function finds Ann of both tenants.
	s.data(t, member, `{ findContacts(args: {search: "Ann"}) { id last } }`, `{"findContacts":[{"id":1,"last":"Archer"}]}`)
	s.data(t, asAdmin(), `{ findContacts(args: {search: "Ann"}) { id email } }`, `{"findContacts":[{"id":1,"email":"ann@acme"},{"id":3,"email":"ann@techco"}]}`)
	s.data(t, member, `{ findContacts_aggregate(args: {search: null}) { aggregate { count } nodes { first company { tradeName } } } }`,
		`{"findContacts_aggregate":{"aggregate":{"count":2},"nodes":[{"first":"Ann","company":{"tradeName":"Anvil"}},{"first":"Bob","company":{"tradeName":"Anvil"}}]}}`)
	s.data(t, member, `{ findContacts(args: {search: "%"}, where: {last: {_like: "B%"}}, order_by: {id: desc}, limit: 1) { first initials } }`,
		`{"findContacts":[{"first":"Bob","initials":"BB"}]}`)
	// What the permission hides cannot be asked for through the function either.
	s.fails(t, member, `{ findContacts(args: {search: "Ann"}) { email } }`, missing, `field 'email' not found in type: 'contact'`)
	s.fails(t, member, `{ findContacts(args: {search: "Ann"}, where: {email: {_eq: "x"}}) { id } }`, missing, `field 'email' not found in type: 'contact_bool_exp'`)
}

func testFunctionTakesItsSessionFromTheEngineAlone(t *testing.T, s *stand) {
	s.data(t, s.as(t, "member", techco, anna), `{ findContacts(args: {search: "%", only_own: true}) { id } }`, `{"findContacts":[{"id":3},{"id":4}]}`)
	s.fails(t, s.as(t, "member", techco, anna), `{ findContacts(args: {search: "%", hasura_session: "{}"}) { id } }`, missing,
		`field 'hasura_session' not found in type: 'findContacts_args'`)
	s.fails(t, asAdmin(), `{ findContacts(args: {search: "%", only_own: true, most: "x"}) { id } }`, qerr.ValidationFailed,
		`expected a 32-bit integer for type 'Int', but found a string`)
}

func testFunctionArguments(t *testing.T, s *stand) {
	admin := asAdmin()
	s.data(t, admin, `{ findContacts(args: {search: "%", most: 2}) { id } }`, `{"findContacts":[{"id":1},{"id":2}]}`)
	s.data(t, admin, `{ crm_first_company(args: {arg_1: "`+techco+`"}) { tradeName } }`, `{"crm_first_company":{"tradeName":"Tower"}}`)
	s.data(t, s.as(t, "member", acme, anna), `{ crm_first_company(args: {arg_1: "`+techco+`"}) { tradeName } }`, `{"crm_first_company":null}`)
	s.fails(t, admin, `{ findContacts(args: {}) { id } }`, qerr.NotSupported, `Non default arguments cannot be omitted`)
	s.fails(t, admin, `{ findContacts { id } }`, missing, `missing required field 'args'`)
}

func testFunctionOfTheQueryRootIsOpenToWhoeverReadsItsTable(t *testing.T, s *stand) {
	s.data(t, s.as(t, "support", acme, anna), `{ peekAll(order_by: {id: asc}) { id email } }`, `{"peekAll":[{"id":2,"email":"bob@shared"},{"id":4,"email":"tim@shared"}]}`)
	s.fails(t, s.as(t, "support", acme, anna), `{ crm_first_company(args: {arg_1: "`+acme+`"}) { id } }`, missing,
		`field 'crm_first_company' not found in type: 'query_root'`)
	s.fails(t, s.as(t, "support", acme, anna), `{ peekCount { aggregate { count } } }`, missing, `field 'peekCount' not found in type: 'query_root'`)
}

// A function writes as it likes: the permission bounds only what comes back.
func TestFunctionOfTheMutationRoot(t *testing.T) {
	s := newCRM(t)
	rename := `mutation { crm_rename_contacts(args: {suffix: "!"}, order_by: {id: asc}) { id last } }`
	s.data(t, s.as(t, "member", acme, anna), rename, `{"crm_rename_contacts":[{"id":1,"last":"Archer!"},{"id":2,"last":"Baker!"}]}`)
	if got := one[string](t, s, `SELECT last FROM crm.contacts WHERE id = 3`); got != "Taylor!" {
		t.Errorf("the other tenant's row is %q; the function's own reach was lost", got)
	}
	// Reading the table is not enough, as it is for a query.
	s.fails(t, s.as(t, "clone", acme, anna), rename, missing, `field 'crm_rename_contacts' not found in type: 'mutation_root'`)
	s.fails(t, s.as(t, "member", acme, anna), `{ crm_rename_contacts(args: {suffix: "!"}) { id } }`, missing,
		`field 'crm_rename_contacts' not found in type: 'query_root'`)
}

func TestComputedFields(t *testing.T) {
	s := newCRM(t)
	member := s.as(t, "member", acme, anna)
	s.data(t, member, `{ contact(order_by: {id: asc}, limit: 1) { a: full_name b: full_name(args: {separator: ", "}) c: full_name(args: {ending: "."}) initials } }`,
		`{"contact":[{"a":"Ann Archer","b":"Ann, Archer","c":"Ann Archer.","initials":"AA"}]}`)
	s.data(t, member, `{ contact(where: {id: {_eq: 1}}) { seen_by role: seen_by(path: "$.as") } }`,
		`{"contact":[{"seen_by":{"as":"member","id":1},"role":"member"}]}`)
	s.data(t, member, `{ contact(where: {initials: {_gt: "AA"}}, order_by: {initials: desc}) { initials } }`, `{"contact":[{"initials":"BB"}]}`)
	s.data(t, member, `{ contact_aggregate(where: {initials: {_eq: "AA"}}) { nodes { initials } } companies { contacts(order_by: {initials: desc}) { full_name } } }`,
		`{"contact_aggregate":{"nodes":[{"initials":"AA"}]},"companies":[{"contacts":[{"full_name":"Bob Baker"},{"full_name":"Ann Archer"}]}]}`)
	s.data(t, member, `mutation { update_contact(where: {id: {_eq: 2}}, _set: {first: "Zed"}) { returning { full_name initials namesakes { id } } } }`,
		`{"update_contact":{"returning":[{"full_name":"Zed Baker","initials":"ZB","namesakes":[]}]}}`)
	s.fails(t, s.as(t, "reader", acme, anna), `{ peekAll { full_name } }`, missing, `field 'full_name' not found in type: 'contact'`)
	s.fails(t, member, `{ contact(where: {full_name: {_eq: "x"}}) { id } }`, missing, `field 'full_name' not found in type: 'contact_bool_exp'`)
}

func testComputedFieldInAFilter(t *testing.T, s *stand) {
	s.data(t, s.as(t, "initialled", acme, anna), `{ contact { id } }`, `{"contact":[{"id":1}]}`)
}

// The function finds namesakes everywhere; the permission on contacts bounds them.
func testComputedFieldOfRowsObeysTheirPermission(t *testing.T, s *stand) {
	ann := `{ contact(where: {id: {_eq: 1}}) { namesakes(order_by: {id: asc}) { id last } } }`
	s.data(t, s.as(t, "member", acme, anna), ann, `{"contact":[{"namesakes":[{"id":1,"last":"Archer"}]}]}`)
	s.data(t, asAdmin(), ann, `{"contact":[{"namesakes":[{"id":1,"last":"Archer"},{"id":3,"last":"Taylor"}]}]}`)
	s.data(t, s.as(t, "member", acme, anna), `{ contact(where: {namesakes: {last: {_eq: "Taylor"}}}) { id } }`, `{"contact":[]}`)
	s.data(t, asAdmin(), `{ contact(where: {namesakes: {last: {_eq: "Taylor"}}}, order_by: {id: asc}) { id } }`, `{"contact":[{"id":1},{"id":3}]}`)
}
