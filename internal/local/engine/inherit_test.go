package engine_test

import (
	"strings"
	"testing"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const conflicting = `Could not inherit permission for the role \"twin\" for the entity: \"insert permission, table: crm.contacts, source: 'default'\"`

// A lead is a member and of the support: it reads the rows of both, each column only
// in the rows of the role that has it.
func testInheritedRoleReadsEachColumnWhereItsRoleDoes(t *testing.T, s *stand) {
	all := `{ contact(order_by: {id: asc}) { id first email } }`
	want := `{"contact":[{"id":1,"first":"Ann","email":null},{"id":2,"first":"Bob","email":"bob@shared"},{"id":4,"first":null,"email":"tim@shared"}]}`
	for _, role := range []string{"lead", "chief"} {
		header := s.as(t, role, acme, anna)
		s.data(t, header, all, want)
		s.data(t, header, `{ contact(where: {id: {_eq: 4}}) { full_name initials } }`, `{"contact":[{"full_name":null,"initials":null}]}`)
		s.data(t, header, `{ company: companies { tradeName contacts(order_by: {id: asc}) { id } } }`,
			`{"company":[{"tradeName":"Anvil","contacts":[{"id":1},{"id":2}]}]}`)
	}
}

// A column that is null in a row is null wherever it is used: whoever could filter or
// order by it would learn it after all.
func testRedactedColumnCannotBeFound(t *testing.T, s *stand) {
	for _, role := range []string{"lead", "chief"} {
		header := s.as(t, role, acme, anna)
		for _, c := range []struct{ query, want string }{
			{`{ contact(where: {first: {_eq: "Tim"}}) { id } }`, `{"contact":[]}`},
			{`{ contact(where: {email: {_eq: "ann@acme"}}) { id } }`, `{"contact":[]}`},
			{`{ contact(where: {initials: {_eq: "TT"}}) { id } }`, `{"contact":[]}`},
			{`{ contact(where: {email: {_is_null: true}}) { id } }`, `{"contact":[{"id":1}]}`},
			{`{ contact(order_by: {first: desc}) { id } }`, `{"contact":[{"id":4},{"id":2},{"id":1}]}`},
			{`{ contact(distinct_on: first, order_by: {first: asc}) { first } }`, `{"contact":[{"first":"Ann"},{"first":"Bob"},{"first":null}]}`},
			{`{ contact_aggregate { aggregate { count(columns: first) max { first email } } } }`,
				`{"contact_aggregate":{"aggregate":{"count":2,"max":{"first":"Bob","email":"tim@shared"}}}}`},
			{`{ companies(order_by: {contacts_aggregate: {max: {email: asc}}}, where: {contacts: {email: {_eq: "ann@acme"}}}) { id } }`, `{"companies":[]}`},
			{`{ findContacts(args: {search: "Tim"}) { id first } }`, `{"findContacts":[{"id":4,"first":null}]}`},
		} {
			s.data(t, header, c.query, c.want)
		}
		// The condition of a write sees no more than a query.
		s.data(t, header, `mutation { update_contact(where: {email: {_eq: "ann@acme"}}, _set: {first: "x"}) { affected_rows } }`, `{"update_contact":{"affected_rows":0}}`)
	}
}

func TestInheritedRoleWritesWhereItsRolesAgree(t *testing.T) {
	s := newCRM(t)
	lead, twin := s.as(t, "lead", acme, anna), s.as(t, "twin", acme, anna)
	// Of one role alone: the member's insert, the support's delete.
	s.data(t, lead, `mutation { insert_contact_one(object: {id: 9, first: "New", company_id: 1}) { id first email } }`, `{"insert_contact_one":{"id":9,"first":"New","email":null}}`)
	s.data(t, lead, `mutation { delete_contact(where: {id: {_in: [1, 2]}}) { returning { id first email } } }`,
		`{"delete_contact":{"returning":[{"id":2,"first":"Bob","email":"bob@shared"}]}}`)
	// Of both, and the same.
	s.data(t, twin, `mutation { update_contact(where: {}, _set: {last: "Same"}) { affected_rows } }`, `{"update_contact":{"affected_rows":2}}`)
	// Of both, and different: nothing is inherited, and metadata is inconsistent.
	s.fails(t, twin, `mutation { insert_contact_one(object: {id: 10, first: "x"}) { id } }`, missing, `field 'insert_contact_one' not found in type: 'mutation_root'`)
	_, listed := s.api(t, asAdmin(), `{"type": "get_inconsistent_metadata", "args": {}}`)
	if strings.Count(listed, "Could not inherit") != 1 || !strings.Contains(listed, conflicting) {
		t.Errorf("inconsistencies: %s", listed)
	}
}

func TestInheritedRoleCallsWhatItsRolesCall(t *testing.T) {
	s := newCRM(t)
	s.hook.answer(200, `"pong"`)
	lead := s.as(t, "chief", acme, anna)
	s.data(t, lead, `mutation { ping }`, `{"ping":"pong"}`)
	s.data(t, lead, `mutation { crm_rename_contacts(args: {suffix: "!"}, where: {id: {_eq: 1}}) { last } }`, `{"crm_rename_contacts":[{"last":"Archer!"}]}`)
	s.fails(t, s.as(t, "support", acme, anna), `mutation { ping }`, missing, `field 'ping' not found in type: 'mutation_root'`)
}

func testOwnPermissionGoesBeforeTheInherited(t *testing.T, s *stand) {
	own := s.as(t, "own", acme, anna)
	s.data(t, own, `{ contact { id } companies { tradeName } }`, `{"contact":[{"id":1}],"companies":[{"tradeName":"Anvil"}]}`)
	s.fails(t, own, `{ contact { email } }`, missing, `field 'email' not found in type: 'contact'`)
}

func testInheritedRoleNeedsTheVariablesOfAll(t *testing.T, s *stand) {
	s.fails(t, asAdmin("X-Hasura-Role", "lead"), `{ contact { id } }`, qerr.NotFound, `missing session variable: "x-hasura-tenant-id"`)
	s.data(t, asAdmin("X-Hasura-Role", "support"), `{ contact(order_by: {id: asc}) { id } }`, `{"contact":[{"id":2},{"id":4}]}`)
}
