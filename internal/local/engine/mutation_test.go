package engine_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nself/tenancy/internal/local/engine/qerr"
)

const checkFailed = "check constraint of an insert/update permission has failed"

func TestInsertTakesPresetsFromTheSession(t *testing.T) {
	s := newStand(t, options{})
	member := s.as(t, "member", acme, ben)
	s.data(t, member, `mutation { insert_notes(objects: [{title: "one", words: 3}, {title: "two", body: null}]) {
		affected_rows returning { title words body author { role } } } }`,
		`{"insert_notes":{"affected_rows":2,"returning":[{"title":"one","words":3,"body":null,"author":{"role":"member"}},{"title":"two","words":0,"body":null,"author":{"role":"member"}}]}}`)
	if got := one[string](t, s, `SELECT tenant_id || ' ' || author_id FROM app.notes WHERE title = 'one'`); got != acme+" "+ben {
		t.Errorf("row belongs to %s", got)
	}
	s.fails(t, member, `mutation { insert_notes_one(object: {title: "x", author_id: "`+anna+`"}) { title } }`, missing,
		`field 'author_id' not found in type: 'notes_insert_input'`)
	s.data(t, member, `mutation { insert_notes(objects: []) { affected_rows } }`, `{"insert_notes":{"affected_rows":0}}`)
}

func TestBrokenCheckUndoesTheWholeOperation(t *testing.T) {
	s := newStand(t, options{})
	member := s.as(t, "member", acme, anna)
	failed := s.fails(t, member, `mutation {
		a: insert_notes_one(object: {title: "kept?"}) { title }
		b: insert_notes(objects: [{title: "fine"}, {title: "long", words: 1000}]) { affected_rows } }`, qerr.PermissionError, checkFailed)
	if path := failed.Errors[0].Extensions["path"]; path != "$.selectionSet.insert_notes.args.objects" {
		t.Errorf("path = %v", path)
	}
	if n := one[int](t, s, `SELECT count(*)::int FROM app.notes`); n != 4 {
		t.Errorf("%d notes, want the 4 from before", n)
	}
	owner := s.as(t, "owner", acme, anna)
	s.fails(t, owner, `mutation { update_tenants(where: {}, _set: {seats: 11}) { affected_rows } }`, qerr.PermissionError, checkFailed)
	s.data(t, owner, `mutation { update_tenants(where: {}, _inc: {seats: 2}) { affected_rows returning { seats } } }`,
		`{"update_tenants":{"affected_rows":1,"returning":[{"seats":7}]}}`)
}

func TestCheckThroughRelationship(t *testing.T) {
	s := newStand(t, options{})
	add := `mutation { insert_members_one(object: {user_id: "b0000000-0000-4000-8000-000000000009", role: "guest"}) { tenant { slug } role } }`
	s.data(t, s.as(t, "owner", acme, anna), add, `{"insert_members_one":{"tenant":{"slug":"acme"},"role":"guest"}}`)
	s.exec(t, `UPDATE app.tenants SET status = 'suspended' WHERE slug = 'techco'`)
	s.fails(t, s.as(t, "owner", techco, anna), add, qerr.PermissionError, checkFailed)
}

func TestUpdateTouchesOwnRowsAndSetsPresets(t *testing.T) {
	s := newStand(t, options{})
	member := s.as(t, "member", acme, ben)
	s.data(t, member, `mutation { update_notes(where: {}, _set: {body: "mine"}, _inc: {words: 5}) { affected_rows returning { title words changed_by } } }`,
		`{"update_notes":{"affected_rows":1,"returning":[{"title":"beta","words":25,"changed_by":"`+ben+`"}]}}`)
	s.data(t, member, `mutation { update_notes_by_pk(pk_columns: {id: 1}, _set: {body: "not mine"}) { id } }`, `{"update_notes_by_pk":null}`)
	s.data(t, member, `mutation { update_notes_many(updates: [{where: {id: {_eq: 2}}, _set: {title: "b"}}, {where: {id: {_eq: 4}}, _set: {title: "d"}}]) { affected_rows } }`,
		`{"update_notes_many":[{"affected_rows":1},{"affected_rows":0}]}`)
	s.fails(t, member, `mutation { update_notes(where: {}, _set: {words: 1}, _inc: {words: 1}) { affected_rows } }`, missing,
		`Column found in multiple operators: "words".`)
	s.fails(t, s.as(t, "owner", acme, anna), `mutation { update_members(where: {}) { affected_rows } }`, missing,
		`At least any one of _set, _inc, _append, _prepend, _delete_key, _delete_elem, _delete_at_path operator is expected`)
}

