package tracking

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// is fails where an answer is another.
func is(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// refused fails where an answer is data.
func refused(t *testing.T, what, got string) {
	t.Helper()
	if strings.HasPrefix(got, "{") {
		t.Errorf("%s is not refused: %s", what, got)
	}
}

func TestEachTenantReachesItsOwnSchemaAlone(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	techco, theirs := s.tenant(t)
	s.track(t, 2)
	s.track(t, 0)

	insert := `mutation { insert_%s_contacts_one(object: {id: %d, name: %q, company: {data: {name: "Corp"}}}) { shouted company { name contacts { name } } } }`
	is(t, "a nested insert", s.ask(t, acme, "tenant_member", fmt.Sprintf(insert, own, 1, "ada")),
		`{"insert_`+own+`_contacts_one":{"shouted":"ADA","company":{"name":"Corp","contacts":[{"name":"ada"}]}}}`)
	s.ask(t, techco, "tenant_admin", fmt.Sprintf(insert, theirs, 2, "bob"))

	is(t, "own rows", s.ask(t, acme, "tenant_guest", `{ `+own+`_contacts { name company { name } } }`), `{"`+own+`_contacts":[{"name":"ada","company":{"name":"Corp"}}]}`)
	is(t, "the other's rows", s.ask(t, acme, "tenant_owner", `{ `+theirs+`_contacts { name } }`), `{"`+theirs+`_contacts":[]}`)
	is(t, "an update of the other's", s.ask(t, acme, "tenant_owner", `mutation { update_`+theirs+`_contacts(where: {}, _set: {name: "x"}) { affected_rows } }`),
		`{"update_`+theirs+`_contacts":{"affected_rows":0}}`)
	is(t, "a delete of the other's", s.ask(t, acme, "tenant_owner", `mutation { delete_`+theirs+`_contacts(where: {}) { affected_rows } }`),
		`{"delete_`+theirs+`_contacts":{"affected_rows":0}}`)
	refused(t, "an insert into the other's", s.ask(t, acme, "tenant_owner", fmt.Sprintf(`mutation { insert_%s_companies_one(object: {name: "x"}) { id } }`, theirs)))
	refused(t, "a guest's insert", s.ask(t, acme, "tenant_guest", fmt.Sprintf(`mutation { insert_%s_companies_one(object: {name: "x"}) { id } }`, own)))
	refused(t, "a generated column", s.ask(t, acme, "tenant_owner", fmt.Sprintf(`mutation { insert_%s_contacts_one(object: {id: 9, name: "x", shouted: "y"}) { id } }`, own)))
	is(t, "the schema's name", s.ask(t, acme, "tenant_guest", `{ tenantSchemas { schemaName: schema_name } }`), `{"tenantSchemas":[{"schemaName":"`+own+`"}]}`)
}

func TestOneNameReadsTheSessionsTenant(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	techco, theirs := s.tenant(t)
	s.exec(t, `INSERT INTO `+own+`.contacts (id, name, mood, mail) VALUES (1, 'ada', 'fine', 'a@x'), (2, 'alan', NULL, NULL); INSERT INTO `+theirs+`.contacts (id, name) VALUES (3, 'bob')`)
	s.track(t, 2)

	read := `{ contacts(where: {name: {_like: "a%"}}, order_by: {id: asc}, limit: 1) { id name mood mail } contacts_aggregate { aggregate { count } } }`
	is(t, "own rows", s.ask(t, acme, "tenant_guest", read), `{"contacts":[{"id":1,"name":"ada","mood":"fine","mail":"a@x"}],"contacts_aggregate":{"aggregate":{"count":2}}}`)
	is(t, "another tenant's", s.ask(t, techco, "tenant_owner", `{ contacts { name } }`), `{"contacts":[{"name":"bob"}]}`)
	is(t, "the operator's, who is in none", s.post(t, `{ contacts { name } }`, nil), `{"contacts":[]}`)
	refused(t, "the empty table itself", s.ask(t, acme, "tenant_owner", `{ tenant_reads_contacts { name } }`))

	s.exec(t, `UPDATE tenants.tenants SET status = 'suspended', suspended_at = now() WHERE id = $1`, acme.ID)
	is(t, "a suspended tenant's", s.ask(t, acme, "tenant_owner", `{ contacts { name } }`), `{"contacts":[]}`)
}

func TestReadsFollowANewMigrationOnceEveryTenantHasIt(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	s.track(t, 1)
	s.register(t, 2, `ALTER TABLE contacts ADD phone text; CREATE TABLE notes (id integer PRIMARY KEY, body text)`)
	s.exec(t, `INSERT INTO `+own+`.contacts (id, name, phone) VALUES (1, 'ada', '42')`)
	refused(t, "a column that is not tracked yet", s.ask(t, acme, "tenant_owner", `{ contacts { phone } }`))
	s.track(t, 1)
	is(t, "the new column", s.ask(t, acme, "tenant_owner", `{ contacts { phone } notes { body } }`), `{"contacts":[{"phone":"42"}],"notes":[]}`)
}

func TestWhatCannotBeReadUnderOneNameTakesNothingElseAway(t *testing.T) {
	s := newStand(t)
	s.exec(t, `CREATE DOMAIN public.withheld AS text`)
	s.register(t, 1, contactsSQL+`CREATE TABLE odd (id integer PRIMARY KEY, "a$body$b" text, "it's;" text, "Case" numeric(10,2)[]);
		CREATE TABLE secrets (id integer PRIMARY KEY, told public.withheld)`)
	acme, own := s.tenant(t)
	s.exec(t, `REVOKE USAGE ON TYPE public.withheld FROM PUBLIC`)
	s.exec(t, `INSERT INTO `+own+`.odd VALUES (1, 'x', 'y', '{1.5}')`)
	var log bytes.Buffer
	s.Tracker = New(Config{DB: s.server, Hasura: s.hasura, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.track(t, 1)
	is(t, "the tables that can be", s.ask(t, acme, "tenant_owner", `{ odd { id Case } contacts { id } }`), `{"odd":[{"id":1,"Case":[1.50]}],"contacts":[]}`)
	if !strings.Contains(log.String(), "secrets: ") {
		t.Errorf("the table that cannot be is not told: %s", log.String())
	}
}

func TestATakenNameIsLeftOutAndTheRestServed(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL+`CREATE TABLE tenants (id integer PRIMARY KEY)`)
	acme, own := s.tenant(t)
	s.track(t, 1)
	if got := s.ask(t, acme, "tenant_owner", `{ tenants { slug } }`); !strings.Contains(got, `"slug":`) {
		t.Errorf("the shared table no longer answers: %s", got)
	}
	is(t, "the schema's table", s.ask(t, acme, "tenant_owner", `{ `+own+`_tenants { id } contacts { id } }`), `{"`+own+`_tenants":[],"contacts":[]}`)
}

func TestWhatIsGoneIsUntracked(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	_, theirs := s.tenant(t)
	s.track(t, 2)
	s.exec(t, `SELECT tenants.drop_tenant_schema($1)`, acme.ID)
	s.track(t, 1)
	s.track(t, 0)
	exported, err := s.hasura.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(exported.Metadata); strings.Contains(text, own) || !strings.Contains(text, theirs) {
		t.Errorf("the metadata still names %s, or no longer %s", own, theirs)
	}
}

func TestATenantPastItsPurgeDateIsUntrackedBeforeItsSchemaGoes(t *testing.T) {
	s := newStand(t)
	s.register(t, 1, contactsSQL)
	acme, own := s.tenant(t)
	s.track(t, 1)
	s.exec(t, `UPDATE tenants.tenants SET status = 'deleted', deleted_at = now() - interval '2 days', purge_after = now() - interval '1 day' WHERE id = $1`, acme.ID)
	s.track(t, 1)
	s.track(t, 0)
	exported, err := s.hasura.Export(t.Context())
	if err != nil || strings.Contains(string(exported.Metadata), own) {
		t.Errorf("the metadata still names %s: %v", own, err)
	}
}
