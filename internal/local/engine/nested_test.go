package engine_test

import (
	"testing"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

func TestNestedInsertWritesWhatIsReferredToFirst(t *testing.T) {
	s := newCRM(t)
	member := s.as(t, "member", acme, anna)
	s.data(t, member, `mutation { insert_contact_one(object: {first: "Cy", company: {data: {id: 50, tradeName: "Nest"}}, profile: {data: {bio: "sails"}}}) {
		first company { tradeName tenantId } profile { bio } } }`,
		`{"insert_contact_one":{"first":"Cy","company":{"tradeName":"Nest","tenantId":"`+acme+`"},"profile":{"bio":"sails"}}}`)
	s.data(t, member, `mutation { insert_company(objects: [
		{id: 51, tradeName: "One", contacts: {data: [{first: "Di", profile: {data: {bio: "deep"}}}, {first: "Ed", profile: null}]}},
		{id: 52, tradeName: "Two", contacts: {data: []}}, {id: 53, tradeName: "Three"}]) {
			affected_rows returning { id contacts(order_by: {first: asc}) { first initials profile { bio } } } } }`,
		`{"insert_company":{"affected_rows":6,"returning":[{"id":51,"contacts":[{"first":"Di","initials":null,"profile":{"bio":"deep"}},{"first":"Ed","initials":null,"profile":null}]},`+
			`{"id":52,"contacts":[]},{"id":53,"contacts":[]}]}}`)
}

func TestEachLevelOfANestedInsertIsChecked(t *testing.T) {
	s := newCRM(t)
	member := s.as(t, "member", acme, anna)
	for _, c := range []struct{ query, path string }{
		{`mutation { addCompany(object: {tradeName: "forbidden", contacts: {data: [{first: "a"}]}}) { id } }`, `$.selectionSet.addCompany.args.object[0]`},
		{`mutation { addCompany(object: {tradeName: "x", contacts: {data: [{first: "a"}, {first: "forbidden"}]}}) { id } }`,
			`$.selectionSet.addCompany.args.object[0].contacts.data`},
		{`mutation { insert_contact(objects: [{first: "a", company_id: 1, profile: {data: {bio: "b"}}}, {first: "b", company_id: 1, profile: {data: {bio: "forbidden"}}}]) { affected_rows } }`,
			`$.selectionSet.insert_contact.args.objects[1].profile.data`},
		{`mutation { insert_contact_one(object: {first: "a", company: {data: {tradeName: "forbidden"}}}) { id } }`, `$.selectionSet.insert_contact_one.args.object[0].company.data`},
	} {
		failed := s.fails(t, member, c.query, qerr.PermissionError, checkFailed)
		if path := failed.Errors[0].Extensions["path"]; path != c.path {
			t.Errorf("path = %v, want %s", path, c.path)
		}
	}
	if n := one[int](t, s, `SELECT (SELECT count(*) FROM crm.companies)::int * 100 + (SELECT count(*) FROM crm.contacts)::int * 10 + (SELECT count(*) FROM crm.profiles)::int`); n != 241 {
		t.Errorf("rows = %d: a refused insert left some", n)
	}
}

// The tenant of a nested row is the parent's or the preset's, never the client's.
func TestNestedInsertCannotNameAnotherTenant(t *testing.T) {
	s := newCRM(t)
	member := s.as(t, "member", acme, anna)
	s.fails(t, member, `mutation { addCompany(object: {tradeName: "x", contacts: {data: [{first: "a", tenant_id: "`+techco+`"}]}}) { id } }`, missing,
		`field 'tenant_id' not found in type: 'contact_insert_input'`)
	s.fails(t, member, `mutation { addCompany(object: {tradeName: "x", contacts: {data: [{first: "a", company_id: 1}]}}) { id } }`, qerr.ValidationFailed,
		`cannot insert "company_id" columns as their values are already being determined by parent insert`)
	// A profile's tenant is writable, and still the contact's.
	s.fails(t, member, `mutation { insert_contact_one(object: {first: "a", company_id: 1, profile: {data: {tenant_id: "`+techco+`", bio: "b"}}}) { id } }`, qerr.ValidationFailed,
		`cannot insert "tenant_id" columns as their values are already being determined by parent insert`)
	s.fails(t, member, `mutation { insert_contact_one(object: {first: "a", company_id: 1, company: {data: {tradeName: "b"}}}) { id } }`, qerr.ValidationFailed,
		`cannot insert object relationship "company" as "company_id" column values are already determined`)
	s.data(t, member, `mutation { addCompany(object: {id: 60, tradeName: "x", contacts: {data: [{first: "a"}]}}) { contacts { id: company { tenantId } } } }`,
		`{"addCompany":{"contacts":[{"id":{"tenantId":"`+acme+`"}}]}}`)
}

func TestNestedUpsert(t *testing.T) {
	s := newCRM(t)
	member := s.as(t, "member", acme, anna)
	insert := func(conflict string) string {
		return `mutation { insert_contact_one(object: {id: 70, first: "Ha", company: {data: {tradeName: "Anvil"}` + conflict + `}}) { company { id tradeName } } }`
	}
	s.fails(t, member, insert(``), qerr.ConstraintViolation, `Uniqueness violation. duplicate key value violates unique constraint "company_name"`)
	s.fails(t, member, insert(`, on_conflict: {constraint: company_name}`), qerr.NotSupported,
		`cannot proceed to insert object relation "company" since insert to table "crm.companies" affects zero rows`)
	s.data(t, member, insert(`, on_conflict: {constraint: company_name, update_columns: [tradeName]}`), `{"insert_contact_one":{"company":{"id":1,"tradeName":"Anvil"}}}`)
	s.fails(t, member, `mutation { addCompany(object: {id: 1, tradeName: "Anvil", contacts: {data: [{first: "a"}]}}, on_conflict: {constraint: companies_pkey}) { id } }`, qerr.NotSupported,
		`cannot proceed to insert array relations since insert to table "crm.companies" affects zero rows`)
}

func testNestedInsertIsOfferedWhereBothTablesTakeRows(t *testing.T, s *stand) {
	s.fails(t, s.as(t, "clone", acme, anna), `mutation { insert_contact_one(object: {first: "a", company: {data: {tradeName: "b"}}}) { id } }`, missing,
		`field 'company' not found in type: 'contact_insert_input'`)
}