func TestJSONOperators(t *testing.T) {
	s := newStand(t, options{})
	owner := s.as(t, "owner", acme, anna)
	for _, c := range []struct{ operator, want string }{
		{`_append: {settings: {a: 1}}`, `{"a":1,"list":[1,2],"plan":"pro","theme":{"dark":true}}`},
		{`_delete_key: {settings: "a"}`, `{"list":[1,2],"plan":"pro","theme":{"dark":true}}`},
		{`_delete_at_path: {settings: ["theme", "dark"]}`, `{"list":[1,2],"plan":"pro","theme":{}}`},
		{`_set: {settings: [1, 2, 3]}`, `[1,2,3]`},
		{`_delete_elem: {settings: 0}`, `[2,3]`},
		{`_prepend: {settings: ["x"]}`, `["x",2,3]`},
	} {
		s.data(t, owner, `mutation { update_tenants_by_pk(pk_columns: {id: "`+acme+`"}, `+c.operator+`) { settings } }`,
			`{"update_tenants_by_pk":{"settings":`+c.want+`}}`)
	}
}

func TestDelete(t *testing.T) {
	s := newStand(t, options{})
	member := s.as(t, "member", acme, anna)
	s.data(t, member, `mutation { delete_notes(where: {words: {_gte: 20}}) { affected_rows returning { title author { role } } } }`,
		`{"delete_notes":{"affected_rows":1,"returning":[{"title":"gamma","author":{"role":"owner"}}]}}`)
	s.data(t, member, `mutation { delete_notes_by_pk(id: 2) { title } }`, `{"delete_notes_by_pk":null}`)
	s.data(t, member, `mutation { delete_notes_by_pk(id: 1) { title } }`, `{"delete_notes_by_pk":{"title":"alpha"}}`)
}

func TestUpsert(t *testing.T) {
	s := newStand(t, options{})
	insert := func(object, conflict string) string {
		return `mutation { insert_tenants_one(object: ` + object + `, on_conflict: {constraint: tenants_slug_key` + conflict + `}) { slug name seats status } }`
	}
	owner := s.as(t, "owner", acme, anna)
	s.data(t, owner, insert(`{slug: "acme", name: "Other"}`, ``), `{"insert_tenants_one":null}`)
	s.data(t, owner, insert(`{slug: "acme", name: "Other"}`, `, update_columns: [name]`),
		`{"insert_tenants_one":{"slug":"acme","name":"Other","seats":5,"status":"active"}}`)
	s.data(t, owner, insert(`{slug: "acme", name: "Third"}`, `, update_columns: [name], where: {seats: {_gt: 5}}`), `{"insert_tenants_one":null}`)
	// Another tenant's row is out of the update filter's reach.
	s.data(t, owner, insert(`{slug: "techco", name: "Stolen"}`, `, update_columns: [name]`), `{"insert_tenants_one":null}`)
	s.data(t, owner, insert(`{slug: "new", name: "New"}`, `, update_columns: [name]`),
		`{"insert_tenants_one":{"slug":"new","name":"New","seats":1,"status":"suspended"}}`)
	s.fails(t, owner, insert(`{slug: "acme", name: "x", seats: 11}`, `, update_columns: [seats]`), qerr.PermissionError, checkFailed)
	s.fails(t, owner, insert(`{slug: "acme", name: "x"}`, `, update_columns: [slug]`), missing,
		`expected one of the values ['credit', 'name', 'seats', 'settings'] for type 'tenants_update_column', but found 'slug'`)
}

func TestWritersWhoMayNotReadGetNothingBack(t *testing.T) {
	s := newStand(t, options{})
	writer := asAdmin("x-hasura-role", "writer", "x-hasura-use-backend-only-permissions", "true")
	insert := `mutation { insert_tenants(objects: [{slug: "w", name: "W"}]) { affected_rows } }`
	s.data(t, writer, insert, `{"insert_tenants":{"affected_rows":1}}`)
	s.fails(t, writer, `mutation { insert_tenants(objects: []) { returning { id } } }`, missing, `field 'returning' not found in type: 'tenants_mutation_response'`)
	s.fails(t, writer, `mutation { insert_tenants_one(object: {slug: "w"}) { id } }`, missing, `field 'insert_tenants_one' not found in type: 'mutation_root'`)
	// backend_only takes the secret and the header.
	s.fails(t, asAdmin("x-hasura-role", "writer"), insert, missing, `no mutations exist`)
	s.fails(t, s.as(t, "writer", acme, anna), insert, missing, `no mutations exist`)
}

func TestMutationsCarryTheSession(t *testing.T) {
	s := newStand(t, options{})
	s.data(t, s.as(t, "member", acme, anna), `mutation { insert_notes_one(object: {title: "x"}) { title } }`, `{"insert_notes_one":{"title":"x"}}`)
	var got map[string]string
	if err := json.Unmarshal([]byte(one[string](t, s, `SELECT setting FROM app.audit`)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"x-hasura-role": "member", "x-hasura-tenant-id": acme, "x-hasura-user-id": anna, "x-hasura-tenant-ids": "{" + acme + "}",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hasura.user (-want +got):\n%s", diff)
	}
}

func TestDatabaseErrorsInHasurasWords(t *testing.T) {
	s := newStand(t, options{})
	insert := func(object string) string {
		return `mutation { insert_tenants_one(object: ` + object + `) { id } }`
	}
	for _, c := range []struct{ query, code, message string }{
		{insert(`{slug: "acme", name: "x"}`), qerr.ConstraintViolation, `Uniqueness violation. duplicate key value violates unique constraint "tenants_slug_key"`},
		{insert(`{slug: "x", name: null}`), qerr.ConstraintViolation, `Not-NULL violation. null value in column "name" of relation "tenants" violates not-null constraint`},
		{insert(`{slug: "x", name: "x", seats: 0}`), qerr.PermissionError, `Check constraint violation. new row for relation "tenants" violates check constraint "seats_positive"`},
		{insert(`{slug: "UPPER", name: "x"}`), qerr.PermissionError, `Check constraint violation. value for domain app.slug violates check constraint "slug_check"`},
		{insert(`{slug: "x", name: "x", created_at: "soon"}`), qerr.DataException, `invalid input syntax for type timestamp with time zone: "soon"`},
		{insert(`{slug: "x", name: "x", rank: 70000}`), qerr.DataException, `value "70000" is out of range for type smallint`},
		{insert(`{slug: "x", name: "nul \u0000"}`), qerr.DataException, `invalid byte sequence for encoding "UTF8": 0x00`},
		{insert(`{slug: "x", name: "x", seats: 3000000000}`), qerr.ParseFailed, `The value 3000000000 lies outside the bounds or is not an integer. Maybe it is a float, or is there integer overflow?`},
		{`mutation { insert_members_one(object: {tenant_id: "` + anna + `", user_id: "` + anna + `", role: "x"}) { role } }`, qerr.ConstraintViolation,
			`Foreign key violation. insert or update on table "members" violates foreign key constraint "members_tenant_id_fkey"`},
		{`mutation { update_tenants(where: {}, _set: {secret: "x"}) { affected_rows } }`, qerr.Unexpected, `database query error`},
	} {
		s.fails(t, asAdmin(), c.query, c.code, c.message)
	}
}

func TestRaisedExceptionIsToldToAdminAlone(t *testing.T) {
	s := newStand(t, options{})
	got := s.fails(t, asAdmin(), `mutation { update_tenants(where: {}, _set: {secret: "x"}) { affected_rows } }`, qerr.Unexpected, `database query error`)
	internal, _ := got.Errors[0].Extensions["internal"].(map[string]any)
	details, _ := internal["error"].(map[string]any)
	if details["message"] != "a rule that no client may read" {
		t.Errorf("internal = %v", internal)
	}
	s.exec(t, `CREATE TRIGGER refuse BEFORE DELETE ON app.notes FOR EACH ROW EXECUTE FUNCTION app.refuse()`)
	got = s.fails(t, s.as(t, "member", acme, anna), `mutation { delete_notes(where: {}) { affected_rows } }`, qerr.Unexpected, `database query error`)
	if got.Errors[0].Extensions["internal"] != nil {
		t.Errorf("a member is told %v", got.Errors[0].Extensions)
	}
}
